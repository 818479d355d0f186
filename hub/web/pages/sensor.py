"""Page of one sensor: its state, health, settings, and the commands that a person can send to it."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.commands.command_client import make_command
from hub.domain.sensor_edits import SensorEdits
from hub.domain.sensor_status import sensor_status
from hub.web.api.search import read
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import get_sensor_or_404
from shared.commands import CommandAction

_SEE_OTHER: Final = 303
BUTTONS: Final[tuple[tuple[CommandAction, str], ...]] = (
    ("settings", "Query settings"),
    ("version", "Query version"),
    ("self-test", "Self-test"),
    ("clip", "Request a clip"),
    ("restart", "Restart"),
)


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of one sensor."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/sensors/{site}/{name}")
    def sensor(request: Request, site: str, name: str) -> HTMLResponse:
        found = get_sensor_or_404(parts.archive, f"{site}/{name}")
        commands = parts.commands.latest(found.place)
        shown = next((one.reply for one in commands if one.reply and one.reply.settings), None)
        return shell.page(
            request,
            "sensor.html",
            sensor=found,
            condition=sensor_status(found, datetime.now(UTC)),
            commands=commands,
            buttons=BUTTONS,
            shown=shown,
        )

    @router.post("/sensors/{site}/{name}/commands")
    def send(
        site: str,
        name: str,
        action: Annotated[CommandAction, Form()],
        setting: Annotated[str, Form(max_length=129)] = "",
        value: Annotated[str, Form(max_length=1_024)] = "",
    ) -> RedirectResponse:
        place = get_sensor_or_404(parts.archive, f"{site}/{name}").place
        changes = {setting.strip(): value.strip() or None} if action == "change-settings" else None
        parts.commands.send(make_command(place, action, hub=parts.commands.hub, settings=changes))
        return RedirectResponse(f"/sensors/{place}#commands", status_code=_SEE_OTHER)

    @router.post("/sensors/{site}/{name}/edits")
    def edit(
        site: str,
        name: str,
        title: Annotated[str, Form()] = "",
        description: Annotated[str, Form()] = "",
        muted: Annotated[bool, Form()] = False,
        retired: Annotated[bool, Form()] = False,
    ) -> RedirectResponse:
        place = get_sensor_or_404(parts.archive, f"{site}/{name}").place
        text = description.strip().replace("\r\n", "\n")
        given = {"title": title.strip(), "description": text, "muted": muted, "retired": retired}
        parts.archive.sensors.edit(place, read(SensorEdits, given))
        return RedirectResponse(f"/sensors/{place}", status_code=_SEE_OTHER)

    return router

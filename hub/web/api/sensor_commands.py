"""API of commands to sensors: settings, restart, self-test, a clip, the software version."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from hub.commands.command_client import EXPIRES_S, make_command
from hub.store.sensor_commands import CommandRecord
from hub.web.api.params import NAME, CsrfHeader, errors
from hub.web.context import WebContext
from hub.web.resolve import get_sensor_or_404
from shared.commands import CommandAction, ReplyMessage, SettingName, SettingText

Name = Annotated[str, Path(pattern=NAME)]


class NewCommand(BaseModel):
    """A command to a sensor.

    `settings` is for `change-settings`: the new value of each setting as text; null removes an earlier change.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"action": "change-settings", "settings": {"sensor.report_interval_s": "60"}}},
    )

    action: CommandAction
    settings: dict[SettingName, SettingText | None] = Field(
        default_factory=dict, max_length=64, json_schema_extra={"additionalProperties": False}
    )
    expires_s: int = Field(EXPIRES_S, ge=1, le=86_400, description="the sensor does not run it after this time")


class CommandView(BaseModel):
    """A command to a sensor, with the sensor's latest reply.

    `status`: `sent`, `undelivered` (with the reason), or that of the reply.
    """

    id: str
    action: str
    at: datetime
    status: str
    undelivered: str
    reply: ReplyMessage | None


class CommandList(BaseModel):
    """The latest commands to a sensor, the newest first."""

    commands: list[CommandView]


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of commands to sensors."""
    router = APIRouter(prefix="/sensors/{site}/{sensor}/commands", tags=["places"])

    @router.post("", status_code=202, responses=errors(400, 403, 404, 413, 422, 503))
    def send_command(site: Name, sensor: Name, new: NewCommand, _ours: CsrfHeader = None) -> CommandView:
        """Send a command to a sensor; its replies follow in the list of commands."""
        place = get_sensor_or_404(parts.archive, f"{site}/{sensor}").place
        hub = parts.commands.hub
        command = make_command(place, new.action, hub=hub, settings=new.settings, expires_s=new.expires_s)
        parts.commands.send(command)
        return command_view(CommandRecord(command.id, command.action, command.sent_at, command, None))

    @router.get("", responses=errors(404, 422, 503))
    def commands(site: Name, sensor: Name) -> CommandList:
        """List the latest commands to a sensor, with its replies."""
        place = get_sensor_or_404(parts.archive, f"{site}/{sensor}").place
        return CommandList(commands=[command_view(one) for one in parts.commands.latest(place)])

    return router


def command_view(record: CommandRecord) -> CommandView:
    """Return the API representation of a command."""
    return CommandView(
        id=record.id,
        action=record.action,
        at=record.at,
        status=record.status,
        undelivered=record.undelivered,
        reply=record.reply,
    )

"""Page of named sounds: examples, last detections and alerts of each; and the forms that name sounds."""

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.domain.named_sounds import NAME_LIMIT, SEVERITIES, Mode
from hub.web.name_service import Change, change, name_event, name_source, named, sound_of
from hub.web.name_service import remove as forget
from hub.web.pages.rendering import PageRenderer
from shared.errors import InvalidError
from shared.messages.alert import Severity

_SEE_OTHER: Final = 303


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of named sounds."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/names")
    def names(request: Request) -> HTMLResponse:
        return shell.page(request, "names.html", named=named(parts), severities=SEVERITIES, limit=NAME_LIMIT)

    @router.post("/names")
    def name(
        event: Annotated[str, Form(max_length=256)],
        name: Annotated[str, Form(max_length=4 * NAME_LIMIT)],
        mode: Annotated[Mode, Form()] = "shown",
        all_sites: Annotated[bool, Form()] = False,
    ) -> RedirectResponse:
        name_event(parts, event, name, mode, all_sites=all_sites)
        return RedirectResponse(f"/events/{quote(event, safe='')}#name", status_code=_SEE_OTHER)

    @router.post("/sources/{source_id}/name")
    def name_of_source(
        source_id: str,
        name: Annotated[str, Form(max_length=4 * NAME_LIMIT)],
        mode: Annotated[Mode, Form()] = "shown",
        all_sites: Annotated[bool, Form()] = False,
    ) -> RedirectResponse:
        sound = name_source(parts, source_id, name, Change(mode=mode), all_sites=all_sites)
        return RedirectResponse(f"/names#name-{sound.id}", status_code=_SEE_OTHER)

    @router.post("/names/{name_id}")
    def treat(  # one form for each button
        name_id: str,
        mode: Annotated[Mode | None, Form()] = None,
        name: Annotated[str | None, Form(max_length=4 * NAME_LIMIT)] = None,
        percent: Annotated[float | None, Form(ge=0, le=100)] = None,
        severity: Annotated[Severity | None, Form()] = None,
        without: Annotated[str | None, Form(max_length=256)] = None,
    ) -> RedirectResponse:
        rest = None if without is None else [one for one in sound_of(parts, name_id).examples if one != without]
        if rest == []:
            raise InvalidError("this is the last example: add another one first, or remove the name")
        threshold = None if percent is None else percent / 100
        change(parts, name_id, Change(name, mode, threshold, severity), rest)
        return RedirectResponse(f"/names#name-{name_id}", status_code=_SEE_OTHER)

    @router.post("/names/{name_id}/remove")
    def remove(name_id: str) -> RedirectResponse:
        forget(parts, name_id)
        return RedirectResponse("/names", status_code=_SEE_OTHER)

    return router

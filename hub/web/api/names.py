"""API of named sounds: sounds that people name, to get alerts of them or none."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.domain.named_sounds import EXAMPLES_LIMIT, NAME_FORM, NAME_LIMIT, THRESHOLD, Mode
from hub.web.access import author_of
from hub.web.api.events import AUDIO, PICTURE, picture_of, sound_file
from hub.web.api.params import EVENT, CsrfHeader, EventIdPath, Height, Site, Width, errors
from hub.web.api.sources import SourceName
from hub.web.context import WebContext
from hub.web.name_schemas import NameList, NameView
from hub.web.name_service import Change, add, change, example_of, name_source, named, remove, sound_of, views
from hub.web.schemas import EVENT_EXAMPLE
from shared.messages.alert import Severity
from shared.messages.fields import Probability

_Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT, pattern=NAME_FORM, examples=["bakery fan"])]
_Event = Annotated[str, Field(pattern=EVENT)]
_Events = Annotated[list[_Event], Field(min_length=1, max_length=EXAMPLES_LIMIT)]
NameId = Annotated[str, Path(pattern="^[0-9a-f]{8}$", description="id of a named sound", examples=["5f2c81a0"])]


class NewSourceName(BaseModel):
    """A name for a source, whose exemplars become the examples of the named sound.

    `mode`: `shown` only shows the name; `watched` raises an alert of `severity` whenever the sound returns; `muted`
    raises no alert for it. An event gets the name if P(same source) is at least `threshold`.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "bakery fan", "mode": "watched"}}
    )

    name: _Name
    all_sites: bool = Field(False, description="look for it at all sites, not only at the site of its examples")
    mode: Mode = "shown"
    threshold: Probability = THRESHOLD
    severity: Severity = "recurring"
    author: str = Field("", max_length=64, pattern=r"^[^\x00]*$", description="name of the person who names it")


class NewName(NewSourceName):
    """A name for the sound of one to five events.

    `mode`: `shown` only shows the name; `watched` raises an alert of `severity` whenever the sound returns; `muted`
    raises no alert for it. An event gets the name if P(same source) is at least `threshold`.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "bakery fan", "events": [EVENT_EXAMPLE], "mode": "watched"}},
    )

    events: _Events = Field(description="ids of the events that are examples of it")


class NameChange(BaseModel):
    """A change of a named sound; fields that are left out stay."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"mode": "muted"}})

    name: _Name | None = None
    events: _Events | None = Field(
        None, description="ids of all its examples from now on: present examples, or events of the archive"
    )
    mode: Mode | None = None
    threshold: Probability | None = None
    severity: Severity | None = None


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of named sounds."""
    router, every = APIRouter(prefix="/names"), APIRouter(tags=["names"])

    @router.get("", responses=errors(422, 503))
    def names(site: Site = None) -> NameList:
        """List all named sounds by name, with their examples and last detections."""
        return NameList(names=named(parts, site))

    @router.post("", status_code=201, responses=errors(400, 403, 404, 409, 413, 422, 503))
    def add_name(request: Request, new: NewName, _ours: CsrfHeader = None) -> NameView:
        """Name a sound by one to five events; every hub looks for it within a second."""
        sound = add(
            parts,
            new.name,
            new.events,
            _change(new),
            all_sites=new.all_sites,
            by=author_of(request.scope, new.author),
        )
        return views(parts, [sound])[0]

    @every.post("/sources/{source_id}/name", status_code=201, responses=errors(400, 403, 404, 409, 413, 422, 503))
    def name_of_source(
        request: Request, source_id: SourceName, new: NewSourceName, _ours: CsrfHeader = None
    ) -> NameView:
        """Name a source: the events that sound most like it become the examples of a named sound."""
        sound = name_source(
            parts, source_id, new.name, _change(new), all_sites=new.all_sites, by=author_of(request.scope, new.author)
        )
        return views(parts, [sound])[0]

    @router.get("/{name_id}", responses=errors(404, 422, 503))
    def name(name_id: NameId) -> NameView:
        """Return one named sound."""
        return views(parts, [sound_of(parts, name_id)])[0]

    @router.patch("/{name_id}", responses=errors(400, 403, 404, 409, 413, 422, 503))
    def change_name(name_id: NameId, wanted: NameChange, _ours: CsrfHeader = None) -> NameView:
        """Change a named sound: watch it, mute it, rename it, or replace its examples."""
        given = Change(wanted.name, wanted.mode, wanted.threshold, wanted.severity)
        return views(parts, [change(parts, name_id, given, wanted.events)])[0]

    @router.delete("/{name_id}", status_code=204, responses=errors(403, 404, 422, 503))
    def remove_name(name_id: NameId, _ours: CsrfHeader = None) -> None:
        """Remove a named sound, its examples and its returns; events and alerts stay."""
        remove(parts, name_id)

    @router.get(
        "/{name_id}/examples/{event_id}/audio",
        response_class=FileResponse,
        responses={**AUDIO, **errors(404, 422, 503)},
    )
    def example_audio(name_id: NameId, event_id: EventIdPath) -> FileResponse:
        """Return the audio of an example, if the hub kept it; it stays when retention removes the event."""
        return sound_file(parts, example_of(parts, name_id, event_id))

    @router.get(
        "/{name_id}/examples/{event_id}/spectrogram.png",
        response_class=Response,
        responses={**PICTURE, **errors(404, 422, 503)},
    )
    def example_picture(
        name_id: NameId, event_id: EventIdPath, request: Request, width: Width = 800, height: Height = 192
    ) -> Response:
        """Return the spectrogram of an example; it stays when retention removes the event."""
        return picture_of(parts, example_of(parts, name_id, event_id), request, width, height)

    every.include_router(router)
    return every


def _change(new: NewSourceName) -> Change:
    return Change(mode=new.mode, threshold=new.threshold, severity=new.severity)

"""API of events: lists, one event, similar events, explanations, audio and spectrogram."""

import hashlib
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from hub.domain.records import StoredEvent, to_ms
from hub.features.spectrogram import VERSION, fingerprint, png, spectrogram
from hub.search.backend import By
from hub.web.api.filters import EventsAsked, MinLaeq
from hub.web.api.params import (
    EVENT,
    After,
    Category,
    EventIdPath,
    Height,
    Limit,
    Matches,
    Place,
    Ranked,
    Since,
    Time,
    Until,
    Width,
    errors,
)
from hub.web.audio import audio_path, get_audio_or_404, get_sealed_audio_or_404
from hub.web.context import WebContext
from hub.web.event_listing import events as listed
from hub.web.listing import event_views
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_event_or_404
from hub.web.schemas import EventList, EventView, ExplanationView, SimilarList, why_view
from hub.web.search_service import filter_of, search_by_event
from shared.audio import decode_flac
from shared.sealed_sound import MEDIA_TYPE as SEALED
from shared.taxonomy import CATEGORIES

Answers = dict[int | str, dict[str, Any]]

_CACHED: Final = "private, max-age=86400"
PICTURE: Final[Answers] = {
    200: {"content": {"image/png": {}}, "description": "the picture"},
    304: {"description": "the picture has not changed"},
}
AUDIO: Final[Answers] = {
    200: {"content": {"audio/flac": {}}, "description": "the FLAC file"},
    206: {"content": {"audio/flac": {}, "multipart/byteranges": {}}, "description": "the parts asked for by `Range`"},
    416: {"content": {"text/plain": {}}, "description": "a `Range` beyond the file"},
    400: {"content": {"text/plain": {}}, "description": "an invalid `Range`"},
}
SEALED_AUDIO: Final[Answers] = {
    **AUDIO,
    200: {"content": {SEALED: {}}, "description": "the encrypted file"},
    206: {"content": {SEALED: {}, "multipart/byteranges": {}}, "description": "the parts asked for by `Range`"},
}


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of events."""
    router = APIRouter(prefix="/events", tags=["events"])

    @router.get("", responses=errors(422, 503))
    def events(wanted: EventsAsked, limit: Limit = 50, after: After = None) -> EventList:
        """List archived events, newest first."""
        page = listed(parts, wanted, limit=limit, after=decode_cursor(after))
        return EventList(events=event_views(parts, page.events), next=encode_cursor(page.next))

    @router.get("/{event_id}", responses=errors(404, 422, 503))
    def event(event_id: EventIdPath) -> EventView:
        """Return one event."""
        return event_views(parts, [get_event_or_404(parts.archive, event_id)])[0]

    @router.get("/{event_id}/similar", responses=errors(404, 422, 503))
    def similar(
        event_id: EventIdPath,
        k: Matches = 10,
        since: Since = None,
        until: Until = None,
        place: Place = None,
        category: Category = None,
        min_laeq: MinLaeq = None,
        by: Ranked = By.BOTH,
        own_recent_clips: Annotated[
            bool, Query(description="include clips of the same sensor close in time")
        ] = False,
    ) -> SimilarList:
        """List the most similar archived events, most similar first, with the categories that both likely contain."""
        number = None if category is None else CATEGORIES.index(category)
        chosen = filter_of(since_ms=_ms(since), until_ms=_ms(until), place=place, category=number, min_laeq=min_laeq)
        found = get_event_or_404(parts.archive, event_id)
        matches = search_by_event(parts, found, k, chosen, by=by, own_recent_clips=own_recent_clips)
        return SimilarList(event=event_id, matches=matches)

    @router.get("/{event_id}/explanation", responses=errors(404, 422, 503))
    def why(
        event_id: EventIdPath, match: Annotated[str, Query(pattern=EVENT, description="another event")]
    ) -> ExplanationView:
        """Explain why another event matches this one, by category, and which differences would prevent the match."""
        first, second = get_event_or_404(parts.archive, event_id), get_event_or_404(parts.archive, match)
        return why_view(first, second, parts.explainer.explain(first, second))

    @router.get("/{event_id}/audio", response_class=FileResponse, responses={**AUDIO, **errors(404, 422, 503)})
    def audio(event_id: EventIdPath) -> FileResponse:
        """Return the event's audio, if the hub kept it in clear."""
        return sound_file(parts, get_event_or_404(parts.archive, event_id))

    @router.get(
        "/{event_id}/sealed-audio", response_class=FileResponse, responses={**SEALED_AUDIO, **errors(404, 422, 503)}
    )
    def sealed_audio(event_id: EventIdPath) -> FileResponse:
        """Return the event's audio as the sensor encrypted it, in the age format; the private key opens it."""
        path = get_sealed_audio_or_404(parts, get_event_or_404(parts.archive, event_id))
        return FileResponse(path, media_type=SEALED, filename=path.name, headers={"Cache-Control": _CACHED})

    @router.get(
        "/{event_id}/spectrogram.png", response_class=Response, responses={**PICTURE, **errors(404, 422, 503)}
    )
    def picture(event_id: EventIdPath, request: Request, width: Width = 800, height: Height = 192) -> Response:
        """Return the event's spectrogram; without audio, a picture of the features over time."""
        return picture_of(parts, get_event_or_404(parts.archive, event_id), request, width, height)

    return router


def sound_file(parts: WebContext, event: StoredEvent) -> FileResponse:
    """Return an event's audio file as a response.

    Raises:
        HTTPException: 404, there is none; the detail gives the reason.
    """
    return FileResponse(get_audio_or_404(parts, event), media_type="audio/flac", headers={"Cache-Control": _CACHED})


def picture_of(parts: WebContext, event: StoredEvent, request: Request, width: int, height: int) -> Response:
    """Return an event's picture as a response; 304 if the client has it."""
    audible = audio_path(parts, event) is not None
    version = f"{VERSION} {event.id} {audible} {width} {height}"
    tag = f'"{hashlib.sha256(version.encode()).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": _CACHED}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(_drawn(parts, event, width, height), media_type="image/png", headers=headers)


def _drawn(parts: WebContext, event: StoredEvent, width: int, height: int) -> bytes:
    path = audio_path(parts, event)
    if path is None:
        return png(fingerprint(event.space, event.features), width=width, height=height, smooth=False)
    return png(spectrogram(*decode_flac(path.read_bytes())), width=width, height=height, smooth=True)


def _ms(at: Time | None) -> int | None:
    return None if at is None else to_ms(at)

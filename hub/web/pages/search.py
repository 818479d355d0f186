"""Search page: by a past event, at an address that can be shared, or by a recording."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from hub.domain.records import StoredEvent
from hub.features.spectrogram import png, spectrogram
from hub.web.api.search import AudioSearchRequest, EventSearchRequest, Filters, read, recording_of
from hub.web.audio import audio_path
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import get_event_or_404
from hub.web.search_service import (
    KINDS,
    SearchHit,
    decode_upload,
    recorded_before,
    search_by_audio,
    search_by_event,
)
from shared.errors import InvalidError
from shared.extractor import Sound
from shared.taxonomy import CATEGORIES

_LIKELY: Final = 0.5
_WIDTH, _HEIGHT = 800, 128
"""Size of the picture of an upload, in pixels."""


@dataclass(frozen=True, slots=True)
class Result:
    """A match of a search, and its event."""

    hit: SearchHit
    event: StoredEvent
    audible: bool

    @property
    def alike(self) -> bool:
        """Return whether it shares a category with the query, likely its source, or is by far the closest."""
        match = self.hit.match
        return bool(match.shared) or (match.same_source or 0.0) >= _LIKELY or match.stands_out


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded recording.

    Attributes:
        name: name of its file.
        picture: its spectrogram, as the address of a PNG that holds it.
        presence: categories and their probabilities, the most likely first.
    """

    name: str
    picture: str
    presence: list[tuple[str, float]]


def uploaded(name: str, recording: Sound, presence: Sequence[float]) -> Upload:
    """Return what the page shows of an upload; the hub keeps nothing of it."""
    drawn = png(spectrogram(*recording), width=_WIDTH, height=_HEIGHT, smooth=True)
    picture = f"data:image/png;base64,{base64.b64encode(drawn).decode()}"
    return Upload(name, picture, sorted(zip(CATEGORIES, presence, strict=True), key=lambda pair: -pair[1]))


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of searches."""
    router = APIRouter()
    parts = shell.parts

    def page(
        request: Request,
        hits: list[SearchHit] | None,
        fields: dict[str, str],
        query: StoredEvent | None = None,
        problem: str = "",
        upload: Upload | None = None,
    ) -> HTMLResponse:
        events = parts.archive.fetch([hit.match.event for hit in hits or []])
        by_id = {str(event.id): event for event in events}
        results = [
            Result(hit, by_id[hit.match.event], audio_path(parts, by_id[hit.match.event]) is not None)
            for hit in hits or []
            if hit.match.event in by_id
        ]
        response = shell.page(
            request,
            "search.html",
            results=None if hits is None else results,
            fields=fields,
            query=query,
            problem=problem,
            upload=upload,
            before=recorded_before(hits or []),
            kinds=KINDS,
            places=[sensor.place for sensor in parts.archive.sensors.all()],
        )
        response.status_code = 422 if problem else 200
        return response

    @router.get("/search")
    def by_event(
        request: Request,
        event: str = "",
        place: str = "",
        category: str = "",
        min_laeq: str = "",
        since: str = "",
        until: str = "",
        by: str = "",
    ) -> HTMLResponse:
        given = {
            "event": event,
            "place": place,
            "category": category,
            "min_laeq": min_laeq,
            "since": since,
            "until": until,
            "by": by,
        }
        fields = {name: value for name, value in given.items() if value}
        if "event" not in fields:
            return page(request, None, fields)
        try:
            filters = {"filters": _filters(fields)} | _by(fields)
            wanted = read(EventSearchRequest, {"event": fields["event"].strip(), "k": 12} | filters)
            query = get_event_or_404(parts.archive, wanted.event)
            found = search_by_event(parts, query, wanted.k, wanted.filters.filter(), by=wanted.by)
        except InvalidError as error:
            return page(request, None, fields, problem=str(error))
        return page(request, [SearchHit(match) for match in found], fields, query=query)

    def _by_sound(
        request: Request, data: bytes, wanted: AudioSearchRequest, fields: dict[str, str], name: str
    ) -> HTMLResponse:
        recording = decode_upload(data)
        found = search_by_audio(parts, recording, wanted.k, wanted.filter(), wanted.by)
        return page(request, found.hits, fields, upload=uploaded(name, recording, found.presence))

    @router.post("/search")
    async def by_sound(request: Request) -> HTMLResponse:
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("recording")
            name = str(getattr(upload, "filename", "") or "")
            fields: dict[str, str] = {}
            try:
                data, fields = await recording_of(form)
                if not data:
                    raise InvalidError("choose a recording first")  # noqa: TRY301 - the page shows it like any other error
                wanted = read(AudioSearchRequest, {**_filters(fields), **_by(fields), "k": 12})
                return await run_in_threadpool(_by_sound, request, data, wanted, fields, name)
            except InvalidError as error:
                return await run_in_threadpool(page, request, None, fields, None, str(error))

    return router


def _filters(fields: dict[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in Filters.model_fields if fields.get(name)}


def _by(fields: dict[str, str]) -> dict[str, str]:
    return {"by": fields["by"]} if fields.get("by") else {}

"""Page of partial levels: how much of each hour's sound energy came in clips of each category, on a day."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.category_names import NAMES
from hub.domain.level_rows import HOUR_S
from hub.domain.partial_levels import MIXED, NO_CLIP, OTHER, PARTS, PartialLevels
from hub.web.api.level_answers import written
from hub.web.context import WebContext
from hub.web.level_comparisons import First
from hub.web.level_spans import Span
from hub.web.level_views import local_time
from hub.web.pages.rendering import PageRenderer, as_json
from hub.web.partial_levels import read_partial_levels
from hub.web.resolve import get_sensor_or_404, parse_place

LABELS: Final = {**NAMES, MIXED: "Mixed", OTHER: "Other", NO_CLIP: "No clip"}
_PATTERNS: Final = {
    "non-machinery-impact": (6, 6, "M1 1h2v2h-2zM4 4h2v2h-2z"),
    "powered-saw": (6, 6, "M0 6L6 0L6 2L2 6zM0 2L2 0L0 0z"),
    "alert-signal": (5, 5, "M0 0h5v2h-5z"),
    "music": (5, 5, "M0 0h2v5h-2z"),
    "human-voice": (7, 7, "M0 0h7v1.5h-7zM0 0h1.5v7h-1.5z"),
    "dog": (6, 6, "M0 0L2 0L6 4L6 6zM0 4L2 6L0 6z"),
    OTHER: (10, 10, "M4 4h2v2h-2z"),
}
"""Width, height and path of the pattern of parts, so that they differ without colours; the others are plain."""


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the page."""
    router = APIRouter()
    parts = shell.parts
    zone = parts.places.timezone

    @router.get("/levels/{site}/{name}/categories")
    def categories(request: Request, site: str, name: str, day: First = None) -> HTMLResponse:
        place = get_sensor_or_404(parts.archive, parse_place(f"{site}/{name}") or "").place
        now = datetime.now(UTC)
        span = Span("day", day or now.astimezone(zone).date(), 0, zone)
        hours = hours_of_day(parts, place, span)
        present = [part for part in PARTS if any(part in one.shares for one in hours)]
        begin_s, end_s = span.bounds_s
        return shell.page(
            request,
            "level_categories.html",
            place=place,
            day=span.day,
            earlier=span.moved(-1).day,
            later=span.moved(1).day if end_s <= now.timestamp() else None,
            hours=hours,
            parts=present,
            labels=LABELS,
            marked=_PATTERNS,
            patterns=[(part, *_PATTERNS[part]) for part in present if part in _PATTERNS],
            unit=next((one.unit for one in hours if one.shares), "dB"),
            pointer=as_json(_pointer_values(hours, present, shell)),
            now_s=now.timestamp(),
            zone=zone,
            data=f"/api/v1/levels/partial?place={place}&since={written(begin_s)}&until={written(end_s)}",
        )

    return router


def hours_of_day(parts: WebContext, place: str, span: Span) -> list[PartialLevels]:
    """Return the partial levels of the hours of UTC that a day has a part of.

    Raises:
        UnavailableError: the store does not answer.
    """
    begin_s, end_s = span.bounds_s
    return read_partial_levels(parts, place, begin_s // HOUR_S * HOUR_S, -(-end_s // HOUR_S) * HOUR_S)


def _pointer_values(hours: Sequence[PartialLevels], present: Sequence[str], shell: PageRenderer) -> dict[str, Any]:
    """Return what the script of the chart shows under the pointer, as JSON: shares in per cent."""
    zone = shell.parts.places.timezone
    return {
        "unit": "%",
        "labels": [local_time(one.start_s, zone) for one in hours],
        "links": [],
        "valid": [one.valid_s for one in hours],
        "series": [
            {
                "name": LABELS[part],
                "values": [round(100 * one.shares[part], 1) if part in one.shares else None for one in hours],
            }
            for part in present
        ],
    }

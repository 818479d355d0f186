"""API of the one-third-octave bands of a sensor: each second of an interval, as JSON or CSV."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from hub.store.level_bands import BandStore
from hub.web.api.params import PLACE, Since, Time, Until, errors
from hub.web.context import WebContext
from hub.web.export import MEDIA_TYPES, Row, csv_lines
from hub.web.resolve import get_sensor_or_404
from shared.content_negotiation import preferred
from shared.events import LevelUnit
from shared.levels.bands import NOMINAL_HZ

CSV: Final = "text/csv"
MOST_S: Final = 3_600
"""Seconds of an answer: an hour has 111,600 levels."""
_DEFAULT: Final = timedelta(minutes=10)
_COLUMNS: Final = tuple(f"band_{frequency_hz:g}_hz" for frequency_hz in NOMINAL_HZ)


class LevelBandsView(BaseModel):
    """One-third-octave bands of consecutive seconds; null where there is no level, which is never replaced.

    `start` is the first second. `bands` has a list for each second, with the level of each band of `frequencies_hz`
    (nominal mid-band frequencies) in steps of 0.5 dB. A second is null if the sensor sent no bands of it, or if its
    levels are in dBFS in an answer in dB. `next` is the `since` of the rest of the interval, null if there is none.
    """

    place: str
    start: datetime
    unit: LevelUnit
    frequencies_hz: list[float]
    bands: list[list[float | None] | None]
    next: datetime | None


def routes(parts: WebContext) -> APIRouter:
    """Return the route of bands."""
    router = APIRouter(prefix="/levels", tags=["levels"])
    bands = BandStore(parts.archive.client, parts.archive.rows)
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {CSV: {"schema": {"type": "string"}}}, "description": "the bands, in order of time"},
        **errors(404, 422, 503),
    }

    @router.get("/bands", response_model=LevelBandsView, responses=answers)
    def level_bands(
        request: Request,
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        since: Since = None,
        until: Until = None,
    ) -> LevelBandsView | Response:
        """Return the third-octave bands of each second, at most an hour; CSV if `Accept` prefers `text/csv`."""
        get_sensor_or_404(parts.archive, place)
        start_s, end_s, rest_s = _interval(since, until)
        table = parts.levels.series(place, start_s, end_s)
        levels = bands.series(place, start_s, end_s)
        levels[np.isnan(table.levels[:, 0])] = np.nan
        rows = [_row(row) for row in levels.tolist()]
        if preferred(request.headers.get("accept", ""), ("application/json", CSV)).startswith(CSV):
            lines = csv_lines(("at", "unit", *_COLUMNS), _cells(rows, start_s, table.unit))
            return StreamingResponse(lines, media_type=MEDIA_TYPES["csv"])
        return LevelBandsView(
            place=place,
            start=_time(start_s),
            unit=table.unit,
            frequencies_hz=list(NOMINAL_HZ),
            bands=rows,
            next=None if rest_s is None else _time(rest_s),
        )

    return router


def _interval(since: Time | None, until: Time | None) -> tuple[int, int, int | None]:
    """Return first second and end of the answer, and where the rest of the interval begins."""
    end = until or datetime.now(UTC)
    start = since or max(end - _DEFAULT, datetime(1970, 1, 1, tzinfo=UTC))
    start_s = int(start.timestamp())
    end_s = max(start_s, math.ceil(end.timestamp()))
    return start_s, min(end_s, start_s + MOST_S), start_s + MOST_S if start_s + MOST_S < end_s else None


def _row(levels: list[float]) -> list[float | None] | None:
    """Return the bands of a second, None for NaN; None if it has none."""
    row = [None if math.isnan(level) else level for level in levels]
    return row if any(level is not None for level in row) else None


def _cells(rows: list[list[float | None] | None], start_s: int, unit: LevelUnit) -> Iterator[Row]:
    for number, row in enumerate(rows):
        at = _time(start_s + number).isoformat().replace("+00:00", "Z")
        yield {"at": at, "unit": unit, **dict(zip(_COLUMNS, row or (), strict=False))}


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

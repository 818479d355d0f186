"""API of the one-third-octave bands of a sensor: each second of an interval, as JSON or CSV."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hub.domain.csv_rows import Row
from hub.web.api.level_answers import answers, at_second, csv_answer, interval, wants_csv, written
from hub.web.api.params import PLACE, Since, Until
from hub.web.context import WebContext
from hub.web.resolve import get_sensor_or_404
from shared.events import LevelUnit
from shared.levels.bands import NOMINAL_HZ

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

    @router.get("/bands", response_model=LevelBandsView, responses=answers("the bands, in order of time"))
    def level_bands(
        request: Request,
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        since: Since = None,
        until: Until = None,
    ) -> LevelBandsView | Response:
        """Return the third-octave bands of each second, at most an hour; CSV if `Accept` prefers `text/csv`."""
        get_sensor_or_404(parts.archive, place)
        start_s, end_s, rest_s = interval(since, until, 1, _DEFAULT, MOST_S)
        table = parts.levels.series(place, start_s, end_s)
        levels = parts.level_bands.series(place, start_s, end_s)
        levels[np.isnan(table.levels[:, 0])] = np.nan
        rows = [_row(row) for row in levels.tolist()]
        if wants_csv(request):
            return csv_answer(("at", "unit", *_COLUMNS), _cells(rows, start_s, table.unit))
        return LevelBandsView(
            place=place,
            start=at_second(start_s),
            unit=table.unit,
            frequencies_hz=list(NOMINAL_HZ),
            bands=rows,
            next=None if rest_s is None else at_second(rest_s),
        )

    return router


def _row(levels: list[float]) -> list[float | None] | None:
    """Return the bands of a second, None for NaN; None if it has none."""
    row = [None if math.isnan(level) else level for level in levels]
    return row if any(level is not None for level in row) else None


def _cells(rows: list[list[float | None] | None], start_s: int, unit: LevelUnit) -> Iterator[Row]:
    for number, row in enumerate(rows):
        yield {"at": written(start_s + number), "unit": unit, **dict(zip(_COLUMNS, row or (), strict=False))}

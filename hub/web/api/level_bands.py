"""API of the one-third-octave bands of a sensor: each second or minute of an interval, as JSON, CSV or a picture."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hub.domain.band_means import MINUTE_S
from hub.domain.csv_rows import Row
from hub.domain.level_rows import Floats
from hub.store.level_statistics import PERIOD_S
from hub.web.api.level_answers import answers, at_second, csv_answer, interval, wants_csv, written
from hub.web.api.params import PLACE, Since, Until, errors
from hub.web.band_image import band_png
from hub.web.context import WebContext
from hub.web.resolve import get_sensor_or_404
from shared.events import LevelUnit
from shared.levels.bands import NOMINAL_HZ

BandResolution = Literal["second", "minute"]
MOST: Final[dict[BandResolution, int]] = {"second": 3_600, "minute": 25 * 60}
"""Rows of an answer: an hour of seconds, or the longest day in minutes."""
_DEFAULT: Final[dict[BandResolution, timedelta]] = {"second": timedelta(minutes=10), "minute": timedelta(days=1)}
_COLUMNS: Final = tuple(f"band_{frequency_hz:g}_hz" for frequency_hz in NOMINAL_HZ)


class LevelBandsView(BaseModel):
    """One-third-octave bands of consecutive seconds or minutes; null where there is no level.

    `start` is the begin of the first, `period_s` the length of each. `bands` has a list for each second or minute,
    with the level of each band of `frequencies_hz` (nominal mid-band frequencies): of a second in steps of 0.5 dB, of
    a minute the energetic mean of its seconds. A second is null if the sensor sent no bands of it, or if its levels
    are in dBFS in an answer in dB. `next` is the `since` of the rest of the interval, null if there is none.
    """

    place: str
    start: datetime
    period_s: int
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
        resolution: Annotated[BandResolution, Query(description="length of a period")] = "second",
    ) -> LevelBandsView | Response:
        """Return the bands of each second (at most an hour) or minute (at most 25 hours), as JSON or CSV."""
        get_sensor_or_404(parts.archive, place)
        period_s = PERIOD_S[resolution]
        start_s, end_s, rest_s = interval(since, until, period_s, _DEFAULT[resolution], MOST[resolution])
        levels, unit = _read(parts, place, (start_s, end_s), resolution)
        rows = [_row(row) for row in np.round(levels, 1).tolist()]
        if wants_csv(request):
            return csv_answer(("at", "unit", *_COLUMNS), _cells(rows, start_s, period_s, unit))
        return LevelBandsView(
            place=place,
            start=at_second(start_s),
            period_s=period_s,
            unit=unit,
            frequencies_hz=list(NOMINAL_HZ),
            bands=rows,
            next=None if rest_s is None else at_second(rest_s),
        )

    @router.get(
        "/bands.png",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}, "description": "the picture"}, **errors(404, 422, 503)},
    )
    def level_bands_picture(
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """Return a picture of the bands of each minute, at most 25 hours: a column per minute, 20 Hz at the bottom.

        The darkest colour is 20 dB or -100 dBFS, the lightest 80 dB or -40 dBFS. Without bands it is transparent.
        """
        get_sensor_or_404(parts.archive, place)
        start_s, end_s, _ = interval(since, until, MINUTE_S, _DEFAULT["minute"], MOST["minute"])
        levels, unit = _read(parts, place, (start_s, max(end_s, start_s + MINUTE_S)), "minute")
        return Response(band_png(levels, unit), media_type="image/png", headers={"Cache-Control": "no-store"})

    return router


def _read(
    parts: WebContext, place: str, bounds_s: tuple[int, int], resolution: BandResolution
) -> tuple[Floats, LevelUnit]:
    """Return the bands of seconds or minutes between two times, float64 [periods, 31], and their unit."""
    table = parts.levels.series(place, *bounds_s)
    used = table.seconds > 0
    if resolution == "minute":
        return parts.level_bands.minutes(place, *bounds_s, used), table.unit
    levels = parts.level_bands.series(place, *bounds_s)
    levels[~used] = np.nan
    return levels, table.unit


def _row(levels: list[float]) -> list[float | None] | None:
    """Return the bands of a second or minute, None for NaN; None if it has none."""
    row = [None if math.isnan(level) else level for level in levels]
    return row if any(level is not None for level in row) else None


def _cells(rows: list[list[float | None] | None], start_s: int, period_s: int, unit: LevelUnit) -> Iterator[Row]:
    for number, row in enumerate(rows):
        yield {
            "at": written(start_s + number * period_s),
            "unit": unit,
            **dict(zip(_COLUMNS, row or (), strict=False)),
        }

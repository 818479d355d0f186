"""API of the levels of a sensor: each second, minute or hour of an interval, as JSON or CSV."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hub.domain.csv_rows import Row
from hub.domain.level_rows import STATISTICS, LevelTable
from hub.store.level_statistics import PERIOD_S, Resolution
from hub.store.levels import applying
from hub.web.api.level_answers import answers, at_second, csv_answer, interval, wants_csv, written
from hub.web.api.params import PLACE, Since, Until
from hub.web.context import WebContext
from hub.web.resolve import get_sensor_or_404
from shared.events import LevelUnit

MOST_ROWS: Final[dict[Resolution, int]] = {"second": 86_400, "minute": 31 * 1_440, "hour": 366 * 24}
"""A day, a month, a year."""
_DEFAULT: Final[dict[Resolution, timedelta]] = {
    "second": timedelta(hours=1),
    "minute": timedelta(days=1),
    "hour": timedelta(days=31),
}


class CalibrationView(BaseModel):
    """A calibration of the sensor: its id, when it was made, and the first second of levels that it applies to."""

    id: str
    at: datetime
    since: datetime


class TimeCorrectionView(BaseModel):
    """Levels from `since` to `until` of a sensor whose clock was wrong.

    Their time is the one that the sensor stated, less `offset_s`: how far its clock was ahead, as the hub measured
    it; below 0 if it was behind.
    """

    since: datetime
    until: datetime
    offset_s: int
    boot: str


class LevelTableView(BaseModel):
    """Levels of consecutive periods; null where there is no level, which is never replaced by other values.

    `start` is the begin of the first period, `period_s` the length of each. `seconds` is how many seconds of a period
    have levels. `l10`, `l50` and `l90` of minutes and hours are exceeded by the LAeq of 10, 50 and 90 % of their
    seconds; they are null in an hour of which a part came later than its seconds are kept.
    `left_out` periods are in dBFS, before the first calibration, and null in this answer, which is in dB. `next` is
    the `since` of the rest of the interval, null if there is none.
    """

    place: str
    resolution: Resolution
    start: datetime
    period_s: int
    unit: LevelUnit
    laeq: list[float | None]
    lafmax: list[float | None]
    lceq: list[float | None]
    l10: list[float | None] | None = None
    l50: list[float | None] | None = None
    l90: list[float | None] | None = None
    seconds: list[int]
    left_out: int
    calibrations: list[CalibrationView]
    corrections: list[TimeCorrectionView]
    next: datetime | None


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of levels."""
    router = APIRouter(prefix="/levels", tags=["levels"])

    @router.get("", response_model=LevelTableView, responses=answers("the levels, in order of time"))
    def levels(
        request: Request,
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        since: Since = None,
        until: Until = None,
        resolution: Annotated[Resolution, Query(description="length of a period")] = "minute",
    ) -> LevelTableView | Response:
        """Return the levels of each second, minute or hour; CSV if `Accept` prefers `text/csv`, else JSON."""
        get_sensor_or_404(parts.archive, place)
        start_s, end_s, rest_s = interval(
            since, until, PERIOD_S[resolution], _DEFAULT[resolution], MOST_ROWS[resolution]
        )
        if resolution == "second":
            table = parts.levels.series(place, start_s, end_s)
        else:
            table = parts.level_statistics.table(place, start_s, end_s, resolution)
        if wants_csv(request):
            rows = _rows(table, start_s, PERIOD_S[resolution])
            return csv_answer(("at", "unit", *_columns(table), "seconds"), rows)
        return LevelTableView(
            place=place,
            resolution=resolution,
            start=at_second(start_s),
            period_s=PERIOD_S[resolution],
            unit=table.unit,
            **_columns(table),
            seconds=table.seconds.tolist(),
            left_out=table.left_out,
            calibrations=[
                CalibrationView(id=one.id, at=datetime.fromisoformat(one.at), since=at_second(one.since_s))
                for one in applying(parts.levels.calibrations(place, end_s), start_s)
            ],
            corrections=[
                TimeCorrectionView(
                    since=at_second(one.since_s), until=at_second(one.until_s), offset_s=one.offset_s, boot=one.boot
                )
                for one in parts.level_offsets.between(place, start_s, end_s)
            ],
            next=None if rest_s is None else at_second(rest_s),
        )

    return router


def _columns(table: LevelTable) -> dict[str, list[float | None]]:
    """Return the levels by name, None for NaN."""
    names = STATISTICS[: table.levels.shape[1]]
    columns = np.round(table.levels.T, 1).tolist()
    return {
        name: [None if math.isnan(level) else level for level in column]
        for name, column in zip(names, columns, strict=False)
    }


def _rows(table: LevelTable, start_s: int, period_s: int) -> Iterator[Row]:
    columns = _columns(table)
    for number, seconds in enumerate(table.seconds.tolist()):
        at = written(start_s + number * period_s)
        values = {name: column[number] for name, column in columns.items()}
        yield {"at": at, "unit": table.unit, **values, "seconds": seconds}

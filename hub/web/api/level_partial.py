"""API of partial levels: how much of each hour's sound energy came in clips of each category, as JSON or CSV."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hub.domain.csv_rows import Row
from hub.domain.level_rows import HOUR_S
from hub.domain.partial_levels import PARTS, PartialLevels
from hub.web.api.level_answers import answers, at_second, csv_answer, interval, rounded, wants_csv, written
from hub.web.api.params import PLACE, Since, Until
from hub.web.context import WebContext
from hub.web.partial_levels import read_partial_levels
from hub.web.resolve import get_sensor_or_404
from shared.events import LevelUnit

MOST_HOURS: Final = 48
_DEFAULT: Final = timedelta(days=1)


class PartialHourView(BaseModel):
    """The energy of an hour by part: a category that dominates clips, `mixed`, `other` or `no-clip`.

    `shares` of the energy add up to 1; a part without energy is missing. `levels` are the partial levels: the level
    of the part's energy over the valid time of the hour, in `unit`.
    """

    start: datetime
    unit: LevelUnit
    laeq: float | None
    valid_s: int
    shares: dict[str, float]
    levels: dict[str, float]


class PartialLevelsView(BaseModel):
    """Partial levels of hours of UTC in order; `next` is the `since` of the rest, null if there is none."""

    place: str
    hours: list[PartialHourView]
    next: datetime | None


def routes(parts: WebContext) -> APIRouter:
    """Return the route of partial levels."""
    router = APIRouter(prefix="/levels", tags=["levels"])

    @router.get("/partial", response_model=PartialLevelsView, responses=answers("the hours, in order of time"))
    def level_partial(
        request: Request,
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        since: Since = None,
        until: Until = None,
    ) -> PartialLevelsView | Response:
        """Return partial levels of at most 48 hours; CSV if `Accept` prefers `text/csv`, else JSON."""
        get_sensor_or_404(parts.archive, place)
        start_s, end_s, rest_s = interval(since, until, HOUR_S, _DEFAULT, MOST_HOURS)
        hours = read_partial_levels(parts, place, start_s, end_s)
        if wants_csv(request):
            columns = [*(f"share_{name}" for name in PARTS), *(f"level_{name}" for name in PARTS)]
            return csv_answer(("at", "unit", "laeq", "seconds", *columns), _rows(hours))
        return PartialLevelsView(
            place=place,
            hours=[
                PartialHourView(
                    start=at_second(one.start_s),
                    unit=one.unit,
                    laeq=rounded(one.laeq),
                    valid_s=one.valid_s,
                    shares={name: round(share, 4) for name, share in one.shares.items()},
                    levels={name: round(level, 1) for name, level in one.levels.items()},
                )
                for one in hours
            ],
            next=None if rest_s is None else at_second(rest_s),
        )

    return router


def _rows(hours: Sequence[PartialLevels]) -> Iterator[Row]:
    for one in hours:
        yield {
            "at": written(one.start_s),
            "unit": one.unit,
            "laeq": rounded(one.laeq),
            "seconds": one.valid_s,
            **{f"share_{name}": round(share, 4) for name, share in one.shares.items()},
            **{f"level_{name}": round(level, 1) for name, level in one.levels.items()},
        }

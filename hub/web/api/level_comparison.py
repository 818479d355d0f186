"""API of the comparison of two periods, at one sensor or at two, as JSON or CSV."""

from collections.abc import Iterator
from datetime import date, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from hub.domain.csv_rows import Row
from hub.domain.level_comparison import QUANTITIES, LevelComparison, PeriodLevels
from hub.web.api.level_answers import answers, at_second, csv_answer, rounded, wants_csv
from hub.web.context import WebContext
from hub.web.level_comparisons import (
    First,
    Last,
    OtherFirst,
    OtherLast,
    OtherPlace,
    PlaceOf,
    compared_periods,
    read_comparison,
)
from shared.events import LevelUnit

_OF_PERIOD = ("place", "first", "last", "unit", "value")
_COLUMNS = ("quantity", *_OF_PERIOD, *(f"other_{name}" for name in _OF_PERIOD), "difference")


class LevelsView(BaseModel):
    """Levels of a period, or the differences of two; null where there is none."""

    laeq: float | None
    l10: float | None
    l90: float | None
    lday: float | None
    levening: float | None
    lnight: float | None
    lden: float | None


class PeriodView(BaseModel):
    """A period of whole days from 07:00 to 07:00, local time.

    `l10` and `l90` are means of those of its hours, `lday` to `lden` energetic means of its complete days. `valid_s`
    of `duration_s` seconds have levels.
    """

    place: str
    first: date
    last: date
    start: datetime
    end: datetime
    unit: LevelUnit
    levels: LevelsView
    valid_s: int
    duration_s: int
    complete: bool
    calibrations: list[str]


class ComparisonView(BaseModel):
    """Two periods and the levels of `period` less those of `other`, in dB.

    If `comparable` is false, all differences are null and `reasons` states why. `cautions` are what else may explain
    a difference.
    """

    timezone: str
    period: PeriodView
    other: PeriodView
    differences: LevelsView
    valid_s_difference: int = Field(description="seconds with levels of `period` less those of `other`")
    comparable: bool
    summary: str
    reasons: list[str]
    cautions: list[str]


def routes(parts: WebContext) -> APIRouter:
    """Return the route of comparisons."""
    router = APIRouter(prefix="/levels", tags=["levels"])
    zone = parts.places.timezone

    @router.get("/comparison", response_model=ComparisonView, responses=answers("both periods and their differences"))
    def level_comparison(
        request: Request,
        place: PlaceOf,
        first: First = None,
        last: Last = None,
        other_place: OtherPlace = None,
        other_first: OtherFirst = None,
        other_last: OtherLast = None,
    ) -> ComparisonView | Response:
        """Compare the levels of two sensors or of two periods; CSV if `Accept` prefers `text/csv`, else JSON."""
        wanted = compared_periods(parts, place, other_place, (first, last), (other_first, other_last))
        found, _ = read_comparison(parts, wanted)
        if wants_csv(request):
            return csv_answer(_COLUMNS, _rows(found))
        return ComparisonView(
            timezone=str(zone),
            period=_period_view(found.period),
            other=_period_view(found.other),
            differences=LevelsView(**{name: rounded(found.differences[name]) for name in QUANTITIES}),
            valid_s_difference=found.period.whole.valid_s - found.other.whole.valid_s,
            comparable=not found.reasons,
            summary=found.summary,
            reasons=list(found.reasons),
            cautions=list(found.cautions),
        )

    return router


def _period_view(one: PeriodLevels) -> PeriodView:
    return PeriodView(
        place=one.place,
        first=one.first,
        last=one.last,
        start=at_second(one.whole.start_s),
        end=at_second(one.whole.end_s),
        unit=one.unit,
        levels=LevelsView(**{name: rounded(one.levels[name]) for name in QUANTITIES}),
        valid_s=one.whole.valid_s,
        duration_s=one.whole.end_s - one.whole.start_s,
        complete=one.whole.complete,
        calibrations=list(one.calibrations),
    )


def _rows(found: LevelComparison) -> Iterator[Row]:
    one, two = found.period, found.other
    for name in QUANTITIES:
        difference = rounded(found.differences[name])
        yield _row(
            found, name, (one.unit, two.unit), (rounded(one.levels[name]), rounded(two.levels[name])), difference
        )
    valid_s = one.whole.valid_s, two.whole.valid_s
    yield _row(found, "valid_s", ("s", "s"), valid_s, valid_s[0] - valid_s[1])


def _row(
    found: LevelComparison,
    name: str,
    units: tuple[str, str],
    values: tuple[float | None, float | None],
    difference: float | None,
) -> Row:
    row: dict[str, object] = {"quantity": name, "difference": difference}
    for before, one, unit, value in zip(("", "other_"), (found.period, found.other), units, values, strict=True):
        cells = (one.place, str(one.first), str(one.last), unit, value)
        row |= {f"{before}{column}": cell for column, cell in zip(_OF_PERIOD, cells, strict=True)}
    return row

"""The two periods of a request for a comparison, and what the hub knows of them; of page and API."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import Query

from hub.domain.level_comparison import LevelComparison, compare
from hub.store.period_queries import MOST_DAYS, PeriodCourse, step_s
from hub.web.api.day_levels import Day
from hub.web.api.params import PLACE
from hub.web.context import WebContext
from hub.web.level_spans import Span
from hub.web.resolve import get_sensor_or_404
from shared.errors import InvalidError

_WEEK: Final = 7

Place = Annotated[str | None, Query(pattern=PLACE, description="sensor; the first one by default")]
PlaceOf = Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])]
OtherPlace = Annotated[
    str | None, Query(pattern=PLACE, description="`site/sensor` of the other; the same by default")
]
First = Annotated[Day | None, Query(description="first date; yesterday if not given")]
Last = Annotated[Day | None, Query(description="last date; the first if not given")]
OtherFirst = Annotated[
    Day | None,
    Query(description="first date of the other; the same at another sensor, else the weeks before"),
]
OtherLast = Annotated[Day | None, Query(description="last date of the other; equally many days by default")]


@dataclass(frozen=True, slots=True)
class ComparedPeriods:
    """Two periods, each a sensor with its first and last date.

    Attributes:
        periods: place, first and last date of both.
        step_s: length of the steps in which the course of both is drawn.
    """

    periods: tuple[tuple[str, date, date], tuple[str, date, date]]
    step_s: int


def compared_periods(
    parts: WebContext,
    place: str,
    other_place: str | None,
    dates: tuple[date | None, date | None],
    other_dates: tuple[date | None, date | None],
) -> ComparedPeriods:
    """Return the two periods of a request.

    Args:
        parts: the hub's parts.
        place: of the first.
        other_place: of the second; the same if None.
        dates: first and last date of the first; yesterday if None.
        other_dates: those of the second. By default the same at another sensor; at the same sensor as many whole
            weeks before as its days need, so that days of the week match.

    Raises:
        HTTPException: 404, there is no such sensor.
        InvalidError: a period ends before it begins, or has more than 366 days.
    """
    other = other_place or place
    for one in (place, other):
        get_sensor_or_404(parts.archive, one)
    first = dates[0] or dates[1] or datetime.now(parts.places.timezone).date() - timedelta(days=1)
    last = dates[1] or first
    days = (last - first).days
    back = timedelta(days=0 if other != place else _WEEK * -(-(days + 1) // _WEEK))
    other_first, other_last = other_dates
    if other_first is None:
        other_first = first - back if other_last is None else other_last - timedelta(days=days)
    other_last = other_last or other_first + timedelta(days=days)
    for begin, end in ((first, last), (other_first, other_last)):
        if end < begin:
            raise InvalidError(f"the last date {end} is before the first date {begin}")
        if (end - begin).days >= MOST_DAYS:
            raise InvalidError(f"{begin} to {end} are more than {MOST_DAYS} days: choose a shorter period")
    longest = 1 + max(days, (other_last - other_first).days)
    return ComparedPeriods(((place, first, last), (other, other_first, other_last)), step_s(longest))


def read_comparison(
    parts: WebContext, wanted: ComparedPeriods
) -> tuple[LevelComparison, tuple[PeriodCourse, PeriodCourse]]:
    """Return the comparison of two periods, and the course of both.

    Raises:
        UnavailableError: the store does not answer.
    """
    one, two = (parts.periods.course(*period, wanted.step_s) for period in wanted.periods)
    return compare(one.levels, two.levels), (one, two)


def comparison_query(wanted: ComparedPeriods) -> str:
    """Return the parameters of page and API for two periods."""
    (place, first, last), (other, other_first, other_last) = wanted.periods
    own = f"place={place}&first={first}&last={last}"
    return f"{own}&other_place={other}&other_first={other_first}&other_last={other_last}"


def compare_address(place: str, span: Span) -> str:
    """Return the address of the page that compares a span with the weeks before; "" of an hour."""
    last = span.end - timedelta(days=1)
    return "" if span.name == "hour" else f"/compare?place={place}&first={span.day}&last={last}"

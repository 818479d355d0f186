"""API of the levels of days: Lday, Levening, Lnight and Lden, and the loudest nights, as JSON or CSV."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator

from hub.domain.csv_rows import Row
from hub.domain.day_levels import STARTS, DayLevels, PeriodLevel
from hub.web.api.level_answers import answers, at_second, csv_answer, rounded, wants_csv
from hub.web.api.params import NAME, PLACE
from hub.web.context import WebContext
from hub.web.resolve import get_sensor_or_404
from shared.events import LevelUnit

MOST_DAYS: Final = 366
_DEFAULT_DAYS: Final = 31
_EARLIEST, _LATEST = date(1970, 1, 2), date(2199, 12, 30)
_PERIODS: Final = (*STARTS, "whole")


def _written_out(value: object) -> object:
    """Check that a date has the form of RFC 3339; pydantic alone would also accept seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("write a date like 2026-06-01")
    return value


def nearest_day(day: date) -> date:
    """Return the nearest date on which there can be levels."""
    return min(max(day, _EARLIEST), _LATEST)


Day = Annotated[date, BeforeValidator(_written_out), AfterValidator(nearest_day)]
First = Annotated[Day | None, Query(description="first date; 30 days before the last if not given")]
Last = Annotated[Day | None, Query(description="last date; today if not given")]


class PeriodLevelView(BaseModel):
    """A level of a span of time: the energetic mean of the seconds that have levels.

    `level` and `lafmax` are null if no second has a level. `valid_s` is the number of seconds with levels; the level
    is `complete` if they are at least 75 % of the time.
    """

    start: datetime
    end: datetime
    level: float | None
    lafmax: float | None
    valid_s: int
    complete: bool


class DayLevelsView(BaseModel):
    """Levels from 07:00 on a date to 07:00 of the next, local time.

    `lday` is of 07:00 to 19:00, `levening` of 19:00 to 23:00, `lnight` of 23:00 to 07:00, `whole` of all of it.
    `lden` (2002/49/EC) is null unless all three are complete.
    """

    day: date
    lden: float | None
    lday: PeriodLevelView
    levening: PeriodLevelView
    lnight: PeriodLevelView
    whole: PeriodLevelView


class DaysView(BaseModel):
    """Levels of days in order; `next` is the `first` of the rest, null if there is none."""

    place: str
    timezone: str
    unit: LevelUnit
    days: list[DayLevelsView]
    next: date | None


class NightView(BaseModel):
    """A night at a sensor: the date on which it began, and its Lnight."""

    place: str
    day: date
    unit: LevelUnit
    lnight: PeriodLevelView


class NightsView(BaseModel):
    """Complete nights, the loudest first."""

    site: str
    timezone: str
    nights: list[NightView]


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of the levels of days."""
    router = APIRouter(prefix="/levels", tags=["levels"])
    zone = parts.places.timezone

    @router.get("/days", response_model=DaysView, responses=answers("the levels of each day, in order"))
    def level_days(
        request: Request,
        place: Annotated[str, Query(pattern=PLACE, description="`site/sensor`", examples=["demo/street-1"])],
        first: First = None,
        last: Last = None,
    ) -> DaysView | Response:
        """Return Lday, Levening, Lnight and Lden of each day; CSV if `Accept` prefers `text/csv`, else JSON."""
        get_sensor_or_404(parts.archive, place)
        begin, end = _span(first, last, datetime.now(zone).date())
        until = min(end, begin + timedelta(days=MOST_DAYS - 1))
        found = parts.day_levels.days([place], begin, until)[place]
        if wants_csv(request):
            columns = ("day", "unit", "lden", *(f"{name}{of}" for name in _PERIODS for of in ("", *_OF_PERIOD)))
            return csv_answer(columns, ({"unit": found.unit, **_day_row(day)} for day in found.days))
        return DaysView(
            place=place,
            timezone=str(zone),
            unit=found.unit,
            days=[_day_view(day) for day in found.days],
            next=until + timedelta(days=1) if until < end else None,
        )

    @router.get("/nights", response_model=NightsView, responses=answers("nights, the loudest first"))
    def level_nights(
        request: Request,
        site: Annotated[str, Query(pattern=NAME, description="site", examples=["demo"])],
        first: First = None,
        last: Last = None,
        limit: Annotated[int, Query(ge=1, le=500, description="most nights to return")] = 20,
    ) -> NightsView | Response:
        """Return the nights with the highest Lnight at all sensors of a site, of at most the latest 366 days."""
        begin, end = _span(first, last, datetime.now(zone).date())
        places = [sensor.place for sensor in parts.archive.sensors.all() if sensor.place.startswith(f"{site}/")]
        since = max(begin, end - timedelta(days=MOST_DAYS - 1))
        nights = parts.day_levels.loudest_nights(places, since, end, limit)
        if wants_csv(request):
            columns = ("place", "day", "unit", "lnight", *(f"lnight{of}" for of in _OF_PERIOD))
            rows = (
                {"place": one.place, "day": str(one.day), "unit": one.unit, **_period_row("lnight", one.level)}
                for one in nights
            )
            return csv_answer(columns, rows)
        views = [
            NightView(place=one.place, day=one.day, unit=one.unit, lnight=_period_view(one.level)) for one in nights
        ]
        return NightsView(site=site, timezone=str(zone), nights=views)

    return router


_OF_PERIOD: Final = ("_lafmax", "_valid_s", "_complete", "_start", "_end")


def _span(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    end = last or today
    return first or nearest_day(end - timedelta(days=_DEFAULT_DAYS - 1)), end


def _day_view(day: DayLevels) -> DayLevelsView:
    periods = {name: _period_view(getattr(day, name)) for name in _PERIODS}
    return DayLevelsView(day=day.day, lden=rounded(day.lden), **periods)


def _period_view(one: PeriodLevel) -> PeriodLevelView:
    return PeriodLevelView(
        start=at_second(one.start_s),
        end=at_second(one.end_s),
        level=rounded(one.level),
        lafmax=rounded(one.lafmax),
        valid_s=one.valid_s,
        complete=one.complete,
    )


def _day_row(day: DayLevels) -> Row:
    row: dict[str, Any] = {"day": str(day.day), "lden": rounded(day.lden)}
    for name in _PERIODS:
        row |= _period_row(name, getattr(day, name))
    return row


def _period_row(name: str, one: PeriodLevel) -> dict[str, Any]:
    view = _period_view(one).model_dump(mode="json")
    return {name: view["level"], **{f"{name}{of}": view[of[1:]] for of in _OF_PERIOD}}

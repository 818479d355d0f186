"""Page that compares the levels of two sensors or of two periods."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from hub.domain.level_comparison import QUANTITIES, LevelComparison
from hub.domain.level_rows import HOUR_S, runs
from hub.store.level_statistics import DAY_S
from hub.store.period_queries import PeriodCourse
from hub.web.level_chart import HEIGHT, level_chart
from hub.web.level_comparisons import (
    First,
    Last,
    OtherFirst,
    OtherLast,
    OtherPlace,
    Place,
    compared_periods,
    comparison_query,
    read_comparison,
)
from hub.web.level_views import LABELS
from hub.web.pages.rendering import PageRenderer, as_json

_BEGIN: Final = time(7)
_STEPS: Final = {60: "minute", HOUR_S: "hour", DAY_S: "day"}
_NAMES: Final = ("first", "second")
_MOST_TICKS: Final = 12


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the page."""
    router = APIRouter()
    parts = shell.parts
    zone = parts.places.timezone

    @router.get("/compare")
    def comparison(
        request: Request,
        place: Place = None,
        first: First = None,
        last: Last = None,
        other_place: OtherPlace = None,
        other_first: OtherFirst = None,
        other_last: OtherLast = None,
    ) -> HTMLResponse:
        places = sorted(sensor.place for sensor in parts.archive.sensors.all())
        if not places:
            raise HTTPException(404, "no sensor yet: levels can be compared once a sensor has sent some")
        wanted = compared_periods(parts, place or places[0], other_place, (first, last), (other_first, other_last))
        found, courses = read_comparison(parts, wanted)
        levels = {
            name: np.array([np.nan if level is None else level for level in course.laeq])
            for name, course in zip(_NAMES, courses, strict=True)
        }
        count = max(map(len, levels.values()))
        drawn = {name: np.pad(own, (0, count - len(own)), constant_values=np.nan) for name, own in levels.items()}
        return shell.page(
            request,
            "level_compare.html",
            found=found,
            places=places,
            quantities=[(name, LABELS[name]) for name in QUANTITIES],
            chart=level_chart(drawn, 0) if found.period.unit == found.other.unit else None,
            height=HEIGHT,
            step=_STEPS[wanted.step_s],
            ticks=_ticks(count, wanted.step_s),
            lanes=[
                (f"The {name}", _gaps(course, wanted.step_s, datetime.now(zone)))
                for name, course in zip(_NAMES, courses, strict=True)
            ],
            pointer=as_json(_pointer_values(found, levels, count, wanted.step_s)),
            data=f"/api/v1/levels/comparison?{comparison_query(wanted)}",
        )

    return router


def _gaps(course: PeriodCourse, step_s: int, now: datetime) -> list[tuple[int, int]]:
    """Return the first step and the number of steps of each gap; what the clock leaves out or is to come is none."""
    past = int((now.replace(tzinfo=None) - datetime.combine(course.levels.first, _BEGIN)) / timedelta(seconds=step_s))
    missing = [there and level is None for there, level in zip(course.exists, course.laeq, strict=True)]
    return [(begin, end - begin) for begin, end in runs(np.array(missing[: max(0, past)], dtype=np.bool_))]


def _ticks(count: int, step_s: int) -> list[tuple[str, float]]:
    """Return labels of the axis of time, each with its place in per cent."""
    days = count * step_s // DAY_S
    if days == 1:
        return [(f"{(7 + hour) % 24}:00", 100 * hour / 24) for hour in range(0, 24, 2)]
    every = -(-days // _MOST_TICKS)
    return [(f"day {day + 1}", 100 * day / days) for day in range(0, days, every)]


def _pointer_values(found: LevelComparison, levels: dict[str, Any], count: int, step_s: int) -> dict[str, Any]:
    """Return what the script of the chart shows under the pointer, as JSON."""
    both = (found.period, found.other)
    return {
        "unit": found.period.unit,
        "labels": [_label([one.first for one in both], number, step_s) for number in range(count)],
        "links": [],
        "valid": [],
        "series": [
            {
                "name": f"the {name}",
                "values": [
                    None if np.isnan(level) else round(float(level), 1)
                    for level in np.pad(own, (0, count - len(own)), constant_values=np.nan)
                ],
            }
            for name, own in levels.items()
        ],
    }


def _label(firsts: Sequence[date], number: int, step_s: int) -> str:
    """Return the dates of a step in both periods, and its time by the clock."""
    at = [datetime.combine(first, _BEGIN) + timedelta(seconds=number * step_s) for first in firsts]
    dates = dict.fromkeys(f"{one:%a} {one.day} {one:%b}" for one in at)
    clock = "" if step_s == DAY_S else f", {at[0]:%H:%M}"
    return " and ".join(dates) + clock

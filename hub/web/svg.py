"""Geometry of the drawings on pages: numbers that templates turn into SVG."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from hub.domain.sensor_map import EARTH_M, Position
from hub.store.event_queries import LevelPoint

STRIP: Final = (240, 36)
"""Width and height of a strip chart."""
PLAN_WIDTH: Final = 800
_PLAN_HEIGHTS: Final = (240, 420)
_MARGIN: Final = 60
_LEAST_RANGE_DB: Final = 10.0
_LEAST_PLAN_M: Final = 200.0
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
STEPS: Final = 5
"""Heat shades, besides that of zero."""


@dataclass(frozen=True, slots=True)
class StripChart:
    """A level over time.

    Attributes:
        points: points of a polyline, in the box of `STRIP`.
        low: lowest level, dB.
        high: highest level, dB.
        last: the newest level, dB.
        since_ms: time of the first point, ms since 1970 UTC.
    """

    points: str
    low: float
    high: float
    last: float
    since_ms: int


def strip(levels: Sequence[LevelPoint]) -> StripChart | None:
    """Return a strip chart of levels, oldest first; None for fewer than two."""
    if len(levels) < 2:
        return None
    width, height = STRIP
    laeq = [level.laeq for level in levels]
    low, high = min(laeq), max(laeq)
    room = max(high - low, _LEAST_RANGE_DB)
    first, last = levels[0].at_ms, levels[-1].at_ms
    points = []
    for level in levels:
        x = width * (level.at_ms - first) / max(1, last - first)
        y = height - 3 - (height - 6) * (level.laeq - low) / room
        points.append(f"{x:.1f},{y:.1f}")
    return StripChart(" ".join(points), low, high, laeq[-1], first)


def heat_class(share: float | None, most: float) -> str:
    """Return the CSS class of a cell: `unknown`, or `heat-0` to `heat-5` for shares up to `most`."""
    if share is None or math.isnan(share):
        return "unknown"
    if share <= 0 or most <= 0:
        return "heat-0"
    return f"heat-{min(STEPS, max(1, math.ceil(STEPS * share / most)))}"


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week: share of such hours with the sound, and its shade."""

    share: float | None
    shade: str


@dataclass(frozen=True, slots=True)
class Week:
    """The hours of the week.

    Attributes:
        rows: names of the days, each with its 24 hours.
        most: highest share of an hour, in [0, 1].
    """

    rows: list[tuple[str, list[Cell]]]
    most: float


def week(profile: Sequence[Sequence[float]]) -> Week:
    """Return the hours of the week from shares in [0, 1], [7][24] from Monday 0:00; NaN where there is no data."""
    most = max((p for row in profile for p in row if not math.isnan(p)), default=0.0)
    rows = [
        (day, [Cell(None if math.isnan(p) else p, heat_class(p, most)) for p in row])
        for day, row in zip(DAYS, profile, strict=True)
    ]
    return Week(rows, most)


@dataclass(frozen=True, slots=True)
class Day:
    """A cell of the calendar; `hours` is None without data: the sensor was offline, or not there yet."""

    date: date
    hours: float | None
    shade: str


def calendar(
    hours: Mapping[date, float], last: date, weeks: int, observed: Collection[date]
) -> list[list[Day | None]]:
    """Return days in rows by day of the week and columns by week; the last column ends with `last`.

    Args:
        hours: hours with the sound, by day.
        last: the present day.
        weeks: number of columns.
        observed: days with data; other days without the sound have none.
    """
    monday = last - timedelta(days=last.weekday() + 7 * (weeks - 1))
    most = max(hours.values(), default=0.0)
    rows: list[list[Day | None]] = []
    for weekday in range(7):
        days = [monday + timedelta(days=weekday + 7 * week) for week in range(weeks)]
        rows.append([None if day > last else _day(day, hours, most, observed) for day in days])
    return rows


def _day(day: date, hours: Mapping[date, float], most: float, observed: Collection[date]) -> Day:
    lasted = hours.get(day, 0.0 if day in observed else None)
    return Day(day, lasted, heat_class(lasted, most))


@dataclass(frozen=True, slots=True)
class SiteMap:
    """A plan of sensors, north up.

    Attributes:
        width: width of the drawing.
        height: height of the drawing.
        dots: x and y of each place.
        scale: length of the scale bar in the drawing.
        scale_m: length that the scale bar stands for, in metres.
    """

    width: int
    height: int
    dots: Mapping[str, tuple[float, float]]
    scale: float
    scale_m: int

    @property
    def lines(self) -> tuple[list[float], list[float]]:
        """Return the x and the y of the lines of a grid as wide as the scale bar."""
        return (
            [round(self.scale * n, 1) for n in range(1, int(self.width / self.scale) + 1)],
            [round(self.scale * n, 1) for n in range(1, int(self.height / self.scale) + 1)],
        )


def plan(positions: Mapping[str, Position]) -> SiteMap | None:
    """Return a plan of places by latitude and longitude, projected at their centre; None for no places."""
    if not positions:
        return None
    lats, lons = zip(*positions.values(), strict=True)
    lat, lon = (min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2
    metres = {
        place: (
            EARTH_M * math.radians(position[1] - lon) * math.cos(math.radians(lat)),
            EARTH_M * math.radians(position[0] - lat),
        )
        for place, position in positions.items()
    }
    across = max(_LEAST_PLAN_M, 2 * max(abs(x) for x, _ in metres.values()))
    along = max(_LEAST_PLAN_M, 2 * max(abs(y) for _, y in metres.values()))
    low, high = _PLAN_HEIGHTS
    per_m = min((PLAN_WIDTH - 2 * _MARGIN) / across, (high - 2 * _MARGIN) / along)
    height = round(min(high, max(low, along * per_m + 2 * _MARGIN)))
    dots = {
        place: (round(PLAN_WIDTH / 2 + x * per_m, 1), round(height / 2 - y * per_m, 1))
        for place, (x, y) in metres.items()
    }
    scale_m = _round_length(PLAN_WIDTH / 5 / per_m)
    return SiteMap(PLAN_WIDTH, height, dots, round(scale_m * per_m, 1), scale_m)


def _round_length(longest_m: float) -> int:
    """Return the longest of 1, 2, 5, 10, ... metres that fits."""
    power = 10 ** math.floor(math.log10(max(1.0, longest_m)))
    return int(max(step * power for step in (1, 2, 5) if step * power <= max(1.0, longest_m)))

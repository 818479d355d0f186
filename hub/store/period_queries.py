"""Levels of periods of whole days at sensors, and their course by the local clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from hub.domain.day_levels import bounds, day_levels, in_whole_hours
from hub.domain.level_comparison import PeriodLevels, clock_levels, period_levels
from hub.domain.level_rows import HOUR_S
from hub.store.level_statistics import DAY_S, PERIOD_S, LevelStatistics, Resolution
from hub.store.levels import LevelStore, applying

MOST_DAYS: Final = 366
_MINUTES_UP_TO, _HOURS_UP_TO = 2, 31


@dataclass(frozen=True, slots=True)
class PeriodCourse:
    """The levels of a period, and LAeq by the local clock.

    Attributes:
        levels: of the period.
        laeq: LAeq of each `step_s` from 07:00 on the first date on; None without a level.
        exists: whether the clock has the time at all: in spring it leaves out an hour.
    """

    levels: PeriodLevels
    laeq: Sequence[float | None]
    exists: Sequence[bool]


def step_s(days: int) -> int:
    """Return the length of the steps in which the course of some days is drawn: a minute, an hour or a day."""
    if days <= _MINUTES_UP_TO:
        return PERIOD_S["minute"]
    return HOUR_S if days <= _HOURS_UP_TO else DAY_S


class PeriodQueries:
    """Reads the levels of periods; safe to use from several threads.

    Args:
        levels: of seconds, for the calibrations.
        statistics: the stored statistics.
        zone: time zone of the sites.
    """

    def __init__(self, levels: LevelStore, statistics: LevelStatistics, zone: ZoneInfo) -> None:
        self._levels = levels
        self._statistics = statistics
        self._zone = zone

    def course(self, place: str, first: date, last: date, step: int) -> PeriodCourse:
        """Return the levels of the days from `first` to `last` at a sensor, at least one day.

        Args:
            place: `site/sensor`.
            first: date on which the first day begins.
            last: date on which the last day begins, at most 366 days later.
            step: length of the steps of the course, in seconds, as `step_s` returns it.

        Raises:
            UnavailableError: the store does not answer.
        """
        zone = self._zone
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        edges = [*(bounds(day, zone)[0] for day in days), bounds(last, zone)[-1]]
        begin_s, end_s = edges[0], edges[-1]
        whole_hours = step >= HOUR_S and all(in_whole_hours(day, zone) for day in days)
        resolution: Resolution = "hour" if whole_hours else "minute"
        period_s = PERIOD_S[resolution]
        table = self._statistics.table(place, begin_s, end_s, resolution)
        hours = self._statistics.table(place, -(-begin_s // HOUR_S) * HOUR_S, end_s // HOUR_S * HOUR_S, "hour")
        applied = applying(self._levels.calibrations(place, end_s), begin_s)
        levels = period_levels(
            place,
            [day_levels(day, zone, table, begin_s, period_s) for day in days],
            hours,
            table.unit,
            [one.id for one in applied] if table.unit == "dB" else (),
        )
        local_s = _local_s(edges, period_s, zone)
        return PeriodCourse(levels, *clock_levels(table, local_s, len(days) * DAY_S, step))


def _local_s(edges: Sequence[int], period_s: int, zone: ZoneInfo) -> list[int]:
    """Return the begin of each period between the begins of days by the local clock, in seconds since the first."""
    first_s = edges[0] + _offset_s(edges[0], zone)
    found = []
    for begin_s, end_s in pairwise(edges):
        starts, offset_s = range(begin_s, end_s, period_s), _offset_s(begin_s, zone)
        if offset_s == _offset_s(end_s, zone):
            found += [at_s + offset_s - first_s for at_s in starts]
        else:
            found += [at_s + _offset_s(at_s, zone) - first_s for at_s in starts]
    return found


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())

"""Levels of days, evenings and nights, Lden, and the loudest nights, from the stored statistics of hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from hub.domain.day_levels import DayLevels, PeriodLevel, bounds, day_levels, in_whole_hours, mean_level
from hub.domain.level_rows import LevelTable
from hub.store.level_statistics import PERIOD_S, LevelStatistics, Resolution
from shared.events import LevelUnit


@dataclass(frozen=True, slots=True)
class PlaceDays:
    """Levels of consecutive days at a sensor.

    Attributes:
        unit: `dB` if any of the levels is calibrated, else `dBFS`.
        days: in order.
    """

    unit: LevelUnit
    days: list[DayLevels]


@dataclass(frozen=True, slots=True)
class Night:
    """A night at a sensor: the date on which it began, and its level."""

    place: str
    day: date
    level: PeriodLevel
    unit: LevelUnit


class DayLevelQueries:
    """Reads levels of days; safe to use from several threads.

    Args:
        statistics: the stored statistics.
        zone: time zone of the sites.
    """

    def __init__(self, statistics: LevelStatistics, zone: ZoneInfo) -> None:
        self._statistics = statistics
        self.zone = zone

    def days(self, places: Sequence[str], first: date, last: date) -> dict[str, PlaceDays]:
        """Return the levels of the days from `first` to `last`, by place.

        Where the time zone differs from UTC by a part of an hour, they are computed from minutes, which takes longer.

        Raises:
            UnavailableError: the store does not answer.
        """
        wanted = _dates(first, last)
        if not wanted:
            return {place: PlaceDays("dBFS", []) for place in places}
        tables, start_s, period_s = self._tables(places, wanted)
        return {
            place: PlaceDays(table.unit, [day_levels(day, self.zone, table, start_s, period_s) for day in wanted])
            for place, table in tables.items()
        }

    def loudest_nights(self, places: Sequence[str], first: date, last: date, limit: int) -> list[Night]:
        """Return the nights with the highest Lnight among complete ones, the loudest first.

        Levels in dB come before those in dBFS, with which they cannot be compared.

        Raises:
            UnavailableError: the store does not answer.
        """
        wanted = _dates(first, last)
        if not wanted:
            return []
        tables, start_s, period_s = self._tables(places, wanted)
        spans = [(day, *bounds(day, self.zone)[2:]) for day in wanted]
        nights = [
            Night(place, day, level, table.unit)
            for place, table in tables.items()
            for day, begin_s, end_s in spans
            if (level := mean_level(table, start_s, period_s, begin_s, end_s)).complete
        ]
        nights.sort(key=_loudness, reverse=True)
        return nights[:limit]

    def _tables(self, places: Sequence[str], days: Sequence[date]) -> tuple[dict[str, LevelTable], int, int]:
        """Return the statistics of consecutive days by place, the begin of the first and the length of each, in s."""
        resolution: Resolution = "hour" if all(in_whole_hours(day, self.zone) for day in days) else "minute"
        period_s = PERIOD_S[resolution]
        start_s = bounds(days[0], self.zone)[0] // period_s * period_s
        end_s = -(-bounds(days[-1], self.zone)[-1] // period_s) * period_s
        return self._statistics.tables(places, start_s, end_s, resolution), start_s, period_s


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _loudness(night: Night) -> tuple[bool, float]:
    return night.unit == "dB", night.level.level or 0.0

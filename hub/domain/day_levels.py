"""Levels of day, evening and night, and Lden, from the statistics of hours or minutes. No I/O.

1. A day lasts from 07:00 to 07:00 of the next day, local time: day from 07:00 to 19:00, evening from 19:00 to 23:00,
   night from 23:00 to 07:00. So a night belongs to the date on which it begins. On two dates a year it has 7 or 9 h.
   Source: Directive 2002/49/EC, Annex I, 1, whose default hours these are.
2. A level is the energetic mean of the seconds that have levels. Its *valid time* is their number.
3. A level is *complete* if at least 75 % of its time is valid; no noise standard states a share. Source of the share:
   Directive 2008/50/EC, Annex XI, B, for averages of hours and days of air quality.
4. Lden needs all three levels complete.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.domain.level_rows import HOUR_S, STATISTICS, LevelTable

MIN_VALID_SHARE: Final = 0.75
STARTS: Final = {"lday": 7, "levening": 19, "lnight": 23}
"""First hour of each period, local time."""
LDEN_HOURS: Final = (12.0, 4.0, 8.0)
LDEN_ADDED_DB: Final = (0.0, 5.0, 10.0)
"""Weights of day, evening and night in Lden, and what is added to each. Source: 2002/49/EC, Annex I, 1."""
_LAEQ: Final = STATISTICS.index("laeq")
_LAFMAX: Final = STATISTICS.index("lafmax")


@dataclass(frozen=True, slots=True)
class PeriodLevel:
    """A level of a span of time.

    Attributes:
        start_s: begin, in seconds since 1970 UTC.
        end_s: end, likewise.
        level: energetic mean LAeq in dB; None without a second with a level.
        lafmax: highest LAFmax in dB; None likewise.
        valid_s: number of seconds with levels.
    """

    start_s: int
    end_s: int
    level: float | None
    lafmax: float | None
    valid_s: int

    @property
    def complete(self) -> bool:
        """Return whether enough of the time is valid."""
        return self.valid_s >= MIN_VALID_SHARE * (self.end_s - self.start_s)

    @property
    def stated(self) -> float | None:
        """Return the level if it is complete, else None."""
        return self.level if self.complete else None


@dataclass(frozen=True, slots=True)
class DayLevels:
    """Levels of a day, from 07:00 to 07:00.

    Attributes:
        day: the date on which it begins.
        lday: 07:00 to 19:00.
        levening: 19:00 to 23:00.
        lnight: 23:00 to 07:00 of the next date.
        whole: all of it.
    """

    day: date
    lday: PeriodLevel
    levening: PeriodLevel
    lnight: PeriodLevel
    whole: PeriodLevel

    @property
    def lden(self) -> float | None:
        """Return Lden in dB; None unless the levels of day, evening and night are complete."""
        return lden(self.lday.stated, self.levening.stated, self.lnight.stated)


def bounds(day: date, zone: ZoneInfo) -> tuple[int, int, int, int]:
    """Return the begins of day, evening and night, and the end of the night, in seconds since 1970 UTC."""
    begins = [(day, hour) for hour in STARTS.values()]
    day_s, evening_s, night_s, end_s = (
        int(datetime.combine(on, time(hour), zone).astimezone(UTC).timestamp())
        for on, hour in [*begins, (day + timedelta(days=1), STARTS["lday"])]
    )
    return day_s, evening_s, night_s, end_s


def in_whole_hours(day: date, zone: ZoneInfo) -> bool:
    """Return whether the periods of a day begin with hours of UTC, so that the statistics of hours serve."""
    return all(at % HOUR_S == 0 for at in bounds(day, zone))


def day_levels(day: date, zone: ZoneInfo, table: LevelTable, start_s: int, period_s: int) -> DayLevels:
    """Return the levels of a day.

    Args:
        day: the date on which it begins.
        zone: time zone of the site.
        table: statistics of consecutive hours or minutes that include the day.
        start_s: begin of the first, in seconds since 1970 UTC.
        period_s: length of each: 3,600 or 60 s. Hours serve only if `in_whole_hours`.
    """
    at = bounds(day, zone)
    spans = [*pairwise(at), (at[0], at[-1])]
    lday, levening, lnight, whole = (mean_level(table, start_s, period_s, first_s, end_s) for first_s, end_s in spans)
    return DayLevels(day, lday, levening, lnight, whole)


def mean_level(table: LevelTable, start_s: int, period_s: int, first_s: int, end_s: int) -> PeriodLevel:
    """Return the level of a span of time, from the statistics of consecutive periods that include it."""
    rows = slice((first_s - start_s) // period_s, (end_s - start_s) // period_s)
    levels, seconds = table.levels[rows], table.seconds[rows]
    present = seconds > 0
    valid_s = int(seconds.sum())
    if not valid_s:
        return PeriodLevel(first_s, end_s, None, None, 0)
    energy = float((10.0 ** (levels[present, _LAEQ] / 10.0) * seconds[present]).sum())
    lafmax = float(levels[present, _LAFMAX].max())
    return PeriodLevel(first_s, end_s, 10.0 * math.log10(energy / valid_s), lafmax, valid_s)


def lden(lday: float | None, levening: float | None, lnight: float | None) -> float | None:
    """Return the day-evening-night level in dB; None if a level is missing.

    Source: Directive 2002/49/EC, Annex I, 1.
    """
    energy = 0.0
    for level, hours, added_db in zip((lday, levening, lnight), LDEN_HOURS, LDEN_ADDED_DB, strict=True):
        if level is None:
            return None
        energy += hours * 10.0 ** ((level + added_db) / 10.0)
    return 10.0 * math.log10(energy / sum(LDEN_HOURS))


def long_term(levels: Sequence[float | None]) -> float | None:
    """Return the energetic mean of the levels of days, dB, without the missing ones; None if there is none.

    Source: 2002/49/EC, Annex I, 1: Lday, Levening and Lnight are determined over all periods of a year.
    """
    known = np.array([level for level in levels if level is not None])
    return float(10.0 * np.log10(np.mean(10.0 ** (known / 10.0)))) if known.size else None

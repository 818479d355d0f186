"""Limits of levels as data: which quantity a rule compares with which limit, and when it applies. No I/O.

1. A rule judges each *period*: a minute or an hour of UTC, the `hours` of a date as a whole (`window`), a day from
   07:00 to 07:00 or one of its parts (`hub.domain.day_levels`), or a year of such days.
2. `hours` and `days` are local time. Where `hours` include midnight, the time after midnight belongs to the date
   before, as a night does. An hour of UTC counts if all of it is within `hours`.
3. Either `limit_db` is the limit, or L90 of the same hour of UTC plus `above_ambient_db`: the background level.
   Source: BS 4142:2014+A1:2019, clause 3 (LA90,T), which takes it without the sound that is assessed. The hub cannot:
   a sound that lasts for more than 90 % of the hour is part of its ambient level.
4. A level exceeds its limit if it is above limit plus tolerance; with `inclusive`, if it reaches them. Levels and
   limits are compared as pages show them, to 0.1 dB.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hub.domain.day_levels import bounds
from hub.domain.level_rows import HOUR_S, MINUTES, Floats

Quantity = Literal["laeq", "lafmax", "lceq", "l10", "l50", "l90", "lday", "levening", "lnight", "lden"]
Period = Literal["minute", "hour", "window", "day", "year"]
QUANTITIES: Final[tuple[Quantity, ...]] = get_args(Quantity)
PERIODS: Final[tuple[Period, ...]] = get_args(Period)
OF_DAYS: Final[tuple[Quantity, ...]] = ("lday", "levening", "lnight", "lden")
"""Quantities of a day or a year; all others are of a minute, an hour or a window."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1_440
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday."""
_HALF_HOUR_S: Final = 1_800

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A limit of a level.

    Attributes:
        name: unique, of lower-case letters, digits and hyphens.
        title: what the rule states, in a few words.
        source: law, directive or guideline that states it, with its section.
        quantity: the level that is compared.
        period: what each level is of.
        limit_db: the limit in dB; None if it is relative.
        above_ambient_db: margin over the ambient level (L90 of the hour) in dB; None if the limit is absolute.
        tolerance_db: added to the limit, such as the uncertainty of the measurement, in dB.
        inclusive: whether a level that equals limit plus tolerance exceeds it.
        hours: begin and end in minutes after midnight, local time, in [0, 1440]; None for the whole day.
        days: weekdays, 0 for Monday; all if empty.
        places: sites, or `site/sensor`; all if empty.
        notify: whether Prometheus alerts on its exceedances.
        note: what a reader must know, such as how the law measures otherwise.
    """

    name: str
    title: str
    source: str
    quantity: Quantity
    period: Period
    limit_db: float | None = None
    above_ambient_db: float | None = None
    tolerance_db: float = 0.0
    inclusive: bool = False
    hours: tuple[int, int] | None = None
    days: tuple[int, ...] = ()
    places: tuple[str, ...] = ()
    notify: bool = False
    note: str = ""

    def is_for(self, place: str) -> bool:
        """Return whether the rule is for a `site/sensor`."""
        return not self.places or place in self.places or place.partition("/")[0] in self.places

    def digest(self, zone: ZoneInfo) -> str:
        """Return a text that changes if the rule judges otherwise."""
        judging = asdict(self)
        for name in ("title", "source", "notify", "note"):
            del judging[name]
        return hashlib.sha256(json.dumps([judging, str(zone)]).encode()).hexdigest()[:16]

    def applies(self, local: Integers) -> Flags:
        """Return which minutes are within the rule's hours and days.

        Args:
            local: minutes since 1970 of local time, as `local_minutes` returns them.
        """
        day, minute = local // DAY_MINUTES, local % DAY_MINUTES
        inside = np.ones(local.shape, dtype=bool)
        if self.hours is not None:
            begin, end = self.hours
            inside = (minute >= begin) & (minute < end)
            if begin > end:
                inside = (minute >= begin) | (minute < end)
                day = day - (minute < end)
        if self.days:
            inside &= np.isin((day + _EPOCH_WEEKDAY) % 7, self.days)
        return np.asarray(inside)

    def applies_on(self, day: date) -> bool:
        """Return whether the rule judges the day that begins on a date."""
        return not self.days or day.weekday() in self.days

    def exceeded_by(self, levels: Floats, limits: Floats) -> Flags:
        """Return which levels exceed their limits, both in dB; NaN never does."""
        excess = np.round(levels - limits - self.tolerance_db, 1)
        return np.asarray(excess >= 0 if self.inclusive else excess > 0)


def local_minutes(first_hour: int, hours: int, zone: ZoneInfo) -> Integers:
    """Return the local time of each minute of some hours of UTC, in minutes since 1970.

    Args:
        first_hour: number of the first hour since 1970 UTC.
        hours: number of hours.
        zone: the time zone. It changes clocks at full or half hours of UTC, as all zones do since 1973.

    Returns:
        int64 [hours, 60].
    """
    begins = [first_hour * HOUR_S + _HALF_HOUR_S * half for half in range(2 * hours)]
    offsets = [(datetime.fromtimestamp(at, zone).utcoffset() or timedelta()) // timedelta(minutes=1) for at in begins]
    utc = np.arange(first_hour * MINUTES, (first_hour + hours) * MINUTES)
    return np.asarray(utc + np.repeat(np.array(offsets, dtype=np.int64), MINUTES // 2)).reshape(hours, MINUTES)


def day_bounds(rule: LimitRule, on: date, zone: ZoneInfo) -> tuple[int, int]:
    """Return begin and end of the day or window of a rule that begins on a date, in seconds since 1970 UTC."""
    if rule.period == "window":
        begin, end = rule.hours or (0, DAY_MINUTES)
        return _at_s(on, begin, zone), _at_s(on, end if begin < end else end + DAY_MINUTES, zone)
    day_s, evening_s, night_s, end_s = bounds(on, zone)
    spans = {"lday": (day_s, evening_s), "levening": (evening_s, night_s), "lnight": (night_s, end_s)}
    return spans.get(rule.quantity, (day_s, end_s))


def year_bounds(year: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return begin and end of a year of days from 07:00 to 07:00, in seconds since 1970 UTC."""
    return bounds(date(year, 1, 1), zone)[0], bounds(date(year, 12, 31), zone)[-1]


def periods_between(rule: LimitRule, since_s: int, until_s: int, zone: ZoneInfo) -> int:
    """Return the number of a rule's periods that begin in an interval and end before its end.

    Args:
        rule: the rule.
        since_s: begin of the interval, a full hour in seconds since 1970 UTC.
        until_s: end, likewise.
        zone: time zone of the rule's hours and days.
    """
    if since_s >= until_s:
        return 0
    if rule.period in ("minute", "hour"):
        applies = rule.applies(local_minutes(since_s // HOUR_S, (until_s - since_s) // HOUR_S, zone))
        return int(applies.sum() if rule.period == "minute" else applies.all(axis=1).sum())
    first, last = (datetime.fromtimestamp(at_s, zone).date() for at_s in (since_s, until_s))
    if rule.period == "year":
        spans = [year_bounds(year, zone) for year in range(first.year - 1, last.year + 1)]
    else:
        dates = (first + timedelta(days=number) for number in range(-1, (last - first).days + 1))
        spans = [day_bounds(rule, on, zone) for on in dates if rule.applies_on(on)]
    return sum(since_s <= begin_s and end_s <= until_s for begin_s, end_s in spans)


def _at_s(day: date, minute: int, zone: ZoneInfo) -> int:
    days, minute = divmod(minute, DAY_MINUTES)
    at = datetime.combine(day + timedelta(days=days), time(minute // 60, minute % 60), zone)
    return int(at.astimezone(UTC).timestamp())

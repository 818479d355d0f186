"""Judge levels by limits: which periods exceed them, and which cannot be judged. No I/O.

1. A period is judged if at least 75 % of it has levels in dB (`hub.domain.day_levels.MIN_VALID_SHARE`). A margin over
   the ambient level also needs such an hour with L90. Levels in dBFS are never judged.
2. Minutes are judged hour by hour: an *exceedance* is one hour of a sensor in which at least one minute exceeds the
   limit. Of all other rules it is the period.
3. A year is judged if at least 75 % of its days have the level; its level is their energetic mean.
   Source: 2002/49/EC, Annex I, 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.domain.day_levels import (
    MIN_VALID_SHARE,
    DayLevels,
    day_levels,
    in_whole_hours,
    long_term,
    mean_level,
)
from hub.domain.level_rows import HOUR_S, MINUTES, STATISTICS, Codes, Floats, LevelTable, calibrated_table
from hub.domain.limits import DAY_MINUTES, Flags, LimitRule, day_bounds, local_minutes, year_bounds

HOURS: Final = 24
DAY_S: Final = HOURS * HOUR_S
_L90: Final = STATISTICS.index("l90")


@dataclass(frozen=True, slots=True)
class Exceedance:
    """A level above a limit at a sensor.

    Attributes:
        rule: name of the rule.
        place: `site/sensor`.
        start_s: begin of the period, in seconds since 1970 UTC; of a rule of minutes that of their hour.
        end_s: end, likewise.
        worst_s: begin of the minute that exceeds the limit most; `start_s` of all other rules.
        level: the level, dB; the highest above its limit of a rule of minutes.
        limit: the limit that it was compared with, without tolerance, dB.
        ambient: the ambient level of a relative limit, dB; else None.
        exceeded: number of periods above the limit; 1 unless the rule is of minutes.
        judged: number of periods that were judged, likewise.
        valid: share of the period that has levels, in [0, 1]; of a year, of its days.
    """

    rule: str
    place: str
    start_s: int
    end_s: int
    worst_s: int
    level: float
    limit: float
    ambient: float | None = None
    exceeded: int = 1
    judged: int = 1
    valid: float = 1.0

    @property
    def id(self) -> str:
        """Return the id: the same for the same rule, sensor and period."""
        return exceedance_id(self.rule, self.place, self.start_s)

    @property
    def excess(self) -> float:
        """Return how far the level is above the limit, dB."""
        return round(self.level - self.limit, 1)


def exceedance_id(rule: str, place: str, start_s: int) -> str:
    """Return the id of the exceedance of a rule by the period that begins at a time."""
    return f"{rule}.{place.replace('/', '.')}.{start_s}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a period, or of the minutes of an hour.

    Attributes:
        start_s: begin, in seconds since 1970 UTC.
        judged: number of periods that were judged.
        exceeded: number of these above the limit.
        uncalibrated: number of periods that were not judged because their levels are in dBFS.
        exceedance: the exceedance, if there is one.
    """

    start_s: int
    judged: int = 0
    exceeded: int = 0
    uncalibrated: int = 0
    exceedance: Exceedance | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HourLimits:
    """The limit of each minute of some hours.

    Attributes:
        limits: float64 [hours, 60] in dB; NaN where the rule does not apply or the ambient level is not known.
        applies: bool [hours, 60], where the rule applies.
        ambient: float64 [hours] in dB; NaN where it is not known.
    """

    limits: Floats
    applies: Flags
    ambient: Floats


def hour_limits(rule: LimitRule, hours: LevelTable, first_hour: int, zone: ZoneInfo) -> HourLimits:
    """Return the limits of a rule of minutes or hours.

    Args:
        rule: the rule.
        hours: statistics of consecutive hours.
        first_hour: number of the first since 1970 UTC.
        zone: time zone of the rule's hours and days.
    """
    applies = rule.applies(local_minutes(first_hour, len(hours.seconds), zone))
    if rule.period == "hour":
        applies = np.repeat(applies.all(axis=1), MINUTES).reshape(applies.shape)
    known = (hours.seconds >= MIN_VALID_SHARE * HOUR_S) & (hours.unit == "dB")
    ambient = np.where(known, hours.levels[:, _L90], np.nan)
    limit = np.full(len(ambient), rule.limit_db) if rule.limit_db is not None else ambient + rule.above_ambient_db
    return HourLimits(np.where(applies, limit[:, None], np.nan), applies, ambient)


def judge_hours(rule: LimitRule, place: str, day: int, codes: Codes, zone: ZoneInfo) -> list[Judgement]:
    """Judge the hours of a day of UTC by a rule of minutes or hours.

    Args:
        rule: the rule.
        place: `site/sensor`.
        day: number of the day since 1970 UTC.
        codes: statistics of its hours, then of its minutes, uint16 [1464, 7]; without levels in hours to come.
        zone: time zone of the rule's hours and days.

    Returns:
        The judgements of the 24 hours.
    """
    hours = calibrated_table(codes[:HOURS])
    found = hour_limits(rule, hours, day * HOURS, zone)
    of_minutes = rule.period == "minute"
    table = calibrated_table(codes[HOURS:] if of_minutes else codes[:HOURS])
    per_hour = len(table.seconds) // HOURS
    period_s = HOUR_S // per_hour
    shape = (HOURS, per_hour)
    limits, applies = found.limits[:, :per_hour], found.applies[:, :per_hour]
    levels = table.levels[:, STATISTICS.index(rule.quantity)].reshape(shape)
    valid = table.seconds.reshape(shape) / period_s
    judged = applies & (valid >= MIN_VALID_SHARE) & np.isfinite(levels) & np.isfinite(limits)
    over = judged & rule.exceeded_by(levels, limits)
    worst = np.where(over, levels - limits, -np.inf).argmax(axis=1).tolist()
    counts = [flags.sum(axis=1).tolist() for flags in (judged, over, applies & table.uncalibrated.reshape(shape))]
    judgements = []
    for hour, (of_hour, exceeded, missed) in enumerate(zip(*counts, strict=True)):
        start_s, at = (day * HOURS + hour) * HOUR_S, worst[hour]
        exceedance = Exceedance(
            rule.name,
            place,
            start_s,
            start_s + HOUR_S,
            start_s + at * period_s,
            round(float(levels[hour, at]), 1),
            round(float(limits[hour, at]), 1),
            ambient=None if rule.limit_db is not None else round(float(found.ambient[hour]), 1),
            exceeded=exceeded,
            judged=of_hour,
            valid=round(float(valid[hour, at]), 3),
        )
        judgements.append(Judgement(start_s, of_hour, exceeded, missed, exceedance if exceeded else None))
    return judgements


def days_of(rule: LimitRule, day: int, zone: ZoneInfo) -> list[tuple[date, int, int]]:
    """Return the dates whose day or window overlaps a day of UTC and that the rule judges, each with its bounds.

    Args:
        rule: a rule of days or windows.
        day: number of the day since 1970 UTC.
        zone: time zone of the rule's hours and days.

    Returns:
        The date, and begin and end in seconds since 1970 UTC.
    """
    near = date(1970, 1, 1) + timedelta(days=day)
    spans = [(on, *day_bounds(rule, on, zone)) for on in (near + timedelta(days=more) for more in (-1, 0, 1))]
    return [
        (on, start_s, end_s)
        for on, start_s, end_s in spans
        if start_s < (day + 1) * DAY_S and end_s > day * DAY_S and rule.applies_on(on)
    ]


def judge_day(
    rule: LimitRule, place: str, on: date, blocks: Sequence[Codes], first_day: int, zone: ZoneInfo
) -> Judgement:
    """Judge a day, or the window that begins on a date.

    Args:
        rule: a rule of days or windows.
        place: `site/sensor`.
        on: the date.
        blocks: statistics of consecutive days of UTC that include it, each as `judge_hours` takes them.
        first_day: number of the first of these since 1970 UTC.
        zone: time zone of the rule's hours and days.
    """
    start_s, end_s = day_bounds(rule, on, zone)
    whole = in_whole_hours(on, zone) and start_s % HOUR_S == end_s % HOUR_S == 0
    rows, period_s = (slice(HOURS), HOUR_S) if whole else (slice(HOURS, HOURS + DAY_MINUTES), 60)
    table = calibrated_table(np.concatenate([block[rows] for block in blocks]))
    first_s = first_day * DAY_S
    lafmax = rule.quantity == "lafmax"
    if rule.period == "window":
        part = mean_level(table, first_s, period_s, start_s, end_s)
        level = (part.lafmax if lafmax else part.level) if part.complete else None
        valid_s = part.valid_s
    else:
        levels = day_levels(on, zone, table, first_s, period_s)
        level = _of_day(rule, levels)
        valid_s = (levels.whole if rule.quantity == "lden" else getattr(levels, rule.quantity)).valid_s
    if level is None:
        within = slice((start_s - first_s) // period_s, (end_s - first_s) // period_s)
        return Judgement(start_s, uncalibrated=int(table.uncalibrated[within].any()))
    return _judgement(rule, place, (start_s, end_s), level, valid_s / (end_s - start_s))


def judge_year(rule: LimitRule, place: str, year: int, days: Sequence[DayLevels], zone: ZoneInfo) -> Judgement:
    """Judge a year.

    Args:
        rule: a rule of years.
        place: `site/sensor`.
        year: the year.
        days: levels of all its days, in dB.
        zone: time zone of the days.
    """
    levels = [_of_day(rule, one) for one in days]
    known = sum(level is not None for level in levels)
    mean = long_term(levels)
    start_s, end_s = year_bounds(year, zone)
    if mean is None or known < MIN_VALID_SHARE * len(days):
        return Judgement(start_s)
    return _judgement(rule, place, (start_s, end_s), mean, known / len(days))


def _of_day(rule: LimitRule, levels: DayLevels) -> float | None:
    """Return the complete level of a day that the rule compares, dB; None if there is none."""
    level: float | None = levels.lden if rule.quantity == "lden" else getattr(levels, rule.quantity).stated
    return level


def _judgement(rule: LimitRule, place: str, span: tuple[int, int], level: float, valid: float) -> Judgement:
    """Return the judgement of a single level; such rules have an absolute limit."""
    limit, level = rule.limit_db or 0.0, round(level, 1)
    start_s, end_s = span
    if not rule.exceeded_by(np.array(level), np.array(limit)):
        return Judgement(start_s, judged=1)
    found = Exceedance(rule.name, place, start_s, end_s, start_s, level, limit, valid=round(min(valid, 1.0), 3))
    return Judgement(start_s, judged=1, exceeded=1, exceedance=found)

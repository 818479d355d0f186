"""Describe limits in words, for pages, commands and texts. No I/O."""

from collections.abc import Mapping
from typing import Final

from hub.domain.limits import WEEKDAYS, LimitRule, Period, Quantity

QUANTITY_NAMES: Final[Mapping[Quantity, str]] = {
    "laeq": "LAeq",
    "lafmax": "LAFmax",
    "lceq": "LCeq",
    "l10": "L10",
    "l50": "L50",
    "l90": "L90",
    "lday": "Lday",
    "levening": "Levening",
    "lnight": "Lnight",
    "lden": "Lden",
}
_OF: Final[Mapping[Period, str]] = {
    "minute": "of a minute",
    "hour": "of an hour",
    "window": "of these hours",
    "year": "of a year",
}


def describe_rule(rule: LimitRule) -> str:
    """Return when a level exceeds a rule: "LAeq of an hour above 55 dB, 22:00 to 07:00, Sat, Sun"."""
    of = "" if rule.period == "day" else f" {_OF[rule.period]}"
    words = [f"{QUANTITY_NAMES[rule.quantity]}{of} {describe_limit(rule)}"]
    if hours := describe_hours(rule):
        words.append(hours)
    words += [WEEKDAYS[day].capitalize() for day in rule.days]
    return ", ".join(words)


def describe_limit(rule: LimitRule) -> str:
    """Return the limit of a rule with its tolerance: "at least 7 dB over ambient (L90)", "above 55 dB"."""
    least = "at least" if rule.inclusive else "above"
    tolerance = f" + {rule.tolerance_db:g} dB" if rule.tolerance_db else ""
    if rule.limit_db is not None:
        return f"{least} {rule.limit_db:g} dB{tolerance}"
    return f"{least} {rule.above_ambient_db:g} dB over ambient (L90){tolerance}"


def describe_hours(rule: LimitRule) -> str:
    """Return the hours of a rule, "22:00 to 07:00"; "" if it is for the whole day."""
    if rule.hours is None:
        return ""
    return " to ".join(clock(minutes) for minutes in rule.hours)


def clock(minutes: int) -> str:
    """Return a time of day from minutes after midnight: "07:30", up to "24:00"."""
    return f"{minutes // 60:02}:{minutes % 60:02}"

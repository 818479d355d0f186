"""Define the keys of levels and limits in Redis, in the way of `hub.store.keys`."""

from typing import Final

from hub.store.keys import PREFIX

LEVEL_HOURS: Final = f"{PREFIX}:levels:hours"  # sorted set: `<place>:<hour>` with levels of seconds, by begin in s
LEVEL_DAYS: Final = f"{PREFIX}:levels:statistic-days"  # sorted set: `<place>:<day>` with statistics, by begin in s
BAND_HOURS: Final = f"{PREFIX}:bands:hours"  # sorted set: `<place>:<hour>` with bands of seconds, by begin in s
EXCEEDANCES: Final = f"{PREFIX}:exceedances"  # sorted set: time index of exceedances of limits, by begin
EXCEEDANCE_ROWS: Final = f"{EXCEEDANCES}:rows"  # hash: id to JSON of an exceedance
LIMIT_RULES: Final = f"{PREFIX}:limits:rules"  # hash: rule to the digest of what its results were judged by
LIMIT_DAYS_DUE: Final = f"{PREFIX}:limits:days"  # sorted set: `<place>:<day>` to judge, by when in s
LIMIT_YEARS_DUE: Final = f"{PREFIX}:limits:years"  # sorted set: `<place>:<year>` to judge, likewise


def level_seconds(place: str, hour: int) -> str:
    """Return the key of a string: 16-bit codes of the levels of each second of an hour (since 1970 UTC)."""
    return f"{PREFIX}:levels:{place}:{hour}"


def level_statistics(place: str, day: int) -> str:
    """Return the key of a string: 16-bit codes of the level statistics of each hour, then minute, of a day."""
    return f"{PREFIX}:levels:day:{place}:{day}"


def level_changes(place: str) -> str:
    """Return the key of a sorted set: hours with levels of seconds that the statistics lack, by their number."""
    return f"{PREFIX}:levels:changed:{place}"


def level_calibrations(place: str) -> str:
    """Return the key of a sorted set: JSON of id and time of a calibration, by the first second it applies to."""
    return f"{PREFIX}:levels:calibrations:{place}"


def level_offsets(place: str) -> str:
    """Return the key of a sorted set: JSON of boot and offset in s, taken off times of levels, by begin."""
    return f"{PREFIX}:level-offsets:{place}"


def level_offset_ends(place: str) -> str:
    """Return the key of a sorted set: the same corrections of times of levels, by end."""
    return f"{PREFIX}:level-offset-ends:{place}"


def level_bands(place: str, hour: int) -> str:
    """Return the key of a string: one-third-octave bands of the seconds of an hour, rows of `shared.level_bands`."""
    return f"{PREFIX}:bands:{place}:{hour}"


def limit_counts(place: str, rule: str, year: int | str) -> str:
    """Return the key of a string: three bytes for each hour of a year, numbers of periods (`LimitJudge`)."""
    return f"{PREFIX}:limits:counts:{place}:{rule}:{year}"

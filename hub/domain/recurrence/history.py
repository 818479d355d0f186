"""The hours in which a category was detected, and those in which its sensor was online."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.domain.recurrence.forecast import (
    DAY,
    WEEK,
    Bools,
    Ints,
)
from shared.errors import InvalidError

MEMORY: Final = 26 * WEEK
"""Hours looked back at; what happened half a year ago predicts little of next week."""

_HOUR_MS: Final = 3_600_000

_HOUR_S: Final = 3600

_EPOCH_DAY: Final = 3
"""The first of January 1970 was a Thursday."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An episode, from its first to its last instant, both part of it.

    Attributes:
        opened_ms: ms since 1970 UTC.
        last_ms: the same.

    Raises:
        InvalidError: it ends before it begins.
    """

    opened_ms: int
    last_ms: int

    def __post_init__(self) -> None:
        if self.last_ms < self.opened_ms:
            raise InvalidError("an episode cannot end before it begins")


def merged(spans: Iterable[Interval], pause_ms: int) -> list[Interval]:
    """Return spans as occurrences: what goes on after a pause is one with what was before it.

    Args:
        spans: in any order; they may overlap.
        pause_ms: longest time between two spans of one occurrence.

    Returns:
        In order; more than `pause_ms` apart.
    """
    made: list[Interval] = []
    for span in sorted(spans, key=lambda one: one.opened_ms):
        if made and span.opened_ms - made[-1].last_ms <= pause_ms:
            made[-1] = Interval(made[-1].opened_ms, max(made[-1].last_ms, span.last_ms))
        else:
            made.append(span)
    return made


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Consecutive hours, the present one the last.

    Attributes:
        first: the first hour, since 1970 UTC.
        active: bool [n], something happened.
        observed: bool [n], the sensor was online and the hour is over.
        local: int64 [n + 168], hours since 1970 on the site's clock, of the history and the week after it.
    """

    first: int
    active: Bools
    observed: Bools
    local: Ints

    @property
    def hour_of_week(self) -> Ints:
        """int64 [n + 168], 0 is Monday 0:00."""
        return (self.local + _EPOCH_DAY * DAY) % WEEK


def _at(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone)


def history_of(spans: Sequence[Interval], online: Ints, present: int, zone: ZoneInfo) -> History:
    """Return the hours from the first one with events, at most half a year ago, to the present one.

    An hour in which an episode began or ended counts as observed. The present hour is not over.
    """
    opened = np.array([span.opened_ms for span in spans], dtype=np.int64) // _HOUR_MS
    last = np.minimum(np.array([span.last_ms for span in spans], dtype=np.int64) // _HOUR_MS, present)
    hours = np.concatenate([online, opened, last])
    hours = hours[(hours > present - MEMORY) & (hours <= present)]
    first = int(hours.min(initial=present))
    n = present - first + 1
    observed = np.zeros(n, dtype=np.bool_)
    observed[hours - first] = True
    edges = np.zeros(n + 1, dtype=np.int64)
    np.add.at(edges, np.maximum(opened - first, 0), 1)
    np.add.at(edges, np.maximum(last - first + 1, 0), -1)
    active = (np.cumsum(edges[:n]) > 0) & observed
    observed[-1] = False
    return History(first, active, observed, _local(first, n + WEEK, zone))


def _local(first: int, count: int, zone: ZoneInfo) -> Ints:
    """Hours since 1970 on the site's clock, rounded down, of consecutive UTC hours."""
    shifts = np.empty(count, dtype=np.int64)
    for begin in range(0, count, DAY):
        ends = {_shift_s(first + begin + hour, zone) for hour in (0, DAY)}
        each = range(first + begin, first + min(begin + DAY, count))
        shifts[begin : begin + DAY] = ends.pop() if len(ends) == 1 else [_shift_s(hour, zone) for hour in each]
    return np.asarray((np.arange(first, first + count) * _HOUR_S + shifts) // _HOUR_S, dtype=np.int64)


def _shift_s(hour: int, zone: ZoneInfo) -> int:
    """Seconds that the site's clock is ahead of UTC."""
    return round((datetime.fromtimestamp(hour * _HOUR_S, zone).utcoffset() or timedelta()).total_seconds())

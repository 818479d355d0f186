"""Levels of sensors in the store: those of seconds for some days, statistics of minutes and hours for years.

1. A string per sensor and hour holds the codes of its seconds (`hub.domain.level_rows`), each at its own place. So a
   series that arrives twice changes nothing, in any order and through any hub.
2. Statistics are computed from the seconds when they are read. Before the seconds of an hour are removed, its
   statistics are written to a string per sensor and day. So no statistics are ever older than their seconds.
3. Seconds that arrive after that are kept until the next removal. Of each minute, and of the hour, the statistics
   with more seconds stay.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import redis

from hub.domain.level_rows import (
    HOUR_S,
    MINUTES,
    STATISTICS,
    Codes,
    LevelTable,
    codes_of,
    merged,
    packed,
    summarised,
    table_of_seconds,
    table_of_statistics,
    unpacked,
)
from hub.domain.records import to_ms
from hub.store import keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.level_bands import write_bands
from hub.store.rows import Rows
from shared.level_series import LEVELS, LevelSeries

Resolution = Literal["second", "minute", "hour"]
PERIOD_S: Final[dict[Resolution, int]] = {"second": 1, "minute": 60, "hour": HOUR_S}

DAY_S: Final = 86_400
_AT_ONCE: Final = 32
"""Hours that are read or removed in one round trip: 0.7 MB."""
_BLOCK: Final = (1 + MINUTES, len(STATISTICS) + 1)
"""Shape of the statistics of an hour: its own row, and those of its minutes."""
_BLOCK_BYTES: Final = 2 * _BLOCK[0] * _BLOCK[1]
_LEVEL_BYTES: Final = 2 * len(LEVELS)
_HOUR_BYTES: Final = HOUR_S * _LEVEL_BYTES
_DAY_BYTES: Final = DAY_S // HOUR_S * _BLOCK_BYTES
_END: Final = b"\0\0"
"""Follows the codes of an hour or a day. It is written first: a string that grows takes up to twice its bytes."""


@dataclass(frozen=True, slots=True)
class AppliedCalibration:
    """A calibration of a sensor, and the first second whose levels it applies to.

    Attributes:
        id: of the calibration.
        at: when it was made, as the sensor reported it, ISO 8601.
        since_s: the second, in seconds since 1970 UTC.
    """

    id: str
    at: str
    since_s: int


class LevelStore:
    """Levels in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def add_many(self, series: Sequence[LevelSeries], received_at: datetime) -> None:
        """Write series; one round trip. To repeat the call changes nothing.

        Args:
            series: of any sensors. Seconds without levels leave the stored ones as they are.
            received_at: when they came.

        Raises:
            UnavailableError: the store did not answer; it is not known what was written.
        """
        pipe = self._redis.pipeline(transaction=False)
        for one in series:
            for part in one.split(HOUR_S):
                hour = part.start_s // HOUR_S
                pipe.zadd(keys.LEVEL_HOURS, {f"{part.place}:{hour}": hour * HOUR_S})
                pipe.setrange(keys.level_seconds(part.place, hour), _HOUR_BYTES, _END)
                for first, run in _runs(part):
                    offset = (part.start_s % HOUR_S + first) * _LEVEL_BYTES
                    pipe.setrange(keys.level_seconds(part.place, hour), offset, packed(run))
            if one.calibration is not None:
                made = json.dumps([one.calibration.id, one.calibration.at.isoformat()])
                pipe.zadd(keys.level_calibrations(one.place), {made: one.start_s}, lt=True)
            write_bands(pipe, one)
            pipe.sadd(keys.SENSORS, one.place)
            pipe.hset(keys.sensor(one.place), "last_levels_ms", to_ms(received_at))
        pipe.execute()

    def series(self, place: str, start_s: int, end_s: int) -> LevelTable:
        """Return the levels of each second from `start_s` until before `end_s`; NaN where there is none.

        Args:
            place: `site/sensor`.
            start_s: first second, in seconds since 1970 UTC.
            end_s: end, likewise.

        Raises:
            UnavailableError: the store does not answer.
        """
        hours = range(start_s // HOUR_S, -(-end_s // HOUR_S))
        found = [codes for page in _pages(hours) for codes in self._seconds(place, page)]
        codes = np.concatenate(found) if found else np.zeros((0, len(LEVELS)), dtype=np.uint16)
        first = start_s - hours.start * HOUR_S
        return table_of_seconds(codes[first : first + end_s - start_s])

    def statistics(self, place: str, start_s: int, end_s: int, resolution: Resolution) -> LevelTable:
        """Return the statistics of the minutes or hours from `start_s` until before `end_s`.

        Args:
            place: `site/sensor`.
            start_s: begin of a minute or hour, in seconds since 1970 UTC.
            end_s: end, likewise.
            resolution: `minute` or `hour`.

        Raises:
            UnavailableError: the store does not answer.
        """
        hours = range(start_s // HOUR_S, -(-end_s // HOUR_S))
        blocks = [block for page in _pages(hours) for block in self._blocks(place, page)]
        rows = [block[:1] if resolution == "hour" else block[1:] for block in blocks]
        codes = np.concatenate(rows) if rows else np.zeros((0, _BLOCK[1]), dtype=np.uint16)
        period_s = PERIOD_S[resolution]
        first = (start_s - hours.start * HOUR_S) // period_s
        return table_of_statistics(codes[first : first + (end_s - start_s) // period_s])

    @raises_unavailable
    def calibrations(self, place: str, until_s: int) -> list[AppliedCalibration]:
        """Return the calibrations of a sensor that apply to levels before a time, the oldest first."""
        found = self._redis.zrangebyscore(keys.level_calibrations(place), "-inf", f"({until_s}", withscores=True)
        read = (self._rows.read("calibration", place, partial(_calibration, int(score)), row) for row, score in found)
        return [one for one in read if one is not None]

    def expire(self, seconds_before_s: int, statistics_before_s: int) -> int:
        """Write the statistics of hours that ended before a time, then remove their seconds; remove old statistics.

        Args:
            seconds_before_s: the time, in seconds since 1970 UTC.
            statistics_before_s: statistics of days that ended before this time are removed.

        What cannot be read is left out and counted, and stays until a person removes it.

        Returns:
            The number of removed hours.

        Raises:
            UnavailableError: the store does not answer or is full; the removals before that are final.
        """
        if self._due(keys.LEVEL_DAYS, statistics_before_s, 0) is None:
            return 0  # the statistics that are written now could never be removed
        left = removed = 0
        while due := self._due(keys.LEVEL_HOURS, seconds_before_s - HOUR_S, left):
            hours = [one for one in due if one is not None]
            settled = sum(self._settled(*one, keep=one[1] * HOUR_S >= statistics_before_s - DAY_S) for one in hours)
            removed += settled
            left += len(due) - settled
        left = 0
        while due := self._due(keys.LEVEL_DAYS, statistics_before_s - DAY_S, left):
            self._remove_days([one for one in due if one is not None])
            left += due.count(None)
        return removed

    @raises_unavailable
    def _due(self, index: str, until_s: int, left: int) -> list[tuple[str, int] | None] | None:
        """Return place and number of the oldest hours or days of an index that began at most at a time.

        The first `left` of them are passed over. A name that cannot be read is None, and so is a damaged index.
        """
        try:
            found = self._redis.zrangebyscore(index, "-inf", until_s, start=left, num=_AT_ONCE)
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            self._rows.leave_out("level index", index, error)
            return None
        return [self._rows.read("level index", repr(member), _named, member) for member in found]

    def _settled(self, place: str, hour: int, *, keep: bool) -> bool:
        """Settle an hour; return whether that was possible."""
        try:
            return self._settle(place, hour, keep=keep)
        except redis.ResponseError as error:  # another kind of key
            self._rows.leave_out("levels", f"{place}:{hour}", error)
            return False

    @raises_unavailable
    def _settle(self, place: str, hour: int, *, keep: bool) -> bool:
        """Write the statistics of an hour, and remove its seconds; return False if a series came meanwhile."""
        row, (day, offset) = keys.level_seconds(place, hour), _at(hour)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(row)
            block = self._block(place, hour, pipe.get(row), self._stored(pipe, place, hour))
            pipe.multi()
            if keep and block.any():
                pipe.setrange(keys.level_statistics(place, day), _DAY_BYTES, _END)
                pipe.setrange(keys.level_statistics(place, day), offset, packed(block))
                pipe.zadd(keys.LEVEL_DAYS, {f"{place}:{day}": day * DAY_S})
            pipe.delete(row)
            pipe.zrem(keys.LEVEL_HOURS, f"{place}:{hour}")
            try:
                pipe.execute()
            except redis.WatchError:  # the next removal includes that series
                return False
        return True

    @raises_unavailable
    def _remove_days(self, days: Sequence[tuple[str, int]]) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for place, day in days:
                pipe.delete(keys.level_statistics(place, day))
                pipe.zrem(keys.LEVEL_DAYS, f"{place}:{day}")
            pipe.execute()

    @raises_unavailable
    def _seconds(self, place: str, hours: range) -> list[Codes]:
        found = self._redis.mget([keys.level_seconds(place, hour) for hour in hours])
        return [self._codes(place, hour, raw) for hour, raw in zip(hours, found, strict=True)]

    @raises_unavailable
    def _blocks(self, place: str, hours: range) -> list[Codes]:
        """Return the statistics of hours, from their seconds and from what was written before."""
        seconds = self._redis.mget([keys.level_seconds(place, hour) for hour in hours])
        pipe = self._redis.pipeline(transaction=False)
        for hour in hours:
            self._stored(pipe, place, hour)
        read = zip(hours, seconds, pipe.execute(raise_on_error=False), strict=True)
        return [self._block(place, hour, raw, written) for hour, raw, written in read]

    def _stored(self, client: Any, place: str, hour: int) -> Any:  # noqa: ANN401 - the client is untyped
        day, offset = _at(hour)
        return client.getrange(keys.level_statistics(place, day), offset, offset + _BLOCK_BYTES - 1)

    def _block(self, place: str, hour: int, seconds: bytes | None, written: bytes | redis.ResponseError) -> Codes:
        if isinstance(written, redis.ResponseError):
            if not is_damage(written):
                raise written
            self._rows.leave_out("level statistics", f"{place}:{hour}", written)
            written = b""
        make = partial(unpacked, rows=_BLOCK[0], columns=_BLOCK[1])
        stored = self._rows.read("level statistics", f"{place}:{hour}", make, written)
        block = make(None) if stored is None else stored
        return block if seconds is None else merged(block, summarised(self._codes(place, hour, seconds)))

    def _codes(self, place: str, hour: int, raw: bytes | None) -> Codes:
        make = partial(unpacked, rows=HOUR_S, columns=len(LEVELS))
        codes = self._rows.read("levels", f"{place}:{hour}", make, raw and raw[:_HOUR_BYTES])
        return make(None) if codes is None else codes


def _named(member: bytes) -> tuple[str, int]:
    """Return the place and number in a member of an index."""
    place, _, number = member.decode().rpartition(":")
    return place, int(number)


def _runs(series: LevelSeries) -> Iterator[tuple[int, Codes]]:
    """Yield each run of seconds with levels: the place of its first second in the series, and its codes."""
    present = np.concatenate([[False], series.present, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(present))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first, codes_of(series.tenths[first:end], series.unit)


def _pages(hours: range) -> Iterator[range]:
    for first in range(hours.start, hours.stop, _AT_ONCE):
        yield range(first, min(first + _AT_ONCE, hours.stop))


def _at(hour: int) -> tuple[int, int]:
    """Return the day of an hour, and where its statistics are in the string of that day, in bytes."""
    day, number = divmod(hour, DAY_S // HOUR_S)
    return day, number * _BLOCK_BYTES


def _calibration(since_s: int, row: bytes) -> AppliedCalibration:
    made = json.loads(row)
    return AppliedCalibration(str(made[0]), str(made[1]), since_s)

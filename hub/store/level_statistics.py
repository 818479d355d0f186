"""Statistics of the levels of hours and minutes in the store, for years.

1. A string per sensor and day (UTC) holds 24 rows of hours, then 1,440 rows of minutes (`hub.domain.level_rows`).
   So the hours of a year are 336 bytes of each of 365 strings.
2. A series that arrives marks its hours as changed. `update` computes the statistics of changed hours again once they
   have ended, and removes the mark. Readers compute those of hours that are still marked. So what is read is never
   older than the seconds, and to repeat or interrupt `update` changes nothing.
3. `expire` removes seconds only after their statistics are written. Seconds that arrive after that complete the
   statistics (`hub.domain.level_rows.merged`).
4. A damaged key is left out and counted. `update` and `expire` pass over it; it stays until a person removes it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import redis

from hub.domain.level_rows import (
    COLUMNS,
    HOUR_S,
    MINUTES,
    Codes,
    LevelTable,
    merged,
    packed,
    summarised,
    table_of_statistics,
    unpacked,
)
from hub.store import keys, level_keys
from hub.store.client import is_damage, raises_unavailable
from hub.store.level_index import LevelIndex
from hub.store.levels import END, LevelStore
from hub.store.rows import Rows

Resolution = Literal["second", "minute", "hour"]
PERIOD_S: Final[dict[Resolution, int]] = {"second": 1, "minute": 60, "hour": HOUR_S}

DAY_S: Final = 86_400
_HOURS: Final = DAY_S // HOUR_S
_AT_ONCE: Final = 1_000
"""Strings that are read in one round trip."""
_ROW_BYTES: Final = 2 * COLUMNS
_DAY_BYTES: Final = (_HOURS + _HOURS * MINUTES) * _ROW_BYTES
_ROWS: Final[dict[Resolution, tuple[int, int]]] = {"hour": (0, _HOURS), "minute": (_HOURS, _HOURS * MINUTES)}
"""First row of the hours and minutes of a day, and their number."""


class LevelStatistics:
    """Statistics of hours and minutes; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows
        self._levels = LevelStore(client, rows)
        self._hours = LevelIndex(client, rows, level_keys.LEVEL_HOURS)
        self._days = LevelIndex(client, rows, level_keys.LEVEL_DAYS)

    def table(self, place: str, start_s: int, end_s: int, resolution: Resolution) -> LevelTable:
        """Return the statistics of the minutes or hours from `start_s` until before `end_s`.

        Args:
            place: `site/sensor`.
            start_s: begin of a minute or hour, in seconds since 1970 UTC.
            end_s: end, likewise.
            resolution: `minute` or `hour`.

        Raises:
            UnavailableError: the store does not answer.
        """
        return self.tables([place], start_s, end_s, resolution)[place]

    @raises_unavailable
    def tables(
        self, places: Sequence[str], start_s: int, end_s: int, resolution: Resolution
    ) -> dict[str, LevelTable]:
        """Return the same of several sensors, by place.

        Raises:
            UnavailableError: the store does not answer.
        """
        days = range(start_s // DAY_S, -(-end_s // DAY_S))
        hours = range(start_s // HOUR_S, -(-end_s // HOUR_S))
        period_s = PERIOD_S[resolution]
        per_hour, first = HOUR_S // period_s, (start_s - days.start * DAY_S) // period_s
        wanted = slice(first, first + (end_s - start_s) // period_s)
        current = {place: dict(self._current(place, changed)) for place, changed in self._changed(places, hours)}
        found = {}
        for place, codes in zip(places, self._stored_days(places, days, resolution), strict=True):
            for hour, block in current[place].items():
                row = (hour - days.start * _HOURS) * per_hour
                codes[row : row + per_hour] = block[:1] if resolution == "hour" else block[1:]
            found[place] = table_of_statistics(codes[wanted])
        return found

    @raises_unavailable
    def update(self, until_s: int) -> int:
        """Write the statistics of the changed hours that ended by a time.

        Args:
            until_s: the time, in seconds since 1970 UTC.

        Returns:
            The number of hours whose statistics were written.

        Raises:
            UnavailableError: the store did not answer or is full; to repeat the call is safe.
        """
        places = sorted(place.decode() for place in self._redis.smembers(keys.SENSORS))
        written = 0
        for place, hours in self._changed(places, range(until_s // HOUR_S)):
            written += sum(self._written(place, hour, remove=False) for hour in hours)
        return written

    def expire(self, seconds_before_s: int, statistics_before_s: int) -> int:
        """Remove the seconds of hours that ended before a time, and old statistics.

        Args:
            seconds_before_s: the time, in seconds since 1970 UTC.
            statistics_before_s: statistics of days that ended before this time are removed.

        Returns:
            The number of removed hours.

        Raises:
            UnavailableError: the store did not answer or is full; the removals before that are final.
        """
        if self._days.due(statistics_before_s, 0) is None:
            return 0  # the statistics that are written now could never be removed
        left = removed = 0
        while due := self._hours.due(seconds_before_s - HOUR_S, left):
            hours = [one for one in due if one is not None]
            kept_s = statistics_before_s - DAY_S
            written = sum(self._written(*one, remove=True, keep=one[1] * HOUR_S >= kept_s) for one in hours)
            removed += written
            left += len(due) - written
        left = 0
        while due := self._days.due(statistics_before_s - DAY_S, left):
            self._remove_days([one for one in due if one is not None])
            left += due.count(None)
        return removed

    def _changed(self, places: Sequence[str], hours: range) -> Iterator[tuple[str, list[int]]]:
        """Yield each place and its changed hours among some."""
        for first in range(0, len(places), _AT_ONCE):
            some = places[first : first + _AT_ONCE]
            pipe = self._redis.pipeline(transaction=False)
            for place in some:
                pipe.zrangebyscore(level_keys.level_changes(place), hours.start, hours.stop - 1)
            for place, answer in zip(some, pipe.execute(raise_on_error=False), strict=True):
                found = self._undamaged("level index", f"changed:{place}", answer) or []
                read = [self._rows.read("level index", f"changed:{place}:{hour!r}", int, hour) for hour in found]
                yield place, [hour for hour in read if hour is not None]

    def _current(self, place: str, hours: Sequence[int]) -> Iterator[tuple[int, Codes]]:
        """Yield the statistics of changed hours, from their seconds and from what was written before."""
        for hour, seconds in zip(hours, self._levels.hours(place, hours), strict=True):
            try:
                stored = self._stored(self._redis, place, hour)
            except redis.ResponseError as error:
                self._undamaged("level statistics", f"{place}:{hour // _HOURS}", error)
                stored = np.zeros((1 + MINUTES, COLUMNS), dtype=np.uint16)
            yield hour, merged(stored, summarised(seconds))

    def _stored_days(self, places: Sequence[str], days: range, resolution: Resolution) -> Iterator[Codes]:
        """Yield the written statistics of some days of each place, uint16 [rows, 7]."""
        first, count = _ROWS[resolution]
        make = partial(unpacked, rows=count, columns=COLUMNS)
        wanted = [(place, day) for place in places for day in days]
        read: list[Codes] = []
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            pipe = self._redis.pipeline(transaction=False)
            for place, day in some:
                begin = first * _ROW_BYTES
                pipe.getrange(level_keys.level_statistics(place, day), begin, begin + count * _ROW_BYTES - 1)
            for (place, day), answer in zip(some, pipe.execute(raise_on_error=False), strict=True):
                raw = self._undamaged("level statistics", f"{place}:{day}", answer)
                codes = self._rows.read("level statistics", f"{place}:{day}", make, raw)
                read.append(make(None) if codes is None else codes)
        for number in range(len(places)):
            own = read[number * len(days) : (number + 1) * len(days)]
            yield np.concatenate(own) if own else make(None)[:0]

    def _stored(self, client: Any, place: str, hour: int) -> Codes:  # noqa: ANN401 - the client is untyped
        """Return the written statistics of an hour, uint16 [61, 7]."""
        day, (at_hour, at_minutes) = hour // _HOURS, _offsets(hour)
        row = level_keys.level_statistics(place, day)
        raw = client.getrange(row, at_hour, at_hour + _ROW_BYTES - 1)
        raw += client.getrange(row, at_minutes, at_minutes + MINUTES * _ROW_BYTES - 1)
        make = partial(unpacked, rows=1 + MINUTES, columns=COLUMNS)
        codes = self._rows.read("level statistics", f"{place}:{day}", make, raw)
        return make(None) if codes is None else codes

    def _undamaged(self, kind: str, key: str, answer: Any) -> Any:  # noqa: ANN401 - the client is untyped
        """Return an answer of the store; None, counted, if it is that the key is damaged."""
        if not isinstance(answer, redis.ResponseError):
            return answer
        if not is_damage(answer):
            raise answer
        self._rows.leave_out(kind, key, answer)
        return None

    def _written(self, place: str, hour: int, *, remove: bool, keep: bool = True) -> bool:
        """Write the statistics of an hour; return whether that was possible."""
        try:
            return self._write(place, hour, remove=remove, keep=keep)
        except redis.ResponseError as error:  # a damaged key
            self._undamaged("levels", f"{place}:{hour}", error)
            return False

    @raises_unavailable
    def _write(self, place: str, hour: int, *, remove: bool, keep: bool) -> bool:
        """Write the statistics of an hour, and remove its seconds; return False if a series came meanwhile.

        The mark of an hour is set after its seconds. So a mark that is set after it was taken away here only leads to
        the same statistics again.
        """
        row = level_keys.level_seconds(place, hour)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(row)
            stored = self._stored(pipe, place, hour)
            block = merged(stored, summarised(self._levels.codes(place, hour, pipe.get(row))))
            pipe.multi()
            if keep and not np.array_equal(block, stored):  # a full store takes removals alone
                _queue(pipe, place, hour, block)
            pipe.zrem(level_keys.level_changes(place), str(hour))
            if remove:
                pipe.delete(row)
                pipe.zrem(level_keys.LEVEL_HOURS, f"{place}:{hour}")
            try:
                pipe.execute()
            except redis.WatchError:  # the next call includes that series
                return False
        return True

    @raises_unavailable
    def _remove_days(self, days: Sequence[tuple[str, int]]) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for place, day in days:
                pipe.delete(level_keys.level_statistics(place, day))
                pipe.zrem(level_keys.LEVEL_DAYS, f"{place}:{day}")
            pipe.execute()


def day_codes(raw: bytes | None) -> Codes:
    """Return the statistics of the hours, then of the minutes of a day, from its string; uint16 [1464, 7].

    Raises:
        ValueError: the string has half a code.
    """
    return unpacked(raw and raw[:_DAY_BYTES], _HOURS + _HOURS * MINUTES, COLUMNS)


def _queue(pipe: Any, place: str, hour: int, block: Codes) -> None:  # noqa: ANN401 - the client is untyped
    """Queue the commands that write the statistics of an hour."""
    day, (at_hour, at_minutes) = hour // _HOURS, _offsets(hour)
    row = level_keys.level_statistics(place, day)
    pipe.setrange(row, _DAY_BYTES, END)
    pipe.setrange(row, at_hour, packed(block[:1]))
    pipe.setrange(row, at_minutes, packed(block[1:]))
    pipe.zadd(level_keys.LEVEL_DAYS, {f"{place}:{day}": day * DAY_S})
    pipe.zadd(level_keys.LIMIT_DAYS_DUE, {f"{place}:{day}": day * DAY_S})  # `hub.store.limit_judge`


def _offsets(hour: int) -> tuple[int, int]:
    """Return where the rows of an hour, and of its minutes, are in the string of its day, in bytes."""
    number = hour % _HOURS
    return number * _ROW_BYTES, (_HOURS + number * MINUTES) * _ROW_BYTES


def statistics_spans(hour: int) -> list[tuple[int, int]]:
    """Return where the statistics of an hour are in the string of its day, as (first byte, end)."""
    at_hour, at_minutes = _offsets(hour)
    return [(at_hour, at_hour + _ROW_BYTES), (at_minutes, at_minutes + MINUTES * _ROW_BYTES)]

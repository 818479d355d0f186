"""Remove the levels of whole hours of a sensor: seconds, bands, statistics, and that it was online."""

from typing import Any, Final

import numpy as np

from hub.store import keys, level_keys
from hub.store.backup.values import in_batches
from hub.store.client import raises_unavailable
from hub.store.episode_batch import first_hour
from hub.store.level_statistics import statistics_spans

_HOUR_S: Final = 3_600
_HOURS: Final = 24
_AT_ONCE: Final = 500


class LevelErasure:
    """Removes levels; raises `UnavailableError` if the store does not answer.

    Args:
        client: of the store.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client

    @raises_unavailable
    def count(self, place: str, from_s: int, until_s: int) -> int:
        """Return how many hours that overlap a period have levels of seconds, bands or statistics."""
        return len(self._hours(place, from_s, until_s))

    @raises_unavailable
    def run(self, place: str, from_s: int, until_s: int) -> int:
        """Remove the levels of all hours that overlap a period; return their number.

        Args:
            place: `site/sensor`.
            from_s: begin of the period, in seconds since 1970 UTC.
            until_s: its end.
        """
        hours = self._hours(place, from_s, until_s)
        for some in in_batches(hours, _AT_ONCE):
            pipe = self._redis.pipeline(transaction=False)
            for hour in some:
                name = f"{place}:{hour}"
                pipe.delete(level_keys.level_seconds(place, hour), level_keys.level_bands(place, hour))
                pipe.zrem(level_keys.LEVEL_HOURS, name)
                pipe.zrem(level_keys.BAND_HOURS, name)
                pipe.zrem(level_keys.level_changes(place), str(hour))
            pipe.execute()
        for day in sorted({hour // _HOURS for hour in hours}):
            self._empty_day(place, day, [hour for hour in hours if hour // _HOURS == day])
        for bitmap in self._redis.scan_iter(f"{keys.active_hours_bitmap(place, 0).removesuffix('0')}*"):
            self._clear_hours(bitmap, from_s // _HOUR_S, -(-until_s // _HOUR_S))
        return len(hours)

    def _clear_hours(self, bitmap: bytes, first: int, end: int) -> None:
        """Clear the bits of some hours, by number since 1970 UTC, in the bitmap of a year."""
        begin = first_hour(int(bitmap.rpartition(b":")[2]))
        bits = np.unpackbits(np.frombuffer(self._redis.get(bitmap) or b"", dtype=np.uint8))
        bits[max(0, first - begin) : max(0, end - begin)] = 0
        self._redis.set(bitmap, np.packbits(bits).tobytes(), keepttl=True)

    def _empty_day(self, place: str, day: int, hours: list[int]) -> None:
        row = level_keys.level_statistics(place, day)
        stored = self._redis.get(row)
        if stored is None:
            return
        emptied = bytearray(stored)
        for hour in hours:
            for start, end in statistics_spans(hour):
                emptied[start : min(end, len(emptied))] = bytes(max(0, min(end, len(emptied)) - start))
        if any(emptied):
            self._redis.set(row, bytes(emptied), keepttl=True)
        else:
            self._redis.delete(row)
            self._redis.zrem(level_keys.LEVEL_DAYS, f"{place}:{day}")
        self._redis.zadd(level_keys.LIMIT_DAYS_DUE, {f"{place}:{day}": 0})  # withdraws exceedances of these hours

    def _hours(self, place: str, from_s: int, until_s: int) -> list[int]:
        first, end = from_s // _HOUR_S, -(-until_s // _HOUR_S)
        found: set[int] = set()
        for index in (level_keys.LEVEL_HOURS, level_keys.BAND_HOURS):
            names = self._redis.zrangebyscore(index, first * _HOUR_S, f"({end * _HOUR_S}")
            found.update(_number(name) for name in names if name.startswith(f"{place}:".encode()))
        days = self._redis.zrangebyscore(level_keys.LEVEL_DAYS, (first // _HOURS) * 86_400, f"({end * _HOUR_S}")
        for day in (_number(name) for name in days if name.startswith(f"{place}:".encode())):
            found.update(hour for hour in range(day * _HOURS, (day + 1) * _HOURS) if first <= hour < end)
        return sorted(found)


def _number(name: bytes) -> int:
    number = name.rpartition(b":")[2]
    return int(number) if number.isdigit() else -1

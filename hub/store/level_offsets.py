"""Which levels in the store have a time that the hub corrected by the measured offset of the sensor's clock."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hub.store import level_keys
from hub.store.client import raises_unavailable
from hub.store.rows import Rows

_MOST: Final = 1_000
"""Offsets that are kept of a sensor, the latest."""


@dataclass(frozen=True, slots=True)
class AppliedOffset:
    """An offset that was taken off the times of level series.

    Attributes:
        boot: of the sensor.
        offset_s: how far its clock was ahead, in seconds; below 0 if it was behind. Corrected time plus this is the
            time that the sensor stated.
        since_s: first corrected second, in seconds since 1970 UTC.
        until_s: end of the last one, likewise.
    """

    boot: str
    offset_s: int
    since_s: int
    until_s: int


class LevelOffsets:
    """Corrections of level series in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def add(self, place: str, applied: AppliedOffset) -> None:
        """Record that an offset was taken off the times of some seconds; to repeat the call changes nothing.

        Raises:
            UnavailableError: the store did not answer; it is not known what was written.
        """
        name = json.dumps([applied.boot, applied.offset_s])
        pipe = self._redis.pipeline(transaction=False)
        pipe.zadd(level_keys.level_offset_ends(place), {name: applied.until_s}, gt=True)
        pipe.zadd(level_keys.level_offsets(place), {name: applied.since_s}, lt=True)
        for index in (level_keys.level_offset_ends(place), level_keys.level_offsets(place)):
            pipe.zremrangebyrank(index, 0, -_MOST - 1)
        pipe.execute()

    @raises_unavailable
    def all(self, place: str) -> list[AppliedOffset]:
        """Return the corrections of a sensor, the oldest first.

        Raises:
            UnavailableError: the store does not answer.
        """
        ends = dict(self._redis.zrange(level_keys.level_offset_ends(place), 0, -1, withscores=True))
        found = self._redis.zrange(level_keys.level_offsets(place), 0, -1, withscores=True)
        read = (
            self._rows.read("level offset", place, partial(_applied, int(since), int(ends.get(name, since))), name)
            for name, since in found
        )
        return [one for one in read if one is not None]

    def between(self, place: str, start_s: int, end_s: int) -> list[AppliedOffset]:
        """Return those that apply to any second from `start_s` until before `end_s` (since 1970 UTC).

        Raises:
            UnavailableError: the store does not answer.
        """
        return [one for one in self.all(place) if one.since_s < end_s and start_s < one.until_s]


def _applied(since_s: int, until_s: int, name: bytes) -> AppliedOffset:
    boot, offset_s = json.loads(name)
    return AppliedOffset(str(boot), int(offset_s), since_s, until_s)

"""Levels of each second of sensors in the store, for some days.

A string per sensor and hour holds the codes of its seconds (`hub.domain.level_rows`), each at its own place. So a
series that arrives twice changes nothing, in any order and through any hub. Each write marks the hour as changed;
`hub.store.level_statistics` then computes its statistics again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np

from hub.domain.level_rows import HOUR_S, Codes, LevelTable, codes_of, packed, runs, table_of_seconds, unpacked
from hub.domain.records import to_ms
from hub.store import keys, level_keys
from hub.store.client import raises_unavailable
from hub.store.erasures import Erasures
from hub.store.level_bands import write_bands
from hub.store.rows import Rows
from shared.level_series import LEVELS, LevelSeries

LEVEL_BYTES: Final = 2 * len(LEVELS)
HOUR_BYTES: Final = HOUR_S * LEVEL_BYTES
END: Final = b"\0\0"
"""Follows the codes of an hour or a day. It is written first: a string that grows takes up to twice its bytes."""
_AT_ONCE: Final = 32
"""Hours that are read in one round trip: 0.7 MB."""


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
    """Levels of seconds in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def add_many(self, series: Sequence[LevelSeries], received_at: datetime) -> None:
        """Write series, without those that begin in an erased period. To repeat the call changes nothing.

        Args:
            series: of any sensors. Seconds without levels leave the stored ones as they are.
            received_at: when they came.

        Raises:
            UnavailableError: the store did not answer; it is not known what was written.
        """
        erased = Erasures(self._redis).erased([(one.place, one.start_s * 1_000) for one in series])
        pipe = self._redis.pipeline(transaction=False)
        for one in (one for one, gone in zip(series, erased, strict=True) if not gone):
            for part in one.split(HOUR_S):
                hour = part.start_s // HOUR_S
                pipe.setrange(level_keys.level_seconds(part.place, hour), HOUR_BYTES, END)
                for first, run in _runs(part):
                    offset = (part.start_s % HOUR_S + first) * LEVEL_BYTES
                    pipe.setrange(level_keys.level_seconds(part.place, hour), offset, packed(run))
                pipe.zadd(level_keys.LEVEL_HOURS, {f"{part.place}:{hour}": hour * HOUR_S})
                pipe.zadd(level_keys.level_changes(part.place), {str(hour): hour})  # after its levels
            if one.calibration is not None:
                made = json.dumps([one.calibration.id, one.calibration.at.isoformat()])
                pipe.zadd(level_keys.level_calibrations(one.place), {made: one.start_s}, lt=True)
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
        found = self.hours(place, hours)
        codes = np.concatenate(found) if found else np.zeros((0, len(LEVELS)), dtype=np.uint16)
        first = start_s - hours.start * HOUR_S
        return table_of_seconds(codes[first : first + end_s - start_s])

    @raises_unavailable
    def hours(self, place: str, hours: Sequence[int]) -> list[Codes]:
        """Return the codes of the seconds of some hours (since 1970 UTC), each uint16 [3600, 3].

        Raises:
            UnavailableError: the store does not answer.
        """
        codes: list[Codes] = []
        for first in range(0, len(hours), _AT_ONCE):
            some = hours[first : first + _AT_ONCE]
            found = self._redis.mget([level_keys.level_seconds(place, hour) for hour in some])
            codes += [self.codes(place, hour, raw) for hour, raw in zip(some, found, strict=True)]
        return codes

    def codes(self, place: str, hour: int, raw: bytes | None) -> Codes:
        """Return the codes in the string of an hour; without levels if it cannot be read."""
        make = partial(unpacked, rows=HOUR_S, columns=len(LEVELS))
        read = self._rows.read("levels", f"{place}:{hour}", make, raw and raw[:HOUR_BYTES])
        return make(None) if read is None else read

    @raises_unavailable
    def calibrations(self, place: str, until_s: int) -> list[AppliedCalibration]:
        """Return the calibrations of a sensor that apply to levels before a time, the oldest first."""
        found = self._redis.zrangebyscore(
            level_keys.level_calibrations(place), "-inf", f"({until_s}", withscores=True
        )
        read = (self._rows.read("calibration", place, partial(_calibration, int(score)), row) for row, score in found)
        return [one for one in read if one is not None]


def applying(applied: Sequence[AppliedCalibration], start_s: int) -> Sequence[AppliedCalibration]:
    """Return the calibrations that apply to levels from a time on: the last one before it, and later ones.

    Args:
        applied: calibrations of a sensor, the oldest first.
        start_s: the time, in seconds since 1970 UTC.
    """
    return applied[max((number for number, one in enumerate(applied) if one.since_s <= start_s), default=0) :]


def _runs(series: LevelSeries) -> Iterator[tuple[int, Codes]]:
    """Yield each run of seconds with levels: the place of its first second in the series, and its codes."""
    for first, end in runs(series.present):
        yield first, codes_of(series.tenths[first:end], series.unit)


def _calibration(since_s: int, row: bytes) -> AppliedCalibration:
    made = json.loads(row)
    return AppliedCalibration(str(made[0]), str(made[1]), since_s)

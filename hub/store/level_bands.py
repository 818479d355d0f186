"""One-third-octave bands of each second of sensors in the store, for as long as the levels of seconds.

A string per sensor and hour holds the rows of its seconds (`shared.level_bands`), each at its own place. So a series
that arrives twice changes nothing, in any order and through any hub.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.domain.band_means import minute_bands
from hub.domain.level_rows import HOUR_S, runs
from hub.store import level_keys
from hub.store.client import raises_unavailable
from hub.store.level_index import LevelIndex
from hub.store.rows import Rows
from shared.level_bands import ROW_BYTES, BandRows, band_levels
from shared.level_series import LevelSeries

_HOUR_BYTES: Final = HOUR_S * ROW_BYTES


def write_bands(pipe: Any, series: LevelSeries) -> None:  # noqa: ANN401 - the client is untyped
    """Add to a pipeline the commands that write the bands of a series; seconds without bands keep the stored ones."""
    if series.bands is None:
        return
    for part in series.split(HOUR_S):
        if part.bands is None or not part.bands.any():
            continue
        hour = part.start_s // HOUR_S
        row = level_keys.level_bands(part.place, hour)
        pipe.zadd(level_keys.BAND_HOURS, {f"{part.place}:{hour}": hour * HOUR_S})
        pipe.setrange(row, _HOUR_BYTES, b"\0")  # first: a string that grows takes up to twice its bytes
        for first, end in runs(part.bands[:, 0] > 0):
            pipe.setrange(row, (part.start_s % HOUR_S + first) * ROW_BYTES, part.bands[first:end].tobytes())


class BandStore:
    """Bands in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows
        self._hours = LevelIndex(client, rows, level_keys.BAND_HOURS)

    @raises_unavailable
    def series(self, place: str, start_s: int, end_s: int) -> npt.NDArray[np.float64]:
        """Return the bands of each second from `start_s` until before `end_s`, in the unit of its levels.

        Args:
            place: `site/sensor`.
            start_s: first second, in seconds since 1970 UTC.
            end_s: end, likewise.

        Returns:
            float64 [seconds, 31] in dB, from 20 Hz to 20 kHz; NaN where there is none.

        Raises:
            UnavailableError: the store does not answer.
        """
        return band_levels(self._seconds(place, start_s, end_s))

    @raises_unavailable
    def minutes(self, place: str, start_s: int, end_s: int, used: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the mean bands of each minute from `start_s` until before `end_s`, in the unit of its levels.

        Args:
            place: `site/sensor`.
            start_s: begin of a minute, in seconds since 1970 UTC.
            end_s: end of a minute, likewise.
            used: bool [seconds], False for seconds that are left out.

        Returns:
            float64 [minutes, 31] in dB, from 20 Hz to 20 kHz; NaN where there is none.

        Raises:
            UnavailableError: the store does not answer.
        """
        return minute_bands(self._seconds(place, start_s, end_s), used)

    @raises_unavailable
    def has(self, place: str, start_s: int, end_s: int) -> bool:
        """Return whether an hour between two times (seconds since 1970 UTC) has bands.

        Raises:
            UnavailableError: the store does not answer.
        """
        hours = range(start_s // HOUR_S, -(-end_s // HOUR_S))
        return bool(hours) and self._redis.exists(*(level_keys.level_bands(place, hour) for hour in hours)) > 0

    @raises_unavailable
    def expire(self, before_s: int) -> int:
        """Remove the bands of hours that ended before a time; return the number of removed hours.

        What cannot be read is left out and counted, and stays until a person removes it.

        Args:
            before_s: the time, in seconds since 1970 UTC.

        Raises:
            UnavailableError: the store does not answer; the removals before that are final.
        """
        left = removed = 0
        while due := self._hours.due(before_s - HOUR_S, left):
            hours = [one for one in due if one is not None]
            with self._redis.pipeline(transaction=False) as pipe:
                for place, hour in hours:
                    pipe.delete(level_keys.level_bands(place, hour))
                    pipe.zrem(level_keys.BAND_HOURS, f"{place}:{hour}")
                pipe.execute()
            removed += len(hours)
            left += due.count(None)
        return removed

    def _seconds(self, place: str, start_s: int, end_s: int) -> BandRows:
        """Return the rows of seconds, uint8 [seconds, 32]."""
        if end_s <= start_s:
            return np.zeros((0, ROW_BYTES), dtype=np.uint8)
        hours = range(start_s // HOUR_S, -(-end_s // HOUR_S))
        found = self._redis.mget([level_keys.level_bands(place, hour) for hour in hours])
        rows = np.concatenate([self._read(place, hour, raw) for hour, raw in zip(hours, found, strict=True)])
        first = start_s - hours.start * HOUR_S
        return rows[first : first + end_s - start_s]

    def _read(self, place: str, hour: int, raw: bytes | None) -> BandRows:
        rows = self._rows.read("bands", f"{place}:{hour}", _rows_of, raw)
        return _rows_of(b"") if rows is None else rows


def _rows_of(raw: bytes) -> BandRows:
    """Return the rows in the string of an hour, uint8 [3600, 32]; the end that it lacks has no bands.

    Raises:
        ValueError: the string is longer than an hour.
    """
    if len(raw) > _HOUR_BYTES + 1:
        raise ValueError(f"{len(raw)} bytes are more than an hour of bands")
    rows = np.zeros(_HOUR_BYTES, dtype=np.uint8)
    stored = np.frombuffer(raw, dtype=np.uint8)[:_HOUR_BYTES]
    rows[: stored.size] = stored
    return rows.reshape(HOUR_S, ROW_BYTES)

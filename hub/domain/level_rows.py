"""Levels of seconds, minutes and hours as rows of 16-bit codes, and their statistics. No I/O.

1. The code of a level is 0 if there is none, 1 to 5,001 for -250.0 to 250.0 dB, and 10,000 more if the unit is dBFS.
   So a string of the store has no levels where nothing was written to it.
2. A row of a second holds LAeq, LAFmax and LCeq. A row of a minute or an hour adds L10, L50, L90 and the number of
   seconds with levels. L10, L50 and L90 are those of the LAeq of the seconds. Source: ISO 1996-1:2016, 3.1.3.
3. dB and dBFS are never mixed. Where both occur, dB counts, and the seconds in dBFS are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.events import LevelUnit
from shared.level_series import LEVELS, NO_LEVEL, RANGE_TENTHS, Tenths

Codes = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]

HOUR_S: Final = 3_600
MINUTES: Final = 60
STATISTICS: Final = (*LEVELS, "l10", "l50", "l90")
"""The levels of a minute or an hour, in the order of the columns; the number of seconds follows them."""
COLUMNS: Final = len(STATISTICS) + 1
_ZERO_DB: Final = RANGE_TENTHS + 1
_HIGHEST: Final = 2 * RANGE_TENTHS + 1
_DBFS: Final = 10_000
_QUANTILES: Final = (0.9, 0.5, 0.1)
"""L10 is exceeded 10 % of the time."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelTable:
    """Levels of consecutive seconds, minutes or hours.

    Attributes:
        levels: float64 [rows, columns] in `unit`; NaN where there is no level.
        seconds: int64 [rows], the number of seconds with levels.
        unit: `dB` if any of the levels is calibrated, else `dBFS`.
        uncalibrated: bool [rows], the rows whose levels are in dBFS and therefore left out of a table in dB.
    """

    levels: Floats
    seconds: npt.NDArray[np.int64]
    unit: LevelUnit
    uncalibrated: npt.NDArray[np.bool_]

    @property
    def left_out(self) -> int:
        """Return the number of rows that are left out."""
        return int(self.uncalibrated.sum())


def codes_of(tenths: Tenths, unit: LevelUnit) -> Codes:
    """Return the codes of levels (int16 [seconds, 3] in 0.1 dB, or `NO_LEVEL`), uint16 of the same shape."""
    shifted = tenths.astype(np.int32) + _ZERO_DB + (_DBFS if unit == "dBFS" else 0)
    return np.where(tenths == NO_LEVEL, 0, shifted).astype(np.uint16)


def unpacked(raw: bytes | None, rows: int, columns: int) -> Codes:
    """Return the codes of a string of the store, uint16 [rows, columns]; the end that it lacks has no levels.

    Raises:
        ValueError: the string is longer, or has half a code.
    """
    codes = np.zeros(rows * columns, dtype=np.uint16)
    stored = np.frombuffer(raw or b"", dtype="<u2")
    if stored.size > codes.size:
        raise ValueError(f"{stored.size} codes are more than {codes.size}")
    codes[: stored.size] = stored
    return codes.reshape(rows, columns)


def packed(codes: Codes) -> bytes:
    """Return codes as a string of the store: 16-bit, little-endian, row by row."""
    return codes.astype("<u2").tobytes()


def table_of_seconds(codes: Codes) -> LevelTable:
    """Return the table of seconds, from codes uint16 [seconds, 3]."""
    return _table(codes, (codes[:, 0] > 0).astype(np.int64))


def table_of_statistics(codes: Codes) -> LevelTable:
    """Return the table of minutes or hours, from codes uint16 [rows, 7]."""
    return _table(codes[:, : len(STATISTICS)], codes[:, len(STATISTICS)].astype(np.int64))


def calibrated_table(codes: Codes) -> LevelTable:
    """Return the table of the minutes or hours in dB alone; it states which ones are in dBFS.

    Args:
        codes: uint16 [rows, 7].
    """
    calibrated, uncalibrated = _units(codes[:, 0])
    table = table_of_statistics(np.where(calibrated[:, None], codes, 0).astype(np.uint16))
    return LevelTable(table.levels, table.seconds, "dB", uncalibrated)


def summarised(seconds: Codes) -> Codes:
    """Return the statistics of an hour and of its minutes.

    Args:
        seconds: uint16 [3600, 3].

    Returns:
        uint16 [61, 7]: the hour, then its 60 minutes.
    """
    minutes = _statistics(seconds.reshape(MINUTES, -1, len(LEVELS)))
    return np.concatenate([_statistics(seconds[None]), minutes])


def merged(first: Codes, second: Codes) -> Codes:
    """Return the statistics of an hour and of its minutes, from two statistics of parts of the same hour.

    Of each minute, the statistics in dB stay, else those with more seconds; of equals, the second. Those of the hour
    stay if they are of all seconds of the minutes. Else LAeq, LAFmax and LCeq of the hour are computed from the
    minutes, and it has no percentiles, which minutes do not determine.

    Args:
        first: uint16 [61, 7], as `summarised` returns them.
        second: the same; it is preferred where both have equally many seconds.

    Returns:
        uint16 [61, 7].
    """
    chosen = np.where((_rank(second) >= _rank(first))[:, None], second, first)
    joined = _joined(chosen[1:])
    if _rank(joined[None])[0] > _rank(chosen[:1])[0]:
        chosen[0] = joined
    return np.asarray(chosen)


def _rank(codes: Codes) -> npt.NDArray[np.int64]:
    """Return how much statistics are worth: those in dB more than all others, then those with more seconds."""
    calibrated, _ = _units(codes[:, 0])
    return np.asarray(codes[:, -1].astype(np.int64) + 2 * HOUR_S * calibrated)


def _joined(minutes: Codes) -> Codes:
    """Return the statistics of an hour from those of its minutes, uint16 [7], without percentiles."""
    table = table_of_statistics(minutes)
    row = np.zeros(COLUMNS, dtype=np.uint16)
    present = table.seconds > 0
    if not present.any():
        return row
    levels, seconds = table.levels[present], table.seconds[present]
    shares = seconds / seconds.sum()
    laeq, lceq = (10.0 * np.log10((10.0 ** (levels[:, at] / 10.0) * shares).sum()) for at in (0, 2))
    tenths = np.rint(10.0 * np.array([laeq, levels[:, 1].max(), lceq])).astype(np.int64)
    row[: len(LEVELS)] = tenths + _ZERO_DB + (_DBFS if table.unit == "dBFS" else 0)
    row[-1] = seconds.sum()
    return row


def _table(codes: Codes, seconds: npt.NDArray[np.int64]) -> LevelTable:
    calibrated, uncalibrated = _units(codes[:, 0])
    in_db = bool(calibrated.any())
    shown = calibrated if in_db else uncalibrated
    return LevelTable(
        levels=np.where(shown[:, None] & (codes > 0), _decibels(codes), np.nan),
        seconds=np.where(shown, seconds, 0),
        unit="dB" if in_db else "dBFS",
        uncalibrated=uncalibrated & in_db,
    )


def _units(laeq: Codes) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return where codes are levels in dB, and where levels in dBFS."""
    calibrated = (laeq >= 1) & (laeq <= _HIGHEST)
    uncalibrated = (laeq > _DBFS) & (laeq <= _DBFS + _HIGHEST)
    return np.asarray(calibrated), np.asarray(uncalibrated)


def _decibels(codes: Codes) -> Floats:
    return (codes.astype(np.int64) % _DBFS - _ZERO_DB) / 10.0


def _statistics(codes: Codes) -> Codes:
    """Return a row of statistics for each group of seconds.

    Args:
        codes: uint16 [groups, seconds, 3].

    Returns:
        uint16 [groups, 7].
    """
    calibrated, uncalibrated = _units(codes[:, :, 0])
    in_db = np.asarray(calibrated.any(axis=1))
    used = np.where(in_db[:, None], calibrated, uncalibrated)
    count = used.sum(axis=1)
    levels = _decibels(codes)
    weights = used / np.maximum(count, 1)[:, None]
    with np.errstate(divide="ignore"):
        laeq, lceq = (10.0 * np.log10((10.0 ** (levels[:, :, at] / 10.0) * weights).sum(axis=1)) for at in (0, 2))
    lafmax = np.where(used, levels[:, :, 1], -np.inf).max(axis=1)
    ordered = np.sort(np.where(used, levels[:, :, 0], np.inf), axis=1)
    percentiles = [_quantile(ordered, count, quantile) for quantile in _QUANTILES]
    values = np.stack([laeq, lafmax, lceq, *percentiles], axis=1)
    there = (count > 0)[:, None]
    tenths = np.rint(10.0 * np.where(there, values, 0.0)).astype(np.int64)
    shifted = tenths + _ZERO_DB + np.where(in_db, 0, _DBFS)[:, None]
    return np.concatenate([np.where(there, shifted, 0), count[:, None]], axis=1).astype(np.uint16)


def _quantile(ordered: Floats, count: npt.NDArray[np.int64], quantile: float) -> Floats:
    """Return the quantile of the first `count` values of each row of ascending values, interpolated linearly."""
    position = quantile * np.maximum(count - 1, 0)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    low, high = ordered[row, below], ordered[row, above]
    with np.errstate(invalid="ignore"):  # rows without a level
        return np.asarray(low + (high - low) * (position - below))


def runs(present: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the begin and the end of each run of True in bool [n]; the end is the first place after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

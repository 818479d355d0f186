"""One-third-octave bands of seconds as rows of bytes, for the level series and the hub's store. No I/O.

A row has 32 bytes: the base, and the code of each of 31 bands from 20 Hz to 20 kHz. The base is a whole number of dB
plus 128. A code is 0 without a level; otherwise the level is the base plus (code - 1) / 2 dB. The base of each second
is the whole dB at or below its lowest band, so the codes cover 127 dB above it, in steps of half a decibel. A row of
zeros is a second without bands.

Half a decibel is enough for a second: the level of a noise in the band of 1 kHz varies by 0.29 dB from second to
second, and in lower bands by more. Source: 4.34 dB / sqrt(B T), with B = 0.23 f; the relative standard deviation of a
mean square is 1 / sqrt(B T) (Bendat and Piersol, Random Data).
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidError
from shared.levels.bands import NOMINAL_HZ
from shared.levels.values import SecondLevels

BandRows = npt.NDArray[np.uint8]

BANDS: Final = len(NOMINAL_HZ)
ROW_BYTES: Final = 1 + BANDS
STEPS_PER_DB: Final = 2
_ZERO_DB: Final = 128
_LOWEST_DB, _HIGHEST_DB = 1 - _ZERO_DB, 255 - _ZERO_DB
_HIGHEST_CODE: Final = 255


def band_rows(seconds: Sequence[SecondLevels]) -> BandRows:
    """Return the bands of seconds as rows, uint8 [seconds, 32].

    Levels below -127 dB become -127 dB, and those more than 127 dB above the lowest band become that.

    Raises:
        InvalidError: a level that is not finite, or more than 31 bands.
    """
    rows = np.zeros((len(seconds), ROW_BYTES), dtype=np.uint8)
    for row, second in zip(rows, seconds, strict=True):
        if not second.bands:
            continue
        levels = np.array(second.bands, dtype=np.float64)
        if levels.size > BANDS or not np.isfinite(levels).all():
            raise InvalidError(f"the bands of a second must be at most {BANDS} finite levels")
        base = min(_HIGHEST_DB, max(_LOWEST_DB, math.floor(levels.min())))
        row[0] = base + _ZERO_DB
        row[1 : 1 + levels.size] = np.clip(np.rint(STEPS_PER_DB * (levels - base)) + 1, 1, _HIGHEST_CODE)
    return rows


def band_levels(rows: BandRows) -> npt.NDArray[np.float64]:
    """Return the levels of rows (uint8 [seconds, 32]) in dB, float64 [seconds, 31]; NaN where there is none."""
    base = rows[:, :1].astype(np.float64) - _ZERO_DB
    levels = base + (rows[:, 1:].astype(np.float64) - 1.0) / STEPS_PER_DB
    return np.where((rows[:, :1] > 0) & (rows[:, 1:] > 0), levels, np.nan)

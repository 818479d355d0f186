"""Mean one-third-octave bands of minutes, from the rows of their seconds. No I/O."""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.level_rows import Floats
from shared.level_bands import BANDS, ROW_BYTES, BandRows, band_levels

MINUTE_S: Final = 60


def minute_bands(rows: BandRows, used: npt.NDArray[np.bool_]) -> Floats:
    """Return the energetic mean of each band over the seconds of each minute that have it.

    Args:
        rows: uint8 [60 * minutes, 32], rows of `shared.level_bands`.
        used: bool [60 * minutes], False for seconds that are left out.

    Returns:
        float64 [minutes, 31] in dB, from 20 Hz to 20 kHz; NaN where no second has a level.
    """
    present = (rows[:, :1] > 0) & (rows[:, 1:] > 0) & used[:, None]
    energies = np.where(present, _BASES[rows[:, :1]] * _STEPS[rows[:, 1:]], np.float32(0.0))
    count = present.reshape(-1, MINUTE_S, BANDS).sum(axis=1)
    energy = energies.reshape(-1, MINUTE_S, BANDS).sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, 10.0 * np.log10(energy / count), np.nan)


def _energies(column: int) -> npt.NDArray[np.float32]:
    """Return the energy of each code of a column, relative to 0 dB, where the other column is of 0 dB."""
    rows = np.zeros((256, ROW_BYTES), dtype=np.uint8)
    rows[:, 0], rows[:, 1] = 128, 1
    rows[:, column] = np.arange(256)
    return np.asarray(10.0 ** (np.nan_to_num(band_levels(rows)[:, 0]) / 10.0), dtype=np.float32)


_BASES, _STEPS = _energies(0), _energies(1)
"""Factors of the energy of a level: of the base, and of the code."""

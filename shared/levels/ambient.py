"""The running ambient level: what the Fast level exceeded nine tenths of the last minutes."""

from typing import Final

import numpy as np

from shared.levels.block_filter import Floats

MEMORY_S: Final = 600.0
"""Time constant with which older levels are forgotten, in seconds."""
EXCEEDED_SHARE: Final = 0.9
_STEP_DB: Final = 0.1
_LOWEST_DB: Final = -140.0
_BINS: Final = 1_500


class AmbientLevel:
    """A histogram of Fast levels with a weight that decays with `MEMORY_S`; bounded memory."""

    def __init__(self) -> None:
        self._weights = np.zeros(_BINS)

    def add(self, levels_db: Floats, duration_s: float) -> None:
        """Add the Fast levels of `duration_s` seconds, float64 [n] in dB re full scale."""
        places = np.clip((levels_db - _LOWEST_DB) / _STEP_DB, 0, _BINS - 1).astype(np.intp)
        self._weights *= np.exp(-duration_s / MEMORY_S)
        self._weights += np.bincount(places, minlength=_BINS)

    def level_db(self) -> float | None:
        """Return the ambient level in dB re full scale, to 0.1 dB; None before the first level."""
        summed = np.cumsum(self._weights)
        if summed[-1] <= 0.0:
            return None
        return float(_LOWEST_DB + _STEP_DB * (np.searchsorted(summed, (1.0 - EXCEEDED_SHARE) * summed[-1]) + 0.5))

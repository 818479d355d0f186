"""The Fast, Slow and Impulse time weightings: exponential averages of squared samples.

Source: IEC 61672-1:2013, 3.8 and 5.8 (Fast, Slow); IEC 60651:1979, 7.4 and 7.5 (Impulse).
"""

from typing import Final

import numpy as np

from shared.levels.block_filter import BlockFilter, Floats

FAST_S: Final = 0.125
SLOW_S: Final = 1.0
IMPULSE_S: Final = 0.035
IMPULSE_DECAY_S: Final = 1.5
"""Time constants. After a maximum, Impulse decays with its own. Source: see the module."""


class TimeWeightings:
    """Fast, Slow and Impulse of one power signal, from rest; the state carries over between calls.

    Args:
        rate_hz: sample rate in Hz.
    """

    def __init__(self, rate_hz: int) -> None:
        shares = -np.expm1(-1.0 / rate_hz / np.array([FAST_S, SLOW_S, IMPULSE_S]))
        rows = [[[share, 0.0, 0.0, 1.0, share - 1.0, 0.0]] for share in shares]
        self._averages = BlockFilter(np.array(rows))
        self._decay_per_sample = 1.0 / rate_hz / IMPULSE_DECAY_S
        self._held = 0.0

    def process(self, power: Floats) -> Floats:
        """Return the weighted power, float64 [3, n] (Fast, Slow, Impulse), of the next n squared samples, n >= 1.

        At most a few seconds at a time: the decay of Impulse is computed with numbers of e^(n / rate / 1.5 s).
        """
        weighted = np.maximum(self._averages.process(power), 0.0)
        decay = np.exp(-self._decay_per_sample * np.arange(1, power.size + 1))
        peaks = np.maximum.accumulate(np.maximum(weighted[2] / decay, self._held)) * decay
        self._held = float(peaks[-1])
        weighted[2] = peaks
        return weighted

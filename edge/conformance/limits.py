"""Limits of class 1 and class 2 in dB. Sources: IEC 61672-1:2013, IEC 61260-1:2014; the tables are below."""

import math
from typing import Final, NamedTuple

import numpy as np

from shared.levels.bands import HALF_BAND
from shared.levels.block_filter import Floats

_NONE: Final = -math.inf


class Tolerance(NamedTuple):
    """Lowest and highest deviation in dB."""

    lowest: float
    highest: float

    def holds(self, deviation_db: float) -> bool:
        """Return whether a deviation is within the limits."""
        return self.lowest <= deviation_db <= self.highest


class Burst(NamedTuple):
    """A tone burst of 4 kHz: its length in seconds and the limits."""

    duration_s: float
    class_1: Tolerance
    class_2: Tolerance


class CrestFactor(NamedTuple):
    """A crest factor, the cycles of each burst that has it, and the limits of type 1 and 2 of IEC 60651."""

    factor: int
    cycles: int
    type_1: Tolerance | None
    type_2: Tolerance | None


def _both(value: float) -> Tolerance:
    return Tolerance(-value, value)


WEIGHTING: Final[dict[float, tuple[Tolerance, Tolerance]]] = {
    10.0: (Tolerance(_NONE, 3.0), Tolerance(_NONE, 5.0)),
    12.5: (Tolerance(_NONE, 2.5), Tolerance(_NONE, 5.0)),
    16.0: (Tolerance(-4.0, 2.0), Tolerance(_NONE, 5.0)),
    20.0: (_both(2.0), _both(3.0)),
    25.0: (Tolerance(-1.5, 2.0), _both(3.0)),
    31.5: (_both(1.5), _both(3.0)),
    **dict.fromkeys((40.0, 50.0, 63.0, 80.0), (_both(1.0), _both(2.0))),
    **dict.fromkeys((100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0), (_both(1.0), _both(1.5))),
    **dict.fromkeys((500.0, 630.0, 800.0), (_both(1.0), _both(1.5))),
    1_000.0: (_both(0.7), _both(1.0)),
    1_250.0: (_both(1.0), _both(1.5)),
    **dict.fromkeys((1_600.0, 2_000.0), (_both(1.0), _both(2.0))),
    **dict.fromkeys((2_500.0, 3_150.0), (_both(1.0), _both(2.5))),
    4_000.0: (_both(1.0), _both(3.0)),
    5_000.0: (_both(1.5), _both(3.5)),
    6_300.0: (Tolerance(-2.0, 1.5), _both(4.5)),
    8_000.0: (Tolerance(-2.5, 1.5), _both(5.0)),
    10_000.0: (Tolerance(-3.0, 2.0), Tolerance(_NONE, 5.0)),
    12_500.0: (Tolerance(-5.0, 2.0), Tolerance(_NONE, 5.0)),
    16_000.0: (Tolerance(-16.0, 2.5), Tolerance(_NONE, 5.0)),
    20_000.0: (Tolerance(_NONE, 3.0), Tolerance(_NONE, 5.0)),
}
"""Nominal frequency in Hz to the limits of A, C and Z in class 1 and 2. Source: IEC 61672-1:2013, table 3."""

FAST_BURSTS: Final = (
    Burst(1.0, _both(0.5), _both(1.0)),
    Burst(0.5, _both(0.5), _both(1.0)),
    Burst(0.2, _both(0.5), _both(1.0)),
    Burst(0.1, _both(1.0), _both(1.0)),
    Burst(0.05, _both(1.0), Tolerance(-1.5, 1.0)),
    Burst(0.02, _both(1.0), Tolerance(-2.0, 1.0)),
    Burst(0.01, _both(1.0), Tolerance(-2.0, 1.0)),
    Burst(0.005, _both(1.0), Tolerance(-2.5, 1.0)),
    Burst(0.002, Tolerance(-1.5, 1.0), Tolerance(-2.5, 1.0)),
    Burst(0.001, Tolerance(-2.0, 1.0), Tolerance(-3.0, 1.0)),
    Burst(0.0005, Tolerance(-2.5, 1.0), Tolerance(-4.0, 1.0)),
    Burst(0.00025, Tolerance(-3.0, 1.0), Tolerance(-5.0, 1.5)),
)
"""Limits of LAFmax and LAE of a burst, relative to the steady tone. Source: IEC 61672-1:2013, table 4."""
SLOW_BURSTS: Final = (
    Burst(1.0, _both(0.5), _both(1.0)),
    Burst(0.5, _both(0.5), _both(1.0)),
    Burst(0.2, _both(0.5), _both(1.0)),
    Burst(0.1, _both(1.0), _both(1.0)),
    Burst(0.05, _both(1.0), Tolerance(-1.5, 1.0)),
    Burst(0.02, Tolerance(-1.5, 1.0), Tolerance(-2.0, 1.0)),
    Burst(0.01, Tolerance(-2.0, 1.0), Tolerance(-3.0, 1.0)),
    Burst(0.005, Tolerance(-2.5, 1.0), Tolerance(-4.0, 1.0)),
    Burst(0.002, Tolerance(-3.0, 1.0), Tolerance(-5.0, 1.0)),
)
"""Limits of LASmax of a burst, relative to the steady tone. Source: IEC 61672-1:2013, table 4."""
LINEARITY: Final = (_both(0.8), _both(1.1))
"""Limits of the level linearity deviation. Source: IEC 61672-1:2013, 5.6.5."""
PEAKS: Final = (
    ("one cycle", 31.5, 2.5, _both(2.0), _both(3.0)),
    ("one cycle", 500.0, 3.5, _both(1.0), _both(2.0)),
    ("one cycle", 8_000.0, 3.4, _both(2.0), _both(3.0)),
    ("positive half cycle", 500.0, 2.4, _both(1.0), _both(2.0)),
    ("negative half cycle", 500.0, 2.4, _both(1.0), _both(2.0)),
)
"""Signal, frequency in Hz, LCpeak above LC of the steady tone in dB, limits. Source: IEC 61672-1:2013, table 5."""
CREST_FACTORS: Final = (
    CrestFactor(3, 11, _both(0.5), _both(1.0)),
    CrestFactor(5, 4, None, _both(1.0)),
    CrestFactor(10, 1, None, None),
)
"""Limits of the level of a burst train minus that of a steady tone of the same power. None: no published source.

Sources: signal and limits of crest factor 3: NPL procedure for the verification of sound level meters to BS 7580,
14.3. Limits of type 2: certificate of a type 2 meter by IEC 60651:2001, 9.4.2 (Larson Davis LxT2, 2018).
"""
CREST_HZ: Final = 2_000.0
CREST_PERIOD_S: Final = 0.025
"""The bursts begin 40 times a second."""
EFFECTIVE_BANDWIDTH: Final = (_both(0.4), _both(0.6))
"""Limits of the effective bandwidth deviation. Source: IEC 61260-1:2014, 5.12."""

_PASS_BAND: Final = ((0.0, 0.4, 0.6), (1 / 8, 0.5, 0.7), (1 / 4, 0.7, 0.9), (3 / 8, 1.4, 1.7), (1 / 2, 5.3, 5.8))
_STOP_BAND: Final = ((1 / 2, 1.2, 0.8), (1.0, 16.6, 15.6), (2.0, 40.5, 39.5), (3.0, 60.0, 54.0), (4.0, 70.0, 60.0))
_LOWEST: Final = {1: -0.4, 2: -0.6}
"""Octave exponents with the limits of class 1 and 2. Source: IEC 61260-1:2014, table 1."""
_OCTAVE: Final = 10.0**0.3


def band_limits(ratios: Floats, number: int) -> tuple[Floats, Floats]:
    """Return the lowest and highest relative attenuation in dB of a third-octave band.

    Args:
        ratios: frequencies divided by the mid-band frequency, above 0; float64 [n].
        number: class 1 or 2.

    Source: IEC 61260-1:2014, 5.10.
    """
    scale = (HALF_BAND - 1.0) / (math.sqrt(_OCTAVE) - 1.0)
    places = np.log(np.maximum(ratios, 1.0 / ratios))

    def limits(table: tuple[tuple[float, float, float], ...]) -> Floats:
        breaks = [math.log(1.0 + scale * (_OCTAVE ** row[0] - 1.0)) for row in table]
        return np.asarray(np.interp(places, breaks, [row[number] for row in table]))

    inside = places < math.log(HALF_BAND)
    return np.where(inside, _LOWEST[number], limits(_STOP_BAND)), np.where(inside, limits(_PASS_BAND), np.inf)

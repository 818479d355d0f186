"""The results of the level meter: levels of a clip beyond LAeq and LAFmax, and levels of one second."""

import math
from dataclasses import dataclass, fields
from typing import Final

from shared.errors import InvalidError

PERCENTAGES: Final = (1, 5, 10, 50, 90, 95)
"""L1 is exceeded 1 % of the time, L90 90 %."""
MOST_BANDS: Final = 31


@dataclass(frozen=True, slots=True)
class LevelDetails:
    """Levels of one clip, in dB re full scale or re 20 µPa like its LAeq.

    Attributes:
        lceq: equivalent continuous C-weighted level.
        lzeq: equivalent continuous level without weighting.
        lafmin: lowest A-weighted level with the Fast time weighting.
        lasmax: highest A-weighted level with the Slow time weighting.
        laimax: highest A-weighted level with the Impulse time weighting.
        laieq: energy mean of the A-weighted level with the Impulse time weighting.
        lcpeak: highest absolute C-weighted sample.
        lae: A-weighted sound exposure level: LAeq of the same energy in one second.
        l1: Fast level exceeded 1 % of the time; likewise `l5`, `l10`, `l50`, `l90` and `l95`.
        bands: equivalent continuous levels of the third-octave bands from 20 Hz upwards, at most 31.
        overload: whether a sample reached full scale.
        under_range: whether the Fast level fell below the range in which a 16-bit converter is linear.
        ambient: running ambient level, the Fast level exceeded nine tenths of the last minutes; None if unknown.

    Raises:
        InvalidError: a level that is not finite or is outside [-250, 250], or more than 31 bands.
    """

    lceq: float
    lzeq: float
    lafmin: float
    lasmax: float
    laimax: float
    laieq: float
    lcpeak: float
    lae: float
    l1: float
    l5: float
    l10: float
    l50: float
    l90: float
    l95: float
    bands: tuple[float, ...] = ()
    overload: bool = False
    under_range: bool = False
    ambient: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            check_levels(field.name, value if isinstance(value, tuple) else (0.0 if value is None else value,))
        if len(self.bands) > MOST_BANDS:
            raise InvalidError(f"{len(self.bands)} bands are more than {MOST_BANDS}")


@dataclass(frozen=True, slots=True)
class SecondLevels:
    """Levels of one second, in dB re full scale or re 20 µPa.

    Attributes:
        laeq: equivalent continuous A-weighted level.
        lafmax: highest A-weighted level with the Fast time weighting.
        lceq: equivalent continuous C-weighted level.
        bands: equivalent continuous levels of the third-octave bands from 20 Hz upwards, at most 31.
    """

    laeq: float
    lafmax: float
    lceq: float
    bands: tuple[float, ...] = ()


def check_levels(name: str, values: tuple[float, ...]) -> None:
    """Check levels in dB.

    Raises:
        InvalidError: one is not finite or is outside [-250, 250].
    """
    for value in values:
        if not (math.isfinite(value) and -250.0 <= value <= 250.0):
            raise InvalidError(f"level {name} = {value} is not a finite number of dB in [-250, 250]")

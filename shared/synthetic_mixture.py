"""Mix synthetic sources and a background into one clip."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.synthetic_scene import CEILING, render_source
from shared.synthetic_sounds import background

CLIP_S: Final = 10


@dataclass(frozen=True, slots=True, order=True)
class SourceInstance:
    """A source at one sensor.

    Attributes:
        category: category of the source.
        character: seed of the source, as in `shared.synthetic_scene`.
        above_db: level over the background, dB.
        performances: maximum number of different clips of it.
    """

    category: str
    character: int
    above_db: float
    performances: int


RATE_HZ: Final = 16_000
NIGHT_DBFS: Final = -58.0
DAY_DBFS: Final = -48.0
"""Level of the background, RMS; `_SPREAD_DB` varies it."""
_SPREAD_DB: Final = 1.5
Mixture = tuple[bool, tuple[SourceInstance, ...]]
"""A flag for night, and the sources that sound."""


def render_clip(mixture: Mixture, rng: np.random.Generator) -> Waveform:
    """Return one clip of a mixture, float32 [10 s at `RATE_HZ`]."""
    night, sounds = mixture
    level_db = (NIGHT_DBFS if night else DAY_DBFS) + rng.uniform(-_SPREAD_DB, _SPREAD_DB)
    mix = _at(background(rng, RATE_HZ, CLIP_S), level_db)
    for sound in sounds:
        signal = render_source(sound.category, sound.character, rng, RATE_HZ, CLIP_S)
        mix = mix + _at(signal, level_db + sound.above_db)
    peak = float(np.abs(mix).max())
    return np.asarray(mix * min(1.0, CEILING / peak), dtype=np.float32)


def _at(signal: npt.NDArray[np.floating], level_db: float) -> npt.NDArray[np.float64]:
    """Return a signal scaled to an RMS level in dB re full scale."""
    rms = float(np.sqrt(np.mean(np.square(signal))))
    return np.asarray(signal * (10.0 ** (level_db / 20.0) / max(rms, 1e-12)), dtype=np.float64)

"""Mix synthetic sources and a background into one clip."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.synthetic_scene import CEILING, background, render_source

CLIP_S: Final = 10


@dataclass(frozen=True, slots=True, order=True)
class SourceInstance:
    """A source as one sensor hears it.

    Attributes:
        category: what it is.
        character: which one it is, a seed as of `shared.synthetic_scene`.
        above_db: level over the background, dB.
        performances: how many different clips of it are heard at most.
    """

    category: str
    character: int
    above_db: float
    performances: int


RATE_HZ: Final = 16_000
NIGHT_DBFS: Final = -58.0
DAY_DBFS: Final = -48.0
"""Level of the background, RMS, give or take a few decibels."""
_SPREAD_DB: Final = 1.5
Mixture = tuple[bool, tuple[SourceInstance, ...]]
"""Whether it is night, and what sounds."""


def render_clip(mixture: Mixture, rng: np.random.Generator) -> Waveform:
    """One clip of a mixture, float32 [10 s at `RATE_HZ`]."""
    night, sounds = mixture
    level_db = (NIGHT_DBFS if night else DAY_DBFS) + rng.uniform(-_SPREAD_DB, _SPREAD_DB)
    made = _at(background(rng, RATE_HZ, CLIP_S), level_db)
    for sound in sounds:
        own = render_source(sound.category, sound.character, rng, RATE_HZ, CLIP_S)
        made = made + _at(own, level_db + sound.above_db)
    peak = float(np.abs(made).max())
    return np.asarray(made * min(1.0, CEILING / peak), dtype=np.float32)


def _at(signal: npt.NDArray[np.floating], level_db: float) -> npt.NDArray[np.float64]:
    """A signal at an RMS level in dB re full scale."""
    rms = float(np.sqrt(np.mean(np.square(signal))))
    return np.asarray(signal * (10.0 ** (level_db / 20.0) / max(rms, 1e-12)), dtype=np.float64)

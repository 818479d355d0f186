"""Takes: clips that are rendered, measured, compressed and embedded once, and used for many clips of a history."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.audio import encode_flac
from shared.events import Flac, Levels
from shared.extractor import FeatureExtractor
from shared.feature_space import Features
from shared.levels.meter import measure
from shared.synthetic_mixture import RATE_HZ, SourceInstance, render_clip

BACKGROUNDS: Final = 6
"""Takes of a background without sources."""
CALIBRATION_DB: Final = 110.0
"""dB SPL of 0 dBFS, which gives the rendered street the levels of a real one."""

Sounds = tuple[SourceInstance, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One rendered clip of 10 s.

    Attributes:
        features: uint8 [frames, dimension] of the extractor's feature space.
        flac: the audio.
        levels: levels as of a calibrated sensor, dB.
    """

    features: Features
    flac: Flac
    levels: Levels


def render(
    mixtures: Iterable[Sounds], extractor: FeatureExtractor, rng: np.random.Generator
) -> Iterator[tuple[Sounds, Take, float]]:
    """Render one take of each mixture per performance of its sounds.

    Args:
        mixtures: distinct sets of sources over the background of the day.
        extractor: embeds the takes.
        rng: source of all randomness.

    Yields:
        The mixture, one take of it, and the progress, in (0, 1].
    """
    each = [mixture for mixture in mixtures for _ in range(_count(mixture))]
    for done, mixture in enumerate(each, start=1):
        waveform = render_clip((False, mixture), rng)
        take = Take(
            features=extractor.extract(waveform, RATE_HZ),
            flac=Flac(encode_flac(waveform, RATE_HZ)),
            levels=measure(waveform, RATE_HZ, CALIBRATION_DB),
        )
        yield mixture, take, done / len(each)


def _count(mixture: Sounds) -> int:
    return min((sound.performances for sound in mixture), default=BACKGROUNDS)

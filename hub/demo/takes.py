"""Takes: clips that are rendered, measured, compressed and embedded once, and stand for many clips of a history."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hub.bench.heard import RATE_HZ, Mixture, mixed
from shared.audio import encode_flac
from shared.events import Flac, Levels
from shared.extractor import Extractor
from shared.levels import measure
from shared.space import Features

BACKGROUNDS: Final = 6
"""Takes of a background in which nothing sounds."""
CALIBRATION_DB: Final = 110.0
"""dB SPL of 0 dBFS: it gives the rendered street the levels of a real one."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One rendered clip of 10 s.

    Attributes:
        features: uint8 [frames, dimension] of the extractor's feature space.
        flac: the sound.
        levels: as of a calibrated sensor, dB.
    """

    features: Features
    flac: Flac
    levels: Levels


Takes = Mapping[Mixture, Sequence[Take]]


def render(
    mixtures: Iterable[Mixture], extractor: Extractor, rng: np.random.Generator, progress: Callable[[float], None]
) -> Takes:
    """Render some takes of each mixture: as many as its sounds have performances.

    Args:
        mixtures: what sounds; each once.
        extractor: embeds the takes.
        rng: source of all randomness.
        progress: called with the share that is done, in [0, 1].
    """
    counts = {mixture: _count(mixture) for mixture in mixtures}
    total, done = sum(counts.values()), 0
    takes: dict[Mixture, list[Take]] = {}
    for mixture, count in counts.items():
        takes[mixture] = []
        for _ in range(count):
            waveform = mixed(mixture, rng)
            takes[mixture].append(
                Take(
                    features=extractor.extract(waveform, RATE_HZ),
                    flac=Flac(encode_flac(waveform, RATE_HZ)),
                    levels=measure(waveform, RATE_HZ, CALIBRATION_DB),
                )
            )
            done += 1
            progress(done / total)
    return takes


def _count(mixture: Mixture) -> int:
    return min((sound.performances for sound in mixture[1]), default=BACKGROUNDS)

"""Clips of a synthetic street, rendered, embedded by the backbone and measured on all cores.

The module renders a limited number of clips of each mixture, each a different performance of the same sources. It
makes further clips from the beginning of one and the end of another, with slightly changed values: no two are equal.
It does not import PyTorch, so that worker processes start quickly.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.bench.scenario import PERFORMANCES, Clip
from shared.audio import Waveform
from shared.backbones import SMALL_FILE
from shared.backbones.onnx_backbone import Backbone
from shared.events import Levels
from shared.feature_space import EARWITNESS_SMALL, Features
from shared.synthetic_features import splice_clips
from shared.synthetic_mixture import RATE_HZ, Mixture, render_clip

_MOVED_DB: Final = 0.5
"""Standard deviation of the level of a recombined clip from that of the clip it begins with, dB."""
_AT_ONCE: Final = 16
_FEW: Final = 64
"""At most this many clips are embedded in this process."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedClips:
    """Features and levels of clips, as the hub receives them.

    Attributes:
        features: uint8 [n, frames, dimension] of `EARWITNESS_SMALL`.
        laeq: float32 [n], level of the clip in dBFS, not weighted.
        lafmax: float32 [n], the highest eighth of a second of it.
    """

    features: Features
    laeq: npt.NDArray[np.float32]
    lafmax: npt.NDArray[np.float32]

    def levels(self, number: int) -> Levels:
        """Return the levels of one clip."""
        return Levels(float(self.laeq[number]), float(self.lafmax[number]))


def measured(waveform: Waveform, rate_hz: int) -> tuple[float, float]:
    """Return the level of a clip and of its loudest eighth of a second, dBFS, unweighted; a full-scale sine has 0."""
    block = rate_hz // 8
    power = np.square(waveform[: len(waveform) // block * block], dtype=np.float64).reshape(-1, block).mean(axis=1)
    mean, most = (10.0 * np.log10(2.0 * value + 1e-12) for value in (power.mean(), power.max()))
    return float(mean), float(most)


def embed_scenario(
    clips: Sequence[Clip], seed: int, most: int = PERFORMANCES, progress: Callable[[float], None] = lambda _: None
) -> EmbeddedClips:
    """Render, embed and measure clips.

    Args:
        clips: clips in any order.
        seed: random seed of the performances.
        most: at most this many different clips are rendered of one mixture, from 1.
        progress: called with the share done, in [0, 1].
    """
    wanted: dict[Mixture, list[int]] = {}
    for number, clip in enumerate(clips):
        wanted.setdefault((clip.night, clip.sounds), []).append(number)
    tasks = [
        (mixture, (seed, kind, take))
        for kind, (mixture, numbers) in enumerate(wanted.items())
        for take in range(min(len(numbers), most, _performances(mixture)))
    ]
    features, laeq, lafmax = _all(tasks, progress)
    made = EmbeddedClips(
        np.empty((len(clips), *EARWITNESS_SMALL.shape), np.uint8),
        *(np.empty(len(clips), np.float32) for _ in range(2)),
    )
    rng, begin = np.random.default_rng([seed, len(clips)]), 0
    for mixture, numbers in wanted.items():
        count = min(len(numbers), most, _performances(mixture))
        own = slice(begin, begin + count)
        begin += count
        alike = rng.integers(count, size=len(numbers) - count)
        made.features[numbers] = np.concatenate([features[own], splice_clips(features[own], len(alike), rng)])
        moved = np.concatenate([np.zeros(count), rng.normal(0.0, _MOVED_DB, len(alike))])
        for of, into in ((laeq, made.laeq), (lafmax, made.lafmax)):
            into[numbers] = np.concatenate([of[own], of[own][alike]]) + moved
    return made


def _performances(mixture: Mixture) -> int:
    return min((sound.performances for sound in mixture[1]), default=PERFORMANCES)


_Task = tuple[Mixture, tuple[int, int, int]]
_Results = tuple[Features, npt.NDArray[np.float32], npt.NDArray[np.float32]]


def _all(tasks: Sequence[_Task], progress: Callable[[float], None]) -> _Results:
    parts = [tasks[at : at + _AT_ONCE] for at in range(0, len(tasks), _AT_ONCE)]
    done: list[_Results] = []
    if len(tasks) <= _FEW:
        done = [_some(part) for part in parts]
    else:
        # Spawned and not forked: this process may have threads.
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            for result in pool.map(_some, parts):
                done.append(result)
                progress(len(done) / len(parts))
    features, laeq, lafmax = (np.concatenate(column) for column in zip(*done, strict=True))
    return features, laeq, lafmax


_backbones: list[Backbone] = []


def _some(tasks: Sequence[_Task]) -> _Results:
    """Compute features and levels of clips, in a process that keeps its backbone."""
    if not _backbones:
        _backbones.append(Backbone(SMALL_FILE))
    waves = [render_clip(mixture, np.random.default_rng(seed)) for mixture, seed in tasks]
    levels = np.array([measured(wave, RATE_HZ) for wave in waves], dtype=np.float32)
    return _backbones[0].extract_many([(wave, RATE_HZ) for wave in waves]), levels[:, 0], levels[:, 1]

"""Generate any number of clips from some real ones, to train a sketch and to fill large benchmarks."""

import numpy as np

from shared.feature_space import Features

JITTER = 3
"""Largest change of a value, in its 256 steps."""


def splice_clips(features: Features, count: int, rng: np.random.Generator) -> Features:
    """Return new clips: the beginning of one real clip and the end of another, with jittered values.

    Args:
        features: uint8 [n, frames, dimension] of real clips, n at least 1.
        count: number of clips to make.
        rng: random generator.

    Returns:
        uint8 [count, frames, dimension].
    """
    frames = features.shape[1]
    first, second = rng.integers(len(features), size=(2, count))
    cut = rng.integers(frames + 1, size=count)
    early = np.arange(frames)[None, :] < cut[:, None]
    spliced = np.where(early[:, :, None], features[first], features[second]).astype(np.int16)
    spliced += rng.integers(-JITTER, JITTER + 1, size=spliced.shape, dtype=np.int8)
    clipped: Features = np.clip(spliced, 0, 255).astype(np.uint8)
    return clipped

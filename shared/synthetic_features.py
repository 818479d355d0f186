"""Any number of clips made from some real ones: what a sketch is taught on, and what large benchmarks search."""

import numpy as np

from shared.feature_space import Features

JITTER = 3
"""Most that a value is moved, in its 256 steps."""


def splice_clips(features: Features, count: int, rng: np.random.Generator) -> Features:
    """New clips, each the beginning of one real clip and the end of another, every value moved a little.

    Args:
        features: uint8 [n, frames, dimension] of real clips, n at least 1.
        count: how many to make.
        rng: source of randomness.

    Returns:
        uint8 [count, frames, dimension].
    """
    frames = features.shape[1]
    first, second = rng.integers(len(features), size=(2, count))
    cut = rng.integers(frames + 1, size=count)
    early = np.arange(frames)[None, :] < cut[:, None]
    made = np.where(early[:, :, None], features[first], features[second]).astype(np.int16)
    made += rng.integers(-JITTER, JITTER + 1, size=made.shape, dtype=np.int8)
    clipped: Features = np.clip(made, 0, 255).astype(np.uint8)
    return clipped

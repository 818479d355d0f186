"""Drawing training pairs, balanced over the situations of each category.

For each category and each target clip, some partners are in the same situation as the target (both contain
the category, or neither does) and as many are in the opposite one (one of the two contains it).

The paper draws 30 + 30 partners once (218,173 pairs from 2,351 clips). For a large set that is millions of
pairs; there, draw one or two partners per epoch, fresh each epoch: in expectation it is the same
distribution, and no pair is learnt by heart.

Source: the paper, section 4.2.
"""

import numpy as np
import numpy.typing as npt

from hub.model.presence import Labels
from shared.errors import Invalid

Pairs = npt.NDArray[np.int64]
"""int64 [pairs, 2]: indices of two different clips."""

N_SAME = 30
"""Partners in the same situation, per target and category. Source: the paper, section 4.2."""
N_OPPOSITE = 30
"""Partners in the opposite situation. Source: the paper, section 4.2."""


def draw_pairs(
    labels: Labels, rng: np.random.Generator, *, n_same: int = N_SAME, n_opposite: int = N_OPPOSITE
) -> Pairs:
    """Draw the pairs of one epoch.

    Partners are drawn with replacement and duplicates removed afterwards, in either order, as are pairs of
    a clip with itself; a category that all clips or no clips contain has no opposite partners.

    Args:
        labels: uint8 [n, categories] of 0 and 1.
        rng: source of randomness; an equal generator draws equal pairs.
        n_same: partners in the same situation, per target and category, from 0.
        n_opposite: partners in the opposite situation, per target and category, from 0.

    Returns:
        int64 [pairs, 2], each pair once, in random order, its two sides in random order.

    Raises:
        Invalid: labels of another form, or a negative count.

    Source: the paper, section 4.2.
    """
    if labels.ndim != 2 or (labels.size and int(labels.max()) > 1):
        raise Invalid(f"labels are [n, categories] of 0 and 1, got shape {list(labels.shape)}")
    if n_same < 0 or n_opposite < 0:
        raise Invalid("the numbers of partners start at 0")
    drawn: list[Pairs] = [np.empty((0, 2), dtype=np.int64)]
    for column in labels.T:
        groups = (np.flatnonzero(column == 0), np.flatnonzero(column == 1))
        for mine, targets in enumerate(groups):
            for partners, count in ((targets, n_same), (groups[1 - mine], n_opposite)):
                if targets.size and partners.size and count:
                    chosen = partners[rng.integers(partners.size, size=(targets.size, count))]
                    drawn.append(np.stack([np.repeat(targets, count), chosen.ravel()], axis=1))
    return _shuffled(_distinct(np.concatenate(drawn), len(labels)), rng)


def _distinct(pairs: Pairs, clips: int) -> Pairs:
    """Each unordered pair once, without pairs of a clip with itself."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    keys = np.unique((low * clips + high)[low != high])
    return np.stack(np.divmod(keys, max(clips, 1)), axis=1)


def _shuffled(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """Random order of the pairs and, so that neither side is special, of the two clips in each."""
    pairs = pairs[rng.permutation(len(pairs))]
    swap = rng.random(len(pairs)) < 0.5
    return np.where(swap[:, None], pairs[:, ::-1], pairs)

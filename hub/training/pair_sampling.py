"""Drawing training pairs, balanced over the situations of each category.

For each category and each target clip, some partners are in the same situation as the target (both contain
the category, or neither does) and as many are in the opposite one (one of the two contains it).

The paper draws 30 + 30 partners once, over all clips (`draw_pairs`). For a large set that is millions of pairs;
there, draw one or two partners among part of the clips, fresh each epoch (`draw_pooled`): no pair is fixed.

Source: the paper, section 4.2.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import Labels
from shared.errors import InvalidError

Pairs = npt.NDArray[np.int64]
"""int64 [pairs, 2]: indices of two different clips."""

PARTNERS: Final = 30
"""Partners in the same and as many in the opposite situation. Source: the paper, section 4.2."""


def draw_pairs(labels: Labels, rng: np.random.Generator, partners: int = PARTNERS) -> Pairs:
    """Draw pairs of all clips: for each category, each clip's partners; then remove duplicates.

    Args:
        labels: uint8 [n, categories] of 0 and 1.
        rng: source of randomness; an equal generator draws equal pairs.
        partners: as in `draw_partners`.

    Returns:
        int64 [pairs, 2], each pair once in either order, in random order, its two sides in random order.

    Raises:
        InvalidError: labels of another form, or partners below 1.

    Source: the paper, section 4.2.
    """
    if labels.ndim != 2 or (labels.size and int(labels.max()) > 1):
        raise InvalidError(f"labels are [n, categories] of 0 and 1, got shape {list(labels.shape)}")
    if partners < 1:
        raise InvalidError("the number of partners starts at 1")
    drawn = [draw_partners(column, rng, partners) for column in labels.T]
    return _shuffled(_distinct(np.concatenate([np.empty((0, 2), dtype=np.int64), *drawn]), len(labels)), rng)


def draw_partners(column: Labels, rng: np.random.Generator, partners: int) -> Pairs:
    """Draw each clip's partners for one category.

    Args:
        column: uint8 [n], whether each clip contains the category.
        rng: source of randomness.
        partners: different partners of each clip that are in its own situation, and as many in the opposite
            one; all of them where there are fewer.

    Returns:
        int64 [pairs, 2], clip and partner; a clip is not its own partner.
    """
    groups = (np.flatnonzero(column == 0), np.flatnonzero(column == 1))
    drawn: list[Pairs] = []
    for mine, other in (groups, groups[::-1]):
        same = _subsets(len(mine) - 1, partners, len(mine), rng)
        same += same >= np.arange(len(mine))[:, None]  # steps over the clip itself
        opposite = _subsets(len(other), partners, len(mine), rng)
        drawn += [_targeted(mine, mine[same]), _targeted(mine, other[opposite])]
    return np.concatenate(drawn)


def draw_pooled(
    labels: Labels, rng: np.random.Generator, *, partners: int, pool_clips: int, pairs_per_clip: int
) -> list[Pairs]:
    """Draw pairs within random pools of clips, so that a batch of one pool holds each clip several times.

    Args:
        labels: uint8 [n, categories] of 0 and 1, n from 1.
        rng: source of randomness.
        partners: as in `draw_partners`, within the pool.
        pool_clips: most clips of a pool; all clips are divided evenly.
        pairs_per_clip: most pairs kept, times the clips of the pool, of those drawn.

    Returns:
        The pairs of each pool, as indices into `labels`.
    """
    pools = np.array_split(rng.permutation(len(labels)), -(-len(labels) // pool_clips))
    return [pool[draw_pairs(labels[pool], rng, partners)[: pairs_per_clip * len(pool)]] for pool in pools]


def batched(pairs: Pairs, size: int) -> list[Pairs]:
    """Batches of `size` pairs in their order; the last is shorter, and left out if it is a single pair."""
    return [pairs[start : start + size] for start in range(0, len(pairs) - 1, size)]


def _subsets(size: int, count: int, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """In each row, different numbers below `size`, every subset equally likely: [rows, min(count, size)].

    Source: Floyd's algorithm, in J. Bentley, Programming Pearls, CACM 30(9), 1987; on all rows at once.
    """
    count = max(0, min(count, size))
    chosen = np.empty((rows, count), dtype=np.int64)
    for column, top in enumerate(range(size - count, size)):
        drawn = rng.integers(top + 1, size=rows)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, top, drawn)
    return chosen


def _targeted(targets: npt.NDArray[np.int64], partners: npt.NDArray[np.int64]) -> Pairs:
    """Pairs of targets [n] with each of their partners [n, m]."""
    return np.stack([np.repeat(targets, partners.shape[1]), partners.ravel()], axis=1)


def _distinct(pairs: Pairs, clips: int) -> Pairs:
    """Each unordered pair once."""
    keys = np.unique(pairs.min(axis=1) * clips + pairs.max(axis=1))
    return np.stack(np.divmod(keys, max(clips, 1)), axis=1)


def _shuffled(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """Random order of the pairs and, so that neither side is special, of the two clips in each."""
    pairs = pairs[rng.permutation(len(pairs))]
    swap = rng.random(len(pairs)) < 0.5
    return np.where(swap[:, None], pairs[:, ::-1], pairs)

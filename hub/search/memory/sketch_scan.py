"""Find the rows whose sketches are closest to those of queries, in one pass over all chunks.

Most rows are never compared one by one: a group whose best product is too low is skipped as a whole.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.search.memory.segment import Rows, Segment

_GROUP: Final = 16
"""Rows of a group, which is represented by its best product."""

_Found = tuple[npt.NDArray[np.int64], Rows, npt.NDArray[np.float32]]
"""Queries, rows and products of pairs, each [pairs]."""


def top_candidates(
    products: Callable[[Segment, int], Tensor],
    chunks: Sequence[tuple[Segment, int]],
    barred: Sequence[Sequence[Rows]],
    count: int,
) -> list[Rows]:
    """Return the `count` rows of each query with the highest inner products.

    Args:
        products: returns the products of q queries and the first n rows of a chunk, floating [n, q].
        chunks: the chunks, each with its number of rows.
        barred: for each of q queries and each chunk, the rows to skip.
        count: number of rows, at least 1.

    Returns:
        For each query int64 [count], or fewer if there are fewer: rows numbered through all chunks; the highest
        product first, of equals the first row.
    """
    asked = len(barred)
    least = np.full(asked, np.finfo(np.float32).min, dtype=np.float32)
    best = np.empty((asked, 0), dtype=np.float32)
    found: list[_Found] = []
    first = 0
    for (chunk, size), out in zip(chunks, zip(*barred, strict=True), strict=True):
        scores = products(chunk, size)
        _bar(scores, out)
        groups = size // _GROUP  # a group is every `groups`-th row
        parts = scores[: groups * _GROUP].view(_GROUP, groups, asked)
        maxima = parts.amax(dim=0).t().float().contiguous().numpy()
        best = np.concatenate([best, maxima], axis=1)
        if best.shape[1] >= count:  # the best of `count` groups are `count` rows
            best = np.partition(best, -count, axis=1)[:, -count:]
            least = np.maximum(least, best[:, 0])
        queries, high = np.nonzero(maxima >= least[:, None])
        values = parts[:, torch.from_numpy(high), torch.from_numpy(queries)].float().numpy()
        part, pair = np.nonzero(values >= least[queries])
        found.append((queries[pair], first + part * groups + high[pair], values[part, pair]))
        values = scores[groups * _GROUP :].float().numpy()
        rows, queries = np.nonzero(values >= least)
        found.append((queries, first + groups * _GROUP + rows, values[rows, queries]))
        first += size
    return _sorted(found, asked, count)


def _bar(scores: Tensor, barred: Sequence[Rows]) -> None:
    """Set the products of barred rows to -inf."""
    counts = [len(rows) for rows in barred]
    if any(counts):
        queries = np.repeat(np.arange(len(barred)), counts)
        scores[torch.from_numpy(np.concatenate(barred)), torch.from_numpy(queries)] = -torch.inf


def _sorted(found: Sequence[_Found], queries: int, count: int) -> list[Rows]:
    """Return the best `count` rows of each query."""
    if not found:
        return [np.empty(0, dtype=np.int64) for _ in range(queries)]
    whose, rows, values = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(whose, kind="stable")
    ends = np.cumsum(np.bincount(whose, minlength=queries))[:-1]
    parts = zip(np.split(rows[order], ends), np.split(values[order], ends), strict=True)
    return [_highest(own, scores, count) for own, scores in parts]


def _highest(rows: Rows, scores: npt.NDArray[np.float32], count: int) -> Rows:
    if len(rows) > count:
        kept = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
        rows, scores = rows[kept], scores[kept]
    return rows[np.lexsort((rows, -scores))[:count]]

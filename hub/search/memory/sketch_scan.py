"""The rows whose sketches come closest to those of some queries, in one pass over all chunks.

Most rows are never looked at one by one: a group whose best is too low is left out as a whole.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.search.memory.exclusion import ExcludedRows
from hub.search.memory.segment import Rows, Segment

_GROUP: Final = 16
"""Rows whose best stands for them all."""

_Found = tuple[npt.NDArray[np.int64], Rows, npt.NDArray[np.float32]]
"""Queries, rows and products, of as many pairs as there are."""


def top_candidates(
    products: Callable[[Segment, int], Sequence[Tensor]],
    chunks: Sequence[tuple[Segment, int]],
    excluded: Sequence[ExcludedRows],
    asked: int,
    counts: Sequence[int],
) -> list[list[Rows]]:
    """Return the rows of each query with the highest inner products, of one or more kinds.

    Args:
        products: of q queries and the first n rows of a chunk, floating [n, q] of each kind.
        chunks: each with the number of its rows that are looked at.
        excluded: of each chunk, rows that are left out.
        asked: q, the number of queries.
        counts: rows wanted of each kind, at least 1.

    Returns:
        Of each kind and query int64 [count], or fewer if there are fewer: rows of all chunks, one chunk after the
        other, ascending; of equal products the first rows.
    """
    tops, first = [_Top(asked, count) for count in counts], 0
    for (chunk, size), out in zip(chunks, excluded, strict=True):
        for top, scores in zip(tops, products(chunk, size), strict=True):
            out.apply(scores)
            top.offer(scores, first)
        first += size
    return [top.rows() for top in tops]


class _Top:
    """The rows with the highest products of one kind, chunk by chunk.

    Args:
        asked: number of queries, q.
        count: rows wanted of each.
    """

    def __init__(self, asked: int, count: int) -> None:
        self._asked = asked
        self._count = count
        self._least = np.full(asked, np.finfo(np.float32).min, dtype=np.float32)
        self._best = np.empty((asked, 0), dtype=np.float32)
        self._found: list[_Found] = []

    def offer(self, scores: Tensor, first: int) -> None:
        """Take in the products of the next chunk, floating [n, q], whose first row has the number `first`."""
        groups = len(scores) // _GROUP  # a group is every `groups`-th row
        parts = scores[: groups * _GROUP].view(_GROUP, groups, self._asked)
        maxima = parts.amax(dim=0).t().float().contiguous().numpy()
        some = np.flatnonzero((maxima >= self._least[:, None]).any(axis=0))
        if len(some):
            maxima = maxima[:, some]
            self._raise_least(maxima)
            queries, which = _where(maxima >= self._least[:, None])
            high = some[which]
            values = _taken(parts.reshape(_GROUP, groups * self._asked), high * self._asked + queries)
            part, pair = _where(values >= self._least[queries])
            self._found.append((queries[pair], first + part * groups + high[pair], values[part, pair]))
        if len(scores) > groups * _GROUP:
            values = scores[groups * _GROUP :].float().numpy()
            rows, queries = np.nonzero(values >= self._least)
            self._found.append((queries, first + groups * _GROUP + rows, values[rows, queries]))

    def _raise_least(self, maxima: npt.NDArray[np.float32]) -> None:
        """Raise the least that a row must reach, from the best of further groups, float32 [q, groups]."""
        self._best = np.concatenate([self._best, maxima], axis=1)
        if self._best.shape[1] >= self._count:  # the best rows of `count` groups are `count` rows
            self._best = np.partition(self._best, -self._count, axis=1)[:, -self._count :]
            self._least = np.maximum(self._least, self._best[:, 0])

    def rows(self) -> list[Rows]:
        """Return the best `count` rows of each query."""
        return _sorted(self._found, self._asked, self._count)


def _where(mask: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """`np.nonzero` of a matrix, faster."""
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _taken(values: Tensor, columns: Rows) -> npt.NDArray[np.float32]:
    """Return some columns of a floating matrix.

    numpy takes them in a quarter of PyTorch's time; it knows bfloat16 as bits only.
    """
    bits = values.view(torch.int16) if values.dtype == torch.bfloat16 else values
    taken = torch.from_numpy(np.take(bits.numpy(), columns, axis=1))
    return taken.view(values.dtype).float().numpy()


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
    """Return the `count` rows with the highest scores, ascending; of equals the first."""
    if len(rows) > count:
        least = np.partition(scores, -count)[-count]
        above, equal = rows[scores > least], rows[scores == least]
        rows = np.concatenate([above, np.sort(equal)[: count - len(above)]])
    return np.sort(rows)

"""The index as one search sees it: what was there when the search began.

A search looks at all sketches, keeps the `candidates` closest in one pass, and scores those exactly. An exact scan
ranks every event, and scores exactly again whatever may be among the best.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.domain.closest_source import NEAREST
from hub.domain.match import Match
from hub.domain.presence_matrix import level_of_similarity
from hub.search.backend import By, Query
from hub.search.candidates import DEPTH, TOLERANCE
from hub.search.memory.exclusion import ExcludedRows, excluded_rows
from hub.search.memory.segment import Rows, Segment
from hub.search.memory.sketch_products import Products
from hub.search.memory.sketch_scan import top_candidates
from hub.search.scoring.scorer import Probabilities, Scorer
from hub.search.scoring.top_k import best_of_each, exactly

_GATHERED: Final = 4_000_000
"""Most bytes of towers gathered at once for several queries: they stay in the processor's caches."""
_Row = tuple[int, int, int, float, float, float, float, bool, Probabilities]
"""Chunk, row in it, time of capture, level, rank, rank by kind, cosine, whether it stands out, presence matrix."""

_CLOSEST: Final = 64
"""Events closest by source, by their sketches, that are scored where one that stands out keeps a place."""

_TOGETHER: Final = 64
"""Most queries of one scan of sketches."""

_SCAN: Final = 2_048
"""Events ranked at once by an exact scan: between two such blocks it can be paused."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexReader:
    """Some chunks, and how many rows of each.

    Attributes:
        chunks: each with the rows it had.
        places: code of each `site/sensor`.
        names: `site/sensor` of each code.
        where: chunk and row of an event, None if it is not there.
    """

    chunks: Sequence[tuple[Segment, int]]
    places: Mapping[str, int]
    names: Sequence[str]
    where: Callable[[str], tuple[Segment, int] | None]

    def __len__(self) -> int:
        return sum(count for _, count in self.chunks)

    def search(self, scorer: Scorer, queries: Sequence[Query], candidates: int) -> list[list[Match]]:
        """Return the best of each query: of its `candidates` closest sketches, scored exactly.

        Without a sketch, or with no more events than candidates, everything is scored.

        Args:
            scorer: scores.
            queries: at least one, all by the same.
            candidates: at least 1.
        """
        if scorer.sketch is None or len(self) <= candidates:
            return [self.exact(scorer, query) for query in queries]
        count = max(candidates, *(query.k for query in queries))
        excluded = self._excluded(queries)
        rows: list[Rows] = []
        for start in range(0, len(queries), _TOGETHER):
            some = queries[start : start + _TOGETHER]
            products = Products(scorer.sketch, np.stack([query.towers for query in some]), one_by(queries))
            parts = [one.part(start, start + len(some)) for one in excluded]
            counts = (count, _CLOSEST)[: 1 + products.apart]
            found = top_candidates(products, self.chunks, parts, len(some), counts)
            rows += [np.sort(np.concatenate(own)) for own in zip(*found, strict=True)]
        return self.matches(scorer, queries, rows)

    def exact(self, scorer: Scorer, query: Query, between: Callable[[], None] = lambda: None) -> list[Match]:
        """Return the best of one query among all events.

        Args:
            scorer: scores.
            query: what is sought.
            between: called between two blocks of events.
        """
        near = self._near(scorer, [query], query.k, 2 * scorer.tolerance_of(query.by), between)
        return self.matches(scorer, [query], near)[0]

    def matches(self, scorer: Scorer, queries: Sequence[Query], rows: Sequence[Rows]) -> list[list[Match]]:
        """Return the best of some rows of each query, ascending, scored exactly; of equals the newest first."""
        made: list[list[Match]] = []
        for alike, part in itertools.groupby(zip(queries, rows, strict=True), key=lambda pair: len(pair[1])):
            pairs = list(part)
            at_once = max(1, _GATHERED // (alike * self._bytes)) if alike else len(pairs)
            for start in range(0, len(pairs), at_once):
                some = pairs[start : start + at_once]
                made += self._matches(scorer, [q for q, _ in some], np.stack([r for _, r in some]))
        return made

    @property
    def _bytes(self) -> int:
        """Bytes of one event's towers."""
        return int(self.chunks[0][0].towers[0].nbytes)

    def _matches(self, scorer: Scorer, queries: Sequence[Query], rows: Rows) -> list[list[Match]]:
        """Return `matches` of rows int64 [q, n]."""
        if not rows.size:
            return [[] for _ in queries]
        which, inner = self._located(rows)
        towers, captured = self._gathered(which, inner)
        asked, k = np.stack([query.towers for query in queries]), max(query.k for query in queries)
        again = np.diff(rows, axis=1, prepend=-1) == 0
        best = best_of_each(scorer, asked, towers, k, captured, one_by(queries), again if again.any() else None)
        columns: list[npt.NDArray[Any]] = [
            np.take_along_axis(column, best.rows, axis=1) for column in (which, inner, captured)
        ]
        columns += [level_of_similarity(best.matrices), best.ranks, best.kind, best.cosines, best.outstanding]
        values = zip(queries, *(column.tolist() for column in columns), best.matrices, strict=True)
        return [self._made(query, zip(*own, strict=True)) for query, *own in values]

    def _made(self, query: Query, rows: Iterable[_Row]) -> list[Match]:
        chunks, names, excluded = self.chunks, self.names, query.exclusion.events
        made = []
        for number, row, captured, level, rank, kind, cosine, outstanding, matrix in rows:
            chunk = chunks[number][0]
            event = chunk.events[row]
            # An event may be excluded if its chunk was packed after this view was taken; one without a rank is twice.
            if event not in excluded and rank != -np.inf:
                place = names[chunk.place[row]]
                made.append(Match(event, place, captured, level, rank, matrix, cosine, kind, outstanding))
        return made[: query.k]

    def measured(
        self, scorer: Scorer, queries: Sequence[Query], between: Callable[[], None] = lambda: None
    ) -> list[tuple[Rows, list[float]]]:
        """Return the sketch's ranks of each query's exact ten best among all events; all queries rank by the same.

        Returns:
            Positions int64 [10], from 0, ascending, of the first ten that rank at most `TOLERANCE` below the exact
            tenth (none if there is no sketch); and the ranks of the exact ten, the best first.
        """
        margin = 2 * scorer.tolerance_of(one_by(queries)) + TOLERANCE
        near = self._near(scorer, queries, DEPTH, margin, between)
        return [self._placed(scorer, query, rows) for query, rows in zip(queries, near, strict=True)]

    def _placed(self, scorer: Scorer, query: Query, rows: Rows) -> tuple[Rows, list[float]]:
        towers, captured = self._gathered(*self._located(rows))
        found = exactly(scorer, query.towers, towers, np.arange(len(rows)), query.by)
        closest = scorer.identities.closest(query.by, found.cosines[None], captured[None])
        exact = np.sort(closest.raised(found.ranks[None])[0])[::-1][:DEPTH]
        if scorer.sketch is None or not len(rows):
            return np.empty(0, dtype=np.int64), exact.tolist()
        best = rows[found.ranks >= np.sort(found.ranks)[::-1][:DEPTH][-1] - TOLERANCE]
        products = Products(scorer.sketch, query.towers[None], query.by)
        scores = []
        for (chunk, count), excluded in zip(self.chunks, self._excluded([query]), strict=True):
            made = products(chunk, count)
            for one in made:
                excluded.apply(one)
            scores.append(np.stack([one[:, 0].float().numpy() for one in made], axis=1))
        joined = np.concatenate(scores)
        ordered = np.sort(joined, axis=0)
        places = [
            len(joined) - np.searchsorted(ordered[:, kind], joined[best, kind], side="right")
            for kind in range(joined.shape[1])
        ]
        if products.apart:  # what is among the closest by source is scored in any case
            places[0][places[1] < _CLOSEST] = 0
        return np.sort(places[0])[:DEPTH], exact.tolist()

    def _near(
        self, scorer: Scorer, queries: Sequence[Query], k: int, margin: float, between: Callable[[], None]
    ) -> list[Rows]:
        """Rows of each query as of `_ranked`, and where an event that stands out keeps a place, the closest too."""
        near = self._ranked(scorer, queries, k, margin, between)
        if one_by(queries) is not By.BOTH or not scorer.identities.keep_places:
            return near
        by_source = [replace(query, by=By.SOURCE) for query in queries]
        closest = self._ranked(scorer, by_source, NEAREST, 2 * scorer.tolerance_of(By.SOURCE), between)
        return [np.union1d(*own) for own in zip(near, closest, strict=True)]

    def _ranked(
        self, scorer: Scorer, queries: Sequence[Query], k: int, margin: float, between: Callable[[], None]
    ) -> list[Rows]:
        """Rows whose quick rank is at most a margin below the k-th best, of each query."""
        near, first = [_TopK(k, margin) for _ in queries], 0
        for (chunk, count), excluded in zip(self.chunks, self._excluded(queries), strict=True):
            masks = excluded.mask(len(queries), count)
            for start in range(0, count, _SCAN):
                end = min(start + _SCAN, count)
                half = scorer.precompute(chunk.towers[start:end])
                for query, kept, mask in zip(queries, near, masks, strict=True):
                    ranks = scorer.ranks(query.towers, half, query.by)
                    ranks[mask[start:end]] = -np.inf
                    kept.offer(ranks, first + start)
                    between()
            first += count
        return [kept.rows() for kept in near]

    def _excluded(self, queries: Sequence[Query]) -> list[ExcludedRows]:
        """Return the rows that are deleted, excluded or filtered out, of each segment."""
        return excluded_rows(self.chunks, self.places, self.where, queries)

    def _located(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the number of the chunk, and the row in it, of each of some rows."""
        starts = np.cumsum([0, *(count for _, count in self.chunks)])
        which = np.searchsorted(starts, rows, side="right") - 1
        return which, rows - starts[which]

    def _gathered(self, which: Rows, inner: Rows) -> tuple[npt.NDArray[np.float16], Rows]:
        """Towers float16 [..., steps, width] and times of capture int64 [...] at these chunks and rows in them."""
        if len(self.chunks) == 1:
            only = self.chunks[0][0]
            return only.towers[inner], only.captured_ms[inner]
        towers = np.empty((*which.shape, *self.chunks[0][0].towers.shape[1:]), dtype=np.float16)
        captured = np.empty(which.shape, dtype=np.int64)
        for number in np.unique(which):
            mine = which == number
            chunk = self.chunks[number][0]
            towers[mine], captured[mine] = chunk.towers[inner[mine]], chunk.captured_ms[inner[mine]]
        return towers, captured


def one_by(queries: Sequence[Query]) -> By:
    """Return the value that some queries are ranked by: at least one query, all by the same."""
    (by,) = {query.by for query in queries}
    return by


class _TopK:
    """The rows with the highest scores of a stream of blocks, in one pass.

    Args:
        count: how many are kept at least.
        margin: also kept is what lies at most so far below the last of them.
    """

    def __init__(self, count: int, margin: float) -> None:
        self._count = count
        self._margin = margin
        self._scores = np.empty(0, dtype=np.float32)
        self._rows = np.empty(0, dtype=np.int64)
        self._least = float(np.finfo(np.float32).min)

    def offer(self, scores: npt.NDArray[np.float32], first: int) -> None:
        """Take in one block, whose first row has the number `first`; rows that score -inf are left out."""
        new = np.flatnonzero(scores >= self._least)
        self._scores = np.concatenate([self._scores, scores[new]])
        self._rows = np.concatenate([self._rows, new + first])
        if len(self._rows) > 2 * self._count:
            self._cut()

    def rows(self) -> Rows:
        """Return the rows kept."""
        self._cut()
        return self._rows

    def _cut(self) -> None:
        if len(self._rows) <= self._count:
            return
        self._least = float(np.partition(self._scores, -self._count)[-self._count]) - self._margin
        kept = np.flatnonzero(self._scores >= self._least)
        self._scores, self._rows = self._scores[kept], self._rows[kept]

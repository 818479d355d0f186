"""State of the index that one search sees: the rows that existed when the search began.

A search compares all sketches in one pass, keeps the `candidates` closest, and scores those exactly. An exact scan
ranks all events quickly, then scores exactly all that may be among the best.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.match import Match
from hub.domain.presence_matrix import level_of_similarity
from hub.search.backend import By, Filter, Query
from hub.search.candidates import DEPTH, TOLERANCE
from hub.search.memory.segment import Rows, Segment
from hub.search.memory.sketch_products import Products
from hub.search.memory.sketch_scan import top_candidates
from hub.search.scoring.scorer import Probabilities, Scorer
from hub.search.scoring.top_k import best_of_each

_GATHERED: Final = 4_000_000
"""Most bytes of towers gathered at once for several queries, so that they stay in the processor's caches."""
_Row = tuple[int, int, int, float, float, float, float, Probabilities]
"""Chunk, row in it, time of capture, level, rank, rank by kind, cosine of identities, and presence matrix."""

_TOGETHER: Final = 64
"""Most queries of one scan of sketches."""

_SCAN: Final = 2_048
"""Events ranked at once by an exact scan; the scan can pause between two such blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexReader:
    """Searches chunks, each up to a number of rows.

    Attributes:
        chunks: the chunks, each with its number of rows.
        places: code of each `site/sensor`.
        names: `site/sensor` of each code.
        where: returns chunk and row of an event; None if it is not indexed.
    """

    chunks: Sequence[tuple[Segment, int]]
    places: Mapping[str, int]
    names: Sequence[str]
    where: Callable[[str], tuple[Segment, int] | None]

    def __len__(self) -> int:
        return sum(count for _, count in self.chunks)

    def search(self, scorer: Scorer, queries: Sequence[Query], candidates: int) -> list[list[Match]]:
        """Return the best matches of each query: score its `candidates` closest sketches exactly.

        Without a sketch, or with at most `candidates` events, all events are scored.

        Args:
            scorer: scores pairs.
            queries: at least one query, all with the same criterion.
            candidates: number of candidates, at least 1.
        """
        if scorer.sketch is None or len(self) <= candidates:
            return [self.exact(scorer, query) for query in queries]
        count = max(candidates, *(query.k for query in queries))
        barred = self._excluded_rows(queries)
        rows: list[Rows] = []
        for start in range(0, len(queries), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            products = Products(scorer.sketch, np.stack([query.towers for query in queries[some]]), one_by(queries))
            rows += top_candidates(products, self.chunks, barred[some], count)
        return self.matches(scorer, queries, rows)

    def exact(self, scorer: Scorer, query: Query, between: Callable[[], None] = lambda: None) -> list[Match]:
        """Return the best matches of one query among all events.

        Args:
            scorer: scores pairs.
            query: the query.
            between: called between two blocks of events.
        """
        near = self._near(scorer, [query], query.k, 2 * scorer.tolerance_of(query.by), between)
        return self.matches(scorer, [query], near)[0]

    def matches(self, scorer: Scorer, queries: Sequence[Query], rows: Sequence[Rows]) -> list[list[Match]]:
        """Return the best of some rows of each query, scored exactly; of equals the newest first."""
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
        """Return the size of one event's towers, in bytes."""
        return int(self.chunks[0][0].towers[0].nbytes)

    def _matches(self, scorer: Scorer, queries: Sequence[Query], rows: Rows) -> list[list[Match]]:
        """Return the matches of rows int64 [q, n]; see `matches`."""
        if not rows.size:
            return [[] for _ in queries]
        which, inner = self._located(rows)
        towers, captured = self._gathered(which, inner)
        asked, k = np.stack([query.towers for query in queries]), max(query.k for query in queries)
        best = best_of_each(scorer, asked, towers, k, captured, one_by(queries))
        columns = [np.take_along_axis(column, best.rows, axis=1).tolist() for column in (which, inner, captured)]
        columns.append(level_of_similarity(best.matrices).tolist())
        columns += [column.tolist() for column in (best.ranks, best.kind, best.cosines)]
        columns.append(list(best.matrices))
        return [self._made(query, zip(*own, strict=True)) for query, *own in zip(queries, *columns, strict=True)]

    def _made(self, query: Query, rows: Iterable[_Row]) -> list[Match]:
        made = []
        for number, row, captured, level, rank, kind, cosine, matrix in rows:
            chunk = self.chunks[number][0]
            event = chunk.events[row]
            if event not in query.exclusion.events:  # else its chunk was compacted after this reader was created
                place = self.names[chunk.place[row]]
                made.append(Match(event, place, captured, level, rank, matrix, cosine, kind))
        return made[: query.k]

    def measured(
        self, scorer: Scorer, queries: Sequence[Query], between: Callable[[], None] = lambda: None
    ) -> list[tuple[Rows, list[float]]]:
        """Return the sketch's positions of each query's exact ten best; all queries have the same criterion.

        Returns:
            Positions int64 [10], from 0, ascending, of the first ten that rank at most `TOLERANCE` below the exact
            tenth (none if there is no sketch); and the ranks of the exact ten, the best first.
        """
        margin = 2 * scorer.tolerance_of(one_by(queries)) + TOLERANCE
        near = self._near(scorer, queries, DEPTH, margin, between)
        return [self._placed(scorer, query, rows) for query, rows in zip(queries, near, strict=True)]

    def _placed(self, scorer: Scorer, query: Query, rows: Rows) -> tuple[Rows, list[float]]:
        towers, _ = self._gathered(*self._located(rows))
        ranks = scorer.rank(query.towers, towers, scorer.score(query.towers, towers), query.by)
        exact = np.sort(ranks)[::-1][:DEPTH]
        if scorer.sketch is None or not len(rows):
            return np.empty(0, dtype=np.int64), exact.tolist()
        best = rows[ranks >= exact[-1] - TOLERANCE]
        products = Products(scorer.sketch, query.towers[None], query.by)
        scores = []
        for (chunk, count), out in zip(self.chunks, self._excluded_rows([query])[0], strict=True):
            own = products(chunk, count)[:, 0].float().numpy()
            own[out] = -np.inf
            scores.append(own)
        joined = np.concatenate(scores)
        places = len(joined) - np.searchsorted(np.sort(joined), joined[best], side="right")
        return np.sort(places)[:DEPTH], exact.tolist()

    def _near(
        self, scorer: Scorer, queries: Sequence[Query], k: int, margin: float, between: Callable[[], None]
    ) -> list[Rows]:
        """Return the rows of each query whose quick rank is at most a margin below the k-th best."""
        near, first = [_TopK(k, margin) for _ in queries], 0
        barred = self._excluded_rows(queries)
        for number, (chunk, count) in enumerate(self.chunks):
            masks = np.zeros((len(queries), count), dtype=np.bool_)
            for mask, out in zip(masks, barred, strict=True):
                mask[out[number]] = True
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

    def _excluded_rows(self, queries: Sequence[Query]) -> list[list[Rows]]:
        """Return the deleted, excluded or filtered-out rows of each query and chunk."""
        excluded = {event for query in queries for event in query.exclusion.events}
        found = {event: place for event in excluded if (place := self.where(event)) is not None}
        return [self._barred_of(query, found) for query in queries]

    def _barred_of(self, query: Query, found: Mapping[str, tuple[Segment, int]]) -> list[Rows]:
        outcast: dict[int, list[int]] = {}
        for event in found.keys() & query.exclusion.events:
            chunk, row = found[event]
            outcast.setdefault(id(chunk), []).append(row)
        near = query.exclusion
        code = None if near.place is None else self.places.get(near.place)
        since_ms, until_ms = near.around_ms - near.within_ms, near.around_ms + near.within_ms
        barred: list[Rows] = []
        for chunk, count in self.chunks:
            parts = [np.array([row for row in outcast.get(id(chunk), ()) if row < count], dtype=np.int64)]
            if chunk.deleted_count:
                parts.append(np.flatnonzero(chunk.deleted[:count]))
            if code is not None and chunk.first_ms <= until_ms and chunk.last_ms >= since_ms:
                own = np.flatnonzero(chunk.place[:count] == code)
                captured = chunk.captured_ms[own]
                parts.append(own[(captured >= since_ms) & (captured <= until_ms)])
            if query.filter != Filter():
                parts.append(np.flatnonzero(self._filtered_out(chunk, count, query.filter)))
            barred.append(np.concatenate(parts))
        return barred

    def _filtered_out(self, chunk: Segment, count: int, wanted: Filter) -> npt.NDArray[np.bool_]:
        """Return the mask of rows that do not pass a filter: bool [count]."""
        out = np.zeros(count, dtype=np.bool_)
        if wanted.since_ms is not None:
            out |= chunk.captured_ms[:count] < wanted.since_ms
        if wanted.until_ms is not None:
            out |= chunk.captured_ms[:count] > wanted.until_ms
        if wanted.places is not None:
            codes = [code for name in wanted.places if (code := self.places.get(name)) is not None]
            out |= ~np.isin(chunk.place[:count], codes)
        if wanted.categories is not None:
            out |= (chunk.present[:count] & sum(1 << c for c in wanted.categories)) == 0
        if wanted.min_laeq is not None:
            out |= chunk.laeq[:count] < wanted.min_laeq
        return out

    def _located(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the number of the chunk and the row in it of each row."""
        starts = np.cumsum([0, *(count for _, count in self.chunks)])
        which = np.searchsorted(starts, rows, side="right") - 1
        return which, rows - starts[which]

    def _gathered(self, which: Rows, inner: Rows) -> tuple[npt.NDArray[np.float16], Rows]:
        """Return towers float16 [..., steps, width] and times of capture int64 [...] of rows in chunks."""
        towers = np.empty((*which.shape, *self.chunks[0][0].towers.shape[1:]), dtype=np.float16)
        captured = np.empty(which.shape, dtype=np.int64)
        for number in np.unique(which):
            mine = which == number
            chunk = self.chunks[number][0]
            towers[mine], captured[mine] = chunk.towers[inner[mine]], chunk.captured_ms[inner[mine]]
        return towers, captured


def one_by(queries: Sequence[Query]) -> By:
    """Return the criterion of one or more queries, which all have the same."""
    (by,) = {query.by for query in queries}
    return by


class _TopK:
    """Keeps the rows with the highest scores of a stream of blocks, in one pass.

    Args:
        count: number of highest rows to keep.
        margin: rows at most this far below the last of them are kept too.
    """

    def __init__(self, count: int, margin: float) -> None:
        self._count = count
        self._margin = margin
        self._scores = np.empty(0, dtype=np.float32)
        self._rows = np.empty(0, dtype=np.int64)
        self._least = float(np.finfo(np.float32).min)

    def offer(self, scores: npt.NDArray[np.float32], first: int) -> None:
        """Add one block, whose first row has the number `first`; skip rows that score -inf."""
        new = np.flatnonzero(scores >= self._least)
        self._scores = np.concatenate([self._scores, scores[new]])
        self._rows = np.concatenate([self._rows, new + first])
        if len(self._rows) > 2 * self._count:
            self._cut()

    def rows(self) -> Rows:
        """Return the kept rows."""
        self._cut()
        return self._rows

    def _cut(self) -> None:
        if len(self._rows) <= self._count:
            return
        self._least = float(np.partition(self._scores, -self._count)[-self._count]) - self._margin
        kept = np.flatnonzero(self._scores >= self._least)
        self._scores, self._rows = self._scores[kept], self._rows[kept]

"""Rows of the in-process index that a search leaves out: deleted, excluded by the query, or outside its filter."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.search.backend import Exclusion, Filter, Query
from hub.search.memory.segment import ROWS, Rows, Segment

_NONE: Final = np.empty(0, dtype=np.int64)
_ALL: Final = Filter()


@dataclass(frozen=True, slots=True, eq=False)
class ExcludedRows:
    """Rows of one segment that a batch of queries leaves out.

    Attributes:
        deleted: rows int64 [d] that no query returns.
        queries: int64 [m], the query of each further pair.
        rows: int64 [m], the row that this query leaves out.
    """

    deleted: Rows
    queries: Rows
    rows: Rows

    def part(self, start: int, end: int) -> "ExcludedRows":
        """Return what the queries from `start` to before `end` leave out, numbered from 0."""
        kept = (self.queries >= start) & (self.queries < end)
        return ExcludedRows(self.deleted, self.queries[kept] - start, self.rows[kept])

    def apply(self, scores: Tensor) -> None:
        """Set the scores, floating [rows, queries], of rows that are left out to -inf."""
        if len(self.deleted):
            scores[torch.from_numpy(self.deleted)] = -torch.inf
        if len(self.rows):
            scores[torch.from_numpy(self.rows), torch.from_numpy(self.queries)] = -torch.inf

    def mask(self, queries: int, count: int) -> npt.NDArray[np.bool_]:
        """Return whether each query leaves out each of the first `count` rows: bool [queries, count]."""
        mask = np.zeros((queries, count), dtype=np.bool_)
        mask[:, self.deleted] = True
        mask[self.queries, self.rows] = True
        return mask


def excluded_rows(
    segments: Sequence[tuple[Segment, int]],
    places: Mapping[str, int],
    locate: Callable[[str], tuple[Segment, int] | None],
    queries: Sequence[Query],
) -> list[ExcludedRows]:
    """Return the rows that a batch of queries leaves out, of each segment.

    Args:
        segments: each with the number of its rows that are searched.
        places: code of each `site/sensor`.
        locate: returns segment and row of an event, None if it is not there.
        queries: at least one.
    """
    numbers = {id(segment): number for number, (segment, _) in enumerate(segments)}
    positions: dict[str, int] = {}
    for event in frozenset().union(*(query.exclusion.events for query in queries)):
        located = locate(event)
        number = None if located is None else numbers.get(id(located[0]))
        if located is None or number is None or located[1] >= segments[number][1]:
            positions[event] = -1
        else:
            positions[event] = number * ROWS + located[1]
    by_event = _by_event(positions, queries, len(segments))
    return [
        _of_segment(segment, count, places, queries, own)
        for (segment, count), own in zip(segments, by_event, strict=True)
    ]


def _by_event(positions: Mapping[str, int], queries: Sequence[Query], segments: int) -> list[tuple[Rows, Rows]]:
    """Return queries and rows of excluded events, of each segment.

    Args:
        positions: of each event, row in its segment plus `ROWS` for each segment before; -1 if it is not searched.
        queries: what excludes them.
        segments: how many there are.
    """
    counts = [len(query.exclusion.events) for query in queries]
    events = itertools.chain.from_iterable(query.exclusion.events for query in queries)
    rows = np.fromiter(map(positions.__getitem__, events), dtype=np.int64, count=sum(counts))
    asked = np.repeat(np.arange(len(queries)), counts)
    where = rows // ROWS  # -1 // ROWS is no segment
    return [(asked[where == number], rows[where == number] - number * ROWS) for number in range(segments)]


def _of_segment(
    segment: Segment, count: int, places: Mapping[str, int], queries: Sequence[Query], by_event: tuple[Rows, Rows]
) -> ExcludedRows:
    asked, rows = [by_event[0]], [by_event[1]]
    for number, own in _near_in_time(segment, count, places, [query.exclusion for query in queries]):
        asked.append(np.full(len(own), number))
        rows.append(own)
    for number, query in enumerate(queries):
        if query.filter != _ALL:
            out = np.flatnonzero(_filtered_out(segment, count, places, query.filter))
            asked.append(np.full(len(out), number))
            rows.append(out)
    deleted = np.flatnonzero(segment.deleted[:count]) if segment.deleted_count else _NONE
    return ExcludedRows(deleted, np.concatenate(asked), np.concatenate(rows))


def _near_in_time(
    segment: Segment, count: int, places: Mapping[str, int], exclusions: Sequence[Exclusion]
) -> list[tuple[int, Rows]]:
    """Return number and rows of each exclusion of a sensor's clips near a time, as far as there are any."""
    wanted = [
        (number, places[one.place], one.around_ms - one.within_ms, one.around_ms + one.within_ms)
        for number, one in enumerate(exclusions)
        if one.place is not None and one.place in places
    ]
    wanted = [one for one in wanted if segment.first_ms <= one[3] and segment.last_ms >= one[2]]
    if not wanted:
        return []
    captured = segment.captured_ms[:count]
    first_ms, last_ms = min(one[2] for one in wanted), max(one[3] for one in wanted)
    rows = np.flatnonzero((captured >= first_ms) & (captured <= last_ms))
    rows = rows[np.argsort(segment.place[rows], kind="stable")]
    codes, times = segment.place[rows], captured[rows]
    asked = np.array([one[1] for one in wanted])
    starts, ends = np.searchsorted(codes, asked, "left").tolist(), np.searchsorted(codes, asked, "right").tolist()
    found = []
    for (number, _, since_ms, until_ms), start, end in zip(wanted, starts, ends, strict=True):
        if start < end:
            own = times[start:end]
            found.append((number, rows[start:end][(own >= since_ms) & (own <= until_ms)]))
    return found


def _filtered_out(segment: Segment, count: int, places: Mapping[str, int], wanted: Filter) -> npt.NDArray[np.bool_]:
    """Return which rows a filter leaves out: bool [count]."""
    out = np.zeros(count, dtype=np.bool_)
    if wanted.since_ms is not None:
        out |= segment.captured_ms[:count] < wanted.since_ms
    if wanted.until_ms is not None:
        out |= segment.captured_ms[:count] > wanted.until_ms
    if wanted.places is not None:
        codes = [code for name in wanted.places if (code := places.get(name)) is not None]
        out |= ~np.isin(segment.place[:count], codes)
    if wanted.categories is not None:
        out |= (segment.present[:count] & sum(1 << c for c in wanted.categories)) == 0
    if wanted.min_laeq is not None:
        out |= segment.laeq[:count] < wanted.min_laeq
    return out

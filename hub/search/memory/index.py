"""The in-process index of one feature space: every archived event, found by sketch and scored exactly.

Writers append rows or mark them as gone, under a lock that is held for moments; a search works without it on the rows
that were there when it began.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import torch

from hub.domain.match import Match
from hub.search.backend import By, IndexEntry, Query, Towers, rows_by
from hub.search.candidates import CandidateTuner
from hub.search.memory.reader import IndexReader, one_by
from hub.search.memory.segment import Segment, empty
from hub.search.memory.sketch_products import columns, kept
from hub.search.scoring.kept_places import without_kept_places
from hub.search.scoring.scorer import Scorer

_SHIFT: Final = 17
"""Bits of the row in an event's position; the bits above are the number of its segment."""
_PAGE: Final = 100_000
_SOME: Final = 1_000
"""Rows that may be gone of any chunk before it is packed."""


class MemoryIndex:
    """All events of one feature space; a `Backend`.

    Args:
        scorer: scores pairs of this space.
        reach: makes the tuner of the number of candidates that a search scores.

    Attributes:
        scorer: scores pairs of this space.
        reaches: how many candidates a search scores, for each thing to search by.
    """

    def __init__(self, scorer: Scorer, reach: Callable[[], CandidateTuner] | None = None) -> None:
        self.scorer = scorer
        self._without_places = without_kept_places(scorer)
        made = reach or (lambda: CandidateTuner(least=scorer.candidates))
        self.reaches: dict[By, CandidateTuner] = {by: made() for by in By}
        self._lock = threading.Lock()
        self._chunks: dict[int, Segment] = {}
        self._next = 0
        self._where: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._where)

    def contains(self, events: Sequence[str]) -> list[bool]:
        """Return of each event whether it is kept."""
        return [event in self._where for event in events]

    def ids(self) -> Iterator[list[str]]:
        """Return all events, in pages."""
        with self._lock:
            everything = list(self._where)
        for start in range(0, len(everything), _PAGE):
            yield everything[start : start + _PAGE]

    def add(self, entries: Sequence[IndexEntry], towers: Towers) -> None:
        """See `Backend.add`."""
        if not len(entries):
            return
        sketches = kept(self.scorer.sketch, towers)
        with self._lock:
            new = {entry.event: i for i, entry in enumerate(entries) if entry.event not in self._where}
            fresh = list(new.values())
            while fresh:
                number, chunk = self._open_chunk()
                part, fresh = fresh[: chunk.free_rows], fresh[chunk.free_rows :]
                first = len(chunk.events)
                some = [entries[i] for i in part]
                codes = [self._place_code(entry.place) for entry in some]
                chunk.append(some, codes, towers[part], [own[part] for own in sketches])
                for row, entry in enumerate(some, start=first):
                    self._where[entry.event] = (number << _SHIFT) | row

    def remove(self, events: Iterable[str]) -> None:
        """See `Backend.remove`; a chunk is packed once most of it is gone."""
        with self._lock:
            for event in events:
                position = self._where.pop(event, None)
                if position is not None:
                    self._chunks[position >> _SHIFT].mark_deleted(position & ((1 << _SHIFT) - 1))
            for number in [
                n for n, chunk in self._chunks.items() if chunk.deleted_count > max(_SOME, len(chunk.events) // 2)
            ]:
                self._compact(number)

    def search(self, queries: Sequence[Query]) -> list[list[Match]]:
        """See `Backend.search`."""
        view, found = self.view(), dict[int, list[Match]]()
        for (by, _), rows in rows_by(queries).items():
            own = [queries[row] for row in rows]
            found |= zip(rows, view.search(self._scorer_of(own[0]), own, self.reaches[by].candidates), strict=True)
        return [found[row] for row in range(len(queries))]

    def exact(self, query: Query) -> list[Match]:
        """Return the best of one query, all events ranked."""
        return self.view().exact(self._scorer_of(query), query)

    def measure(self, query: Query, between: Callable[[], None] = lambda: None) -> list[float]:
        """Scan all events for one query, to learn how many candidates find its ten best.

        Args:
            query: what is sought.
            between: called between two blocks of events; may wait, or raise to stop.

        Returns:
            Ranks of the exact ten best, the best first.
        """
        return self.measure_all([query], between)[0]

    def measure_all(self, queries: Sequence[Query], between: Callable[[], None] = lambda: None) -> list[list[float]]:
        """`measure` for many queries, all by the same and all with or without kept places, in one scan."""
        view = self.view()
        if not view.chunks:
            return [[] for _ in queries]
        measured = view.measured(self._scorer_of(queries[0]), queries, between)
        for positions, _ in measured:
            if len(positions):
                self.reaches[one_by(queries)].observe(positions)
        return [ranks for _, ranks in measured]

    def _scorer_of(self, query: Query) -> Scorer:
        return self.scorer if query.keep_place else self._without_places

    def view(self) -> IndexReader:
        """Return the index as it is now."""
        with self._lock:
            chunks = [(chunk, len(chunk.events)) for chunk in self._chunks.values()]
        return IndexReader(
            [(chunk, count) for chunk, count in chunks if count], self._places, self._names, self._find
        )

    def chunks(self) -> dict[int, tuple[Segment, int]]:
        """Chunks by number, each with the rows it has now; for snapshots."""
        with self._lock:
            return {number: (chunk, len(chunk.events)) for number, chunk in self._chunks.items()}

    def names(self) -> list[str]:
        """`site/sensor` of each place code."""
        with self._lock:
            return list(self._names)

    def load_segment(self, number: int, chunk: Segment, names: Sequence[str]) -> None:
        """Take in a chunk from a snapshot; of events that are there already the first stays.

        Args:
            number: its number; larger than those adopted before.
            chunk: filled.
            names: `site/sensor` of its place codes.
        """
        with self._lock:
            codes = torch.tensor([self._place_code(name) for name in names], dtype=torch.int32).numpy()
            count = len(chunk.events)
            chunk.place[:count] = codes[chunk.place[:count]]
            for row, event in enumerate(chunk.events):
                if event in self._where:
                    chunk.mark_deleted(row)
                elif not chunk.deleted[row]:
                    self._where[event] = (number << _SHIFT) | row
            chunk.deleted_count = int(chunk.deleted[:count].sum())
            self._chunks[number] = chunk
            self._next = max(self._next, number + 1)

    def _find(self, event: str) -> tuple[Segment, int] | None:
        position = self._where.get(event)
        if position is None:
            return None
        chunk = self._chunks.get(position >> _SHIFT)
        return None if chunk is None else (chunk, position & ((1 << _SHIFT) - 1))

    def _place_code(self, place: str) -> int:
        code = self._places.get(place)
        if code is None:
            self._names.append(place)
            code = self._places[place] = len(self._names) - 1
        return code

    def _open_chunk(self) -> tuple[int, Segment]:
        """Return the last chunk, or a new one if it is full."""
        if self._chunks:
            number = next(reversed(self._chunks))
            if self._chunks[number].free_rows:
                return number, self._chunks[number]
        number, self._next = self._next, self._next + 1
        self._chunks[number] = empty(self.scorer.tower_shape, columns(self.scorer.sketch))
        return number, self._chunks[number]

    def _compact(self, number: int) -> None:
        """Move what is left of a chunk into a new one; searches under way keep the old."""
        old = self._chunks.pop(number)
        rows = [row for row in range(len(old.events)) if not old.deleted[row]]
        if not rows:
            return
        number, self._next = self._next, self._next + 1
        packed = empty(self.scorer.tower_shape, columns(self.scorer.sketch))
        count = len(rows)
        for name in ("towers", "captured_ms", "place", "laeq", "present"):
            getattr(packed, name)[:count] = getattr(old, name)[rows]
        for own, theirs in zip(packed.sketches, old.sketches, strict=True):
            own[:count] = theirs[rows]
        packed.note_times(0, count)
        packed.events.extend(old.events[row] for row in rows)
        self._chunks[number] = packed
        for row, event in enumerate(packed.events):
            self._where[event] = (number << _SHIFT) | row

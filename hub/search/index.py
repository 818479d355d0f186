"""The in-process index of one feature space: every archived event's tower output, scored exactly.

Exact search first: later, faster ways are compared to this one. Rows are only ever appended or marked as gone,
so a search works on the rows that were there when it began while others are being added.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from hub.model.presence import level_of_similarity
from hub.search.scorer import Scorer

Value = TypeVar("Value", bound=np.generic)

_FIRST_ROWS: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A similar past event.

    Attributes:
        event: its id, as text.
        place: `site/sensor`.
        captured_ms: when it was captured, ms since 1970 UTC.
        level: level of similarity in [0, 8]. Source: the paper, section 3.1.
        rank: what matches are ordered by, as of `Scorer.rank`.
        matrix: Pairwise Presence Matrix, float32 [8, 3]: P(both), P(neither), P(one) per category.
    """

    event: str
    place: str
    captured_ms: int
    level: float
    rank: float
    matrix: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index keeps of an event beside its towers."""

    event: str
    place: str
    captured_ms: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Events that must not match: the query itself, and clips of its own sensor close to it in time."""

    event: str | None = None
    place: str | None = None
    around_ms: int = 0
    within_ms: int = 0


class Index:
    """All events of one feature space, with exact retrieval.

    Args:
        scorer: scores pairs of this space.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._rows: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._towers = np.empty((0, *scorer.tower_shape), dtype=np.float16)
        self._captured_ms = np.empty(0, dtype=np.int64)
        self._place = np.empty(0, dtype=np.int32)
        self._gone = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, event: str) -> bool:
        return event in self._rows

    def add(self, entries: Sequence[Entry], towers: npt.NDArray[np.float32]) -> None:
        """Append events; one that is there already changes nothing.

        Args:
            entries: n events.
            towers: float32 [n, steps, width], the scorer's `embed` of their features.
        """
        with self._lock:
            fresh = [i for i, entry in enumerate(entries) if entry.event not in self._rows]
            first = len(self._entries)
            self._reserve(first + len(fresh))
            for row, i in enumerate(fresh, start=first):
                entry = entries[i]
                self._towers[row] = towers[i]
                self._captured_ms[row] = entry.captured_ms
                self._place[row] = self._places.setdefault(entry.place, len(self._places))
                self._gone[row] = False
                self._entries.append(entry)
                self._rows[entry.event] = row

    def remove(self, events: Iterable[str]) -> None:
        """Forget events; rows are given back once most of them are gone."""
        with self._lock:
            for event in events:
                row = self._rows.pop(event, None)
                if row is not None:
                    self._gone[row] = True
            if len(self._entries) > max(_FIRST_ROWS, 2 * len(self._rows)):
                self._compact()

    def search(self, query: npt.NDArray[np.float32], k: int, exclusion: Exclusion) -> list[Match]:
        """The k most similar events, the best by `Scorer.rank` first; of equals the newest first.

        Args:
            query: float32 [steps, width], tower output of the query.
            k: most matches returned, at least 1.
            exclusion: what must not match.
        """
        with self._lock:
            count = len(self._entries)
            entries, towers = self._entries, self._towers[:count]
            barred = self._gone[:count].copy()
            if exclusion.event is not None and (row := self._rows.get(exclusion.event)) is not None:
                barred[row] = True
            if exclusion.place is not None and (code := self._places.get(exclusion.place)) is not None:
                near = np.abs(self._captured_ms[:count] - exclusion.around_ms) <= exclusion.within_ms
                barred |= near & (self._place[:count] == code)
            captured_ms = self._captured_ms[:count]
        if count == 0:
            return []
        matrices = self._scorer.score(query, towers)
        ranks = np.where(barred, -np.inf, self._scorer.rank(query, towers, matrices))
        order = np.lexsort((-captured_ms, -ranks))[: min(k, count - int(barred.sum()))]
        return [
            Match(
                event=entries[row].event,
                place=entries[row].place,
                captured_ms=entries[row].captured_ms,
                level=float(level_of_similarity(matrices[row])),
                rank=float(ranks[row]),
                matrix=matrices[row],
            )
            for row in order
        ]

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._gone):
            return
        size = max(_FIRST_ROWS, rows, 2 * len(self._gone))
        self._towers = _grown(self._towers, size)
        self._captured_ms = _grown(self._captured_ms, size)
        self._place = _grown(self._place, size)
        self._gone = _grown(self._gone, size)

    def _compact(self) -> None:
        kept = np.flatnonzero(~self._gone[: len(self._entries)])
        self._entries = [self._entries[row] for row in kept]
        self._rows = {entry.event: row for row, entry in enumerate(self._entries)}
        self._towers, self._place = self._towers[kept], self._place[kept]
        self._captured_ms, self._gone = self._captured_ms[kept], self._gone[kept]


def _grown(array: npt.NDArray[Value], rows: int) -> npt.NDArray[Value]:
    larger = np.zeros((rows, *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger

"""Up to 65,536 events of the in-process index, column by column.

Rows are only appended or marked as gone, so that a search works on the rows that were there when it began. Memory is
taken by the system as rows fill it, not when a chunk is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.search.backend import IndexEntry, Towers

ROWS: Final = 65_536

Rows = npt.NDArray[np.int64]
"""Numbers of rows, of one chunk or of all chunks one after the other: int64 [n]."""


@dataclass(slots=True, eq=False)
class Segment:
    """Columns of `ROWS` events.

    Attributes:
        towers: float16 [ROWS, steps, width].
        sketches: of each part of the sketch [ROWS, width], as of `hub.search.memory.sketch_products`; none without a
        sketch. captured_ms: int64 [ROWS].
        place: int32 [ROWS], a code of the index.
        laeq: float32 [ROWS].
        present: uint8 [ROWS], one bit per category.
        gone: bool [ROWS].
        events: ids of the rows filled so far.
        lost: how many of them are gone.
        first_ms: no row was captured before.
        last_ms: no row was captured after.
    """

    towers: npt.NDArray[np.float16]
    sketches: Sequence[Tensor]
    captured_ms: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]
    laeq: npt.NDArray[np.float32]
    present: npt.NDArray[np.uint8]
    deleted: npt.NDArray[np.bool_]
    events: list[str] = field(default_factory=list)
    deleted_count: int = 0
    first_ms: int = np.iinfo(np.int64).max
    last_ms: int = np.iinfo(np.int64).min

    @property
    def free_rows(self) -> int:
        """Rows that are still free."""
        return ROWS - len(self.events)

    def append(
        self, entries: Sequence[IndexEntry], places: Sequence[int], towers: Towers, sketches: Sequence[Tensor]
    ) -> None:
        """Fill the next rows; there must be room for them."""
        first, end = len(self.events), len(self.events) + len(entries)
        self.towers[first:end] = towers
        for own, made in zip(self.sketches, sketches, strict=True):
            own[first:end] = made
        self.captured_ms[first:end] = [entry.captured_ms for entry in entries]
        self.place[first:end] = places
        self.laeq[first:end] = [entry.laeq for entry in entries]
        self.present[first:end] = [sum(1 << c for c in entry.categories()) for entry in entries]
        self.deleted[first:end] = False
        self.note_times(first, end)
        self.events.extend(entry.event for entry in entries)

    def note_times(self, first: int, end: int) -> None:
        """Widen the times of capture by those of rows just filled."""
        if end > first:
            times = self.captured_ms[first:end]
            self.first_ms = min(self.first_ms, int(times.min()))
            self.last_ms = max(self.last_ms, int(times.max()))

    def mark_deleted(self, row: int) -> None:
        """Mark a row as gone."""
        self.deleted[row] = True
        self.deleted_count += 1


def empty(tower_shape: tuple[int, int], sketch: Sequence[tuple[int, torch.dtype]]) -> Segment:
    """Return a chunk without rows; of each part of the sketch its width and its dtype are given."""
    return Segment(
        towers=np.empty((ROWS, *tower_shape), dtype=np.float16),
        sketches=[torch.empty(ROWS, width, dtype=dtype) for width, dtype in sketch],
        captured_ms=np.empty(ROWS, dtype=np.int64),
        place=np.empty(ROWS, dtype=np.int32),
        laeq=np.empty(ROWS, dtype=np.float32),
        present=np.empty(ROWS, dtype=np.uint8),
        deleted=np.zeros(ROWS, dtype=np.bool_),
    )

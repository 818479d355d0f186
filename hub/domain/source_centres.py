"""The centres of many sources in one matrix, so that the nearest of all is found by one product."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from hub.domain.sources import Centre, Nearest, Same, Source, Vector

_MORE: Final = 64
"""Rows that are added at once."""


class Centres:
    """The centres of sources; a source that changes is put again.

    Args:
        sources: to begin with.
        same: from cosines to P(same source), never falling.
    """

    def __init__(self, sources: Iterable[Source], same: Same) -> None:
        self._same = same
        self._means: Vector = np.zeros((0, 0), dtype=np.float32)
        self._penalty: Vector = np.zeros(0, dtype=np.float32)
        """-inf for rows that hold no centre."""
        self._kept = np.zeros(0, dtype=bool)
        self._of: list[tuple[str, str]] = []
        self._rows: dict[str, list[int]] = {}
        self._free: list[int] = []
        for source in sources:
            self.put(source)

    def put(self, source: Source) -> None:
        """Add a source, or replace it."""
        rows = self._rows.setdefault(source.id, [])
        while len(rows) > len(source.centres):
            self._release_row(rows.pop())
        while len(rows) < len(source.centres):
            rows.append(self._row(source.centres[0]))
        for row, centre in zip(rows, source.centres, strict=True):
            self._means[row] = centre.mean
            self._of[row] = (source.id, centre.id)
            self._penalty[row] = 0.0
            self._kept[row] = source.kept

    def remove(self, source: str) -> None:
        """Remove a source."""
        for row in self._rows.pop(source):
            self._release_row(row)

    def nearest(self, identity: Vector, barred: Iterable[str] = (), *, kept: bool = True) -> Nearest:
        """Find the source with the highest P(same source), as of `hub.domain.sources.nearest`.

        Args:
            identity: float32 [values], of length 1; or a mean of such.
            barred: ids of sources that do not count.
            kept: whether sources that are never removed count.
        """
        if not self._rows:
            return Nearest()
        cosines = self._means @ identity + self._penalty
        cosines[[row for name in barred for row in self._rows.get(name, ())]] = -np.inf
        if not kept:
            cosines[self._kept] = -np.inf
        best = int(cosines.argmax())
        if cosines[best] == -np.inf:
            return Nearest()
        source, centre = self._of[best]
        return Nearest(source, centre, float(self._same(cosines[best : best + 1])[0]))

    def _row(self, like: Centre) -> int:
        """Return a row that holds no centre."""
        if not self._free:
            count = len(self._of)
            self._means = np.concatenate(
                [self._means.reshape(count, like.mean.size), np.zeros((_MORE, like.mean.size), dtype=np.float32)]
            )
            self._penalty = np.concatenate([self._penalty, np.full(_MORE, -np.inf, dtype=np.float32)])
            self._kept = np.concatenate([self._kept, np.zeros(_MORE, dtype=bool)])
            self._of += [("", "")] * _MORE
            self._free = list(range(count + _MORE - 1, count - 1, -1))
        return self._free.pop()

    def _release_row(self, row: int) -> None:
        self._penalty[row] = -np.inf
        self._kept[row] = False
        self._free.append(row)

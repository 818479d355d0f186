"""Probe of the memory that the indexes take."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from hub.metrics.definitions import HubMetrics
from hub.search.memory.index import MemoryIndex


class IndexProbe:
    """Exports the memory of the index rows.

    Args:
        indexes: indexes in this process.
        metrics: the hub's metrics.
    """

    def __init__(self, indexes: Sequence[MemoryIndex], metrics: HubMetrics) -> None:
        self._indexes = indexes
        self._metrics = metrics

    def run(self, _now: datetime) -> None:
        """Export the bytes of each index."""
        self._metrics.index_bytes.replace_all({(one.scorer.space.id,): float(_bytes(one)) for one in self._indexes})

    def on_store_unavailable(self) -> None:
        """Do nothing, as this probe does not use Redis."""


def _bytes(index: MemoryIndex) -> int:
    """Return the bytes of filled rows; unfilled ones take no memory yet."""
    total = 0
    for chunk, rows in index.chunks().values():
        columns = (chunk.towers, chunk.captured_ms, chunk.place, chunk.laeq, chunk.present, chunk.deleted)
        total += rows * sum(int(np.prod(column.shape[1:])) * column.itemsize for column in columns)
        total += rows * sum(sketch.shape[1] * sketch.element_size() for sketch in chunk.sketches)
    return total

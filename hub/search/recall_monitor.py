"""Measure the recall of searches: scan some live queries exactly when the hub is idle."""

import logging
import queue
import random
from collections.abc import Callable
from typing import Final

from hub.domain.match import Match
from hub.search.backend import Query
from hub.search.memory.index import MemoryIndex
from shared.worker import Worker

log = logging.getLogger(__name__)

_WAITING: Final = 4
"""Most queries that wait to be scanned; further ones are not sampled."""
_PAUSE_S: Final = 0.05


class _StoppedError(Exception):
    """The monitor was stopped during a scan."""


class RecallMonitor:
    """Scans sampled queries exactly, in its own thread, while the hub is idle.

    Args:
        share: share of the queries to sample, in [0, 1].
        idle: returns whether the hub is idle.
        measured: called after each scan with the index, and by how much the last match ranked below the exact one.
    """

    def __init__(
        self, share: float, idle: Callable[[], bool], measured: Callable[[MemoryIndex, float], None] = lambda *_: None
    ) -> None:
        self._share = share
        self._idle = idle
        self._measured = measured
        self._queue: queue.Queue[tuple[MemoryIndex, Query, list[Match]]] = queue.Queue(_WAITING)
        self.worker = Worker("recall", self._step)

    def sample(self, index: MemoryIndex, query: Query, matches: list[Match]) -> None:
        """Sample an answered query without waiting. Without a sketch every search is exact already."""
        if index.scorer.sketch is not None and random.random() < self._share:  # noqa: S311 - a sample, no secret
            try:
                self._queue.put_nowait((index, query, matches))
            except queue.Full:
                return

    def start(self) -> None:
        """Start to scan."""
        self.worker.start()

    def stop(self) -> None:
        """Stop, if necessary during a scan."""
        self.worker.stop()

    def _step(self) -> float:
        try:
            index, query, matches = self._queue.get(timeout=0.5)
            best = index.measure(query, self._between)
        except (queue.Empty, _StoppedError):
            return 0.0
        if best and matches:
            last = min(len(best), len(matches)) - 1
            self._measured(index, max(0.0, best[last] - matches[last].rank))
        return 0.0

    def _between(self) -> None:
        while not self._idle():
            if self.worker.stopping.wait(_PAUSE_S):
                break
        if self.worker.stopping.is_set():
            raise _StoppedError

"""Watching how close searches come to an exact scan: some live queries are scanned exactly when there is time."""

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
    """The watch was stopped in the middle of a scan."""


class RecallMonitor:
    """Scans sampled queries exactly, in a thread of its own, whenever the hub has nothing else to do.

    Args:
        share: of the queries that is sampled, in [0, 1].
        idle: whether there is nothing else to do.
        report: called after each scan with the index, and how far the last match found ranked below the exact one.
    """

    def __init__(
        self, share: float, idle: Callable[[], bool], report: Callable[[MemoryIndex, float], None] = lambda *_: None
    ) -> None:
        self._share = share
        self._idle = idle
        self._report = report
        self._queue: queue.Queue[tuple[MemoryIndex, Query, list[Match]]] = queue.Queue(_WAITING)
        self.worker = Worker("recall", self._step)

    def sample(self, index: MemoryIndex, query: Query, matches: list[Match]) -> None:
        """Sample a query that was answered; never waits. Without a sketch every search is exact already."""
        if index.scorer.sketch is not None and random.random() < self._share:  # noqa: S311 - a sample, no secret
            try:
                self._queue.put_nowait((index, query, matches))
            except queue.Full:
                return

    def start(self) -> None:
        """Begin to scan."""
        self.worker.start()

    def stop(self) -> None:
        """End, in the middle of a scan if need be."""
        self.worker.stop()

    def _step(self) -> float:
        try:
            index, query, matches = self._queue.get(timeout=0.5)
            best = index.measure(query, self._between)
        except (queue.Empty, _StoppedError):
            return 0.0
        if best and matches:
            last = min(len(best), len(matches)) - 1
            self._report(index, max(0.0, best[last] - matches[last].rank))
        return 0.0

    def _between(self) -> None:
        while not self._idle():
            if self.worker.stopping.wait(_PAUSE_S):
                break
        if self.worker.stopping.is_set():
            raise _StoppedError

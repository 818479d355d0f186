"""Keep this process's index equal to the archive, whichever hub writes to it.

At the start `reconcile` brings the index, empty or from a snapshot, to what the archive holds. From then on an
`IndexFollower` reads the archive's stream of changes, so that hubs that share the events see each other's.
"""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import torch

from hub.runtime.torch_threads import limit_torch_to_one_thread
from hub.search.memory.persistence import IndexSnapshot
from hub.search.retrieval import Retrieval
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.worker import Worker

log = logging.getLogger(__name__)

_BATCH: Final = 1_000
_EVERY_S: Final = 0.25
"""Changes are read so often: by then this hub has added its own, and those of others are seen within a second."""
COMPARED_EVERY_S: Final = 60.0
"""Interval, in seconds, of comparing the numbers of events: a full store cannot record what it removed."""
_LOG_INTERVAL_S: Final = 5.0

Progress = Callable[[int, int], None]
"""Called with (events read, of how many)."""


def sync_index(archive: EventStore, retrieval: Retrieval, progress: Progress | None = None) -> int:
    """Bring what can be found to what is archived; events that this hub cannot read are left out (`hub.store.rows`).

    Args:
        archive: what there is.
        retrieval: missing events are added, others removed.
        progress: called with events done and all events; by default a line in the log every five seconds.

    Returns:
        Events that were added.

    Raises:
        UnavailableError: the store is away.
    """
    progress = progress or _log_now_and_then(time.monotonic())
    total, seen, added = archive.count(), 0, 0
    archived: set[str] = set()
    with ThreadPoolExecutor(torch.get_num_threads(), "reconcile", initializer=limit_torch_to_one_thread) as pool:
        for page in archive.ids():
            known = retrieval.known(page)
            missing = [event for event, there in zip(page, known, strict=True) if not there]
            batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
            seen += len(page) - len(missing)
            load = partial(_load, archive, retrieval)
            for batch, loaded in zip(batches, pool.map(load, batches), strict=True):
                seen, added = seen + len(batch), added + loaded
                progress(min(total, seen), total)
            if not retrieval.is_remote:
                archived.update(page)
            progress(min(total, seen), total)
    gone = [event for event in retrieval.ids() if event not in archived]
    for start in range(0, len(gone), _BATCH):
        some = gone[start : start + _BATCH]
        # An event may have been archived after its page was read.
        retrieval.remove(set(some) - {str(event.id) for event in archive.fetch(some)})
    return added


def build_index(archive: EventStore, retrieval: Retrieval, snapshots: Iterable[IndexSnapshot] = ()) -> str:
    """Make the whole archive findable: from snapshots as far as they go, the rest from the archive.

    Returns:
        The archive's position from which on changes are not known yet.

    Raises:
        UnavailableError: the store is away.
    """
    started = time.monotonic()
    after = archive.changes.last_id()
    for snapshot in snapshots:
        snapshot.load()
    loaded = len(retrieval)
    added = 0 if retrieval.is_remote and loaded >= archive.count() else sync_index(archive, retrieval)
    log.info(
        "index ready",
        extra={
            "events": len(retrieval),
            "found_ready": loaded,
            "added": added,
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    return after


def _load(archive: EventStore, retrieval: Retrieval, events: list[str]) -> int:
    """Make archived events findable: how many are now."""
    stored = archive.fetch(events)
    return len(stored) - retrieval.load(stored)


def _log_now_and_then(last: float) -> Progress:
    def log_progress(done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOG_INTERVAL_S:
            last = time.monotonic()
            log.info("reading the archive", extra={"events": done, "of": of})

    return log_progress


class IndexFollower:
    """Adds what other hubs archive, and removes what they remove, in a thread of its own.

    An event of a feature space that only another hub is configured for is left out.

    Args:
        archive: whose changes are followed.
        retrieval: kept equal to it.
        after: the position from which on changes are not known yet, from `ChangeLog.last_id`.
    """

    def __init__(self, archive: EventStore, retrieval: Retrieval, after: str) -> None:
        self._archive = archive
        self._retrieval = retrieval
        self._after = after
        self._compare_at = 0.0
        self._excess: int | None = None  # events here less those in the archive, when compared last
        self._lost = False  # whether changes could not be read
        self.worker = Worker("follow", self._step, failed=self._lose)

    def start(self) -> None:
        """Begin to follow."""
        self.worker.start()

    def stop(self) -> None:
        """End after the changes in hand."""
        self.worker.stop()

    def _lose(self, error: Exception) -> None:
        """Discard changes that cannot be read or applied, as they would fail again."""
        self._lost = self._lost or not isinstance(error, UnavailableError)

    def _step(self) -> float:
        """Read some changes and act on them; the wait until the next step in seconds."""
        changes = None if self._lost else self._archive.changes.since(self._after, limit=_BATCH)
        if changes is None:
            log.warning("changes were missed: comparing with the whole archive")
            after = self._archive.changes.last_id()
            sync_index(self._archive, self._retrieval)
            self._after, self._lost = after, False
            return _EVERY_S
        position, happened = changes
        last = {change.event: change.gone for change in happened}
        gone = [event for event, is_gone in last.items() if is_gone]
        came = [event for event, is_gone in last.items() if not is_gone]
        missing = [event for event, there in zip(came, self._retrieval.known(came), strict=True) if not there]
        if missing:
            _load(self._archive, self._retrieval, missing)
        if gone:
            self._retrieval.remove(gone)
        self._after = position
        if not happened and time.monotonic() >= self._compare_at:
            self._compare()
        return 0.0 if len(happened) == _BATCH else _EVERY_S

    def _compare(self) -> None:
        """Remove what the archive has no more, if twice in a row there was as much too much here."""
        self._compare_at = time.monotonic() + COMPARED_EVERY_S
        excess = len(self._retrieval) - self._archive.count()
        if excess > 0 and excess == self._excess:
            log.warning("events are gone without a change: comparing with the archive", extra={"events": excess})
            sync_index(self._archive, self._retrieval)
        self._excess = excess

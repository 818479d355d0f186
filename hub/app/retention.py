"""Remove data older than the retention time: events, alerts, episodes, sources, index rows, and audio files.

An audio file remains without an event if it cannot be removed, or if the hub ends in between. `sweep` finds such
files: those of expired days whose events are not in the archive.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Final

from hub.domain.records import WriteState, to_ms
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.stores import Stores
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId

log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 86_400.0
_AT_ONCE: Final = 1_000


class Retention:
    """Removes old data.

    Args:
        stores: stores of the hub.
        retrieval: indexes whose rows are removed with the events.
        metrics: the hub's metrics.
    """

    def __init__(self, stores: Stores, retrieval: Retrieval, metrics: HubMetrics) -> None:
        self._archive = stores.events
        self._episode_store = stores.episodes
        self._sources = stores.sources
        self._clips = stores.audio
        self._retrieval = retrieval
        self._metrics = metrics
        self._sweep_at = 0.0

    def expire(self, before: datetime) -> None:
        """Remove everything captured before a time; leave audio files that cannot be removed to `sweep`.

        Raises:
            UnavailableError: Redis does not answer; the removals so far are final.
        """
        while gone := self._archive.delete_before(before, datetime.now(UTC)):
            self._retrieval.remove(gone)
            for clip in gone.values():
                self._remove(clip)
            log.info("old events removed", extra={"events": len(gone)})
        while self._episode_store.expire(to_ms(before)):
            pass
        self._episode_store.expire_traces(to_ms(before))
        self._sources.expire(to_ms(before))

    def sweep(self, before: datetime) -> None:
        """Remove audio files until a time whose events no longer exist: once a day, and again after a failure.

        Raises:
            UnavailableError: Redis or the audio folder is not available; another sweep removes the rest.
        """
        if self._clips is None or time.monotonic() < self._sweep_at:
            return
        removed, failure = 0, None
        for files in self._clips.captured_until(before.date()):
            paths = list(files)
            for start in range(0, len(paths), _AT_ONCE):
                batch = paths[start : start + _AT_ONCE]
                kept = self._kept([files[path] for path in batch])
                orphans = [path for path in batch if files[path] not in kept]
                try:
                    self._clips.remove_files(orphans)
                except UnavailableError as error:  # other folders may work
                    failure = error
                else:
                    removed += len(orphans)
        if failure is not None:
            raise failure
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S
        if removed:
            log.info("clips without an event removed", extra={"clips": removed})

    def _remove(self, clip: str) -> None:
        if self._clips is None:
            return
        try:
            self._clips.remove(clip)
        except UnavailableError as error:
            self._sweep_at = 0.0
            self._metrics.clip_failures.labels("remove").inc()
            log.debug("clip not removed yet", extra={"clip": clip, "reason": str(error)})

    def _kept(self, names: list[str]) -> set[str]:
        """Return the ids whose files stay: events in the archive, and names that are not event ids."""
        ids: dict[str, EventId] = {}
        for name in names:
            try:
                ids[name] = EventId.parse(name)
            except InvalidError:  # not a file of the hub: keep it
                continue
        known = self._archive.write_states(list(ids.values()))
        gone = {name for name, recorded in zip(ids, known, strict=True) if recorded is WriteState.NEW}
        return set(names) - gone

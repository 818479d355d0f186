"""Removes what is older than the retention: events, alerts, episodes, sources, rows of the index, and sound.

A clip that cannot be removed stays behind without an event, as does one of a hub that ends in between. `sweep` finds
those: files of days that are past, whose events the archive does not have.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Final

from hub.domain.records import WriteState, to_ms
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.audio_files import AudioFileStore
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.sources import SourceStore
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId

log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 86_400.0
_AT_ONCE: Final = 1_000


class Retention:
    """Removes what is old.

    Args:
        archive: events and alerts.
        episode_store: episodes.
        sources: which have those episodes.
        retrieval: whose rows go with the events.
        clips: their sound, or None if none is kept.
        metrics: where failures are counted.
    """

    def __init__(
        self,
        archive: EventStore,
        episode_store: EpisodeStore,
        sources: SourceStore,
        retrieval: Retrieval,
        clips: AudioFileStore | None,
        metrics: HubMetrics,
    ) -> None:
        self._archive = archive
        self._episode_store = episode_store
        self._sources = sources
        self._retrieval = retrieval
        self._clips = clips
        self._metrics = metrics
        self._sweep_at = 0.0

    def expire(self, before: datetime) -> None:
        """Remove everything captured before a time; a clip that cannot be removed is left to `sweep`.

        Raises:
            Unavailable: the store is away; what was removed so far stays removed.
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
        """Remove clips of days until a time whose events are gone: once a day, and again after a failure.

        Raises:
            Unavailable: the store or the clips' directory is away; what is left is removed by another sweep.
        """
        if self._clips is None or time.monotonic() < self._sweep_at:
            return
        removed, failure = 0, None
        for files in self._clips.captured_until(before.date()):
            paths = list(files)
            for start in range(0, len(paths), _AT_ONCE):
                some = paths[start : start + _AT_ONCE]
                kept = self._kept([files[path] for path in some])
                orphans = [path for path in some if files[path] not in kept]
                try:
                    self._clips.remove_files(orphans)
                except UnavailableError as error:  # other directories may do
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
        """Those of some ids that the archive has."""
        ids: dict[str, EventId] = {}
        for name in names:
            try:
                ids[name] = EventId.parse(name)
            except InvalidError:  # no file of ours: it stays
                continue
        known = self._archive.write_states(list(ids.values()))
        gone = {name for name, recorded in zip(ids, known, strict=True) if recorded is WriteState.NEW}
        return set(names) - gone

"""Write prepared events to the store."""

from datetime import datetime

import numpy as np

from hub.domain.records import StoredEvent, WriteState
from hub.ingest.capture_times import CaptureTimes
from hub.ingest.clip_keeper import ClipKeeper
from hub.ingest.messages import PreparedMessage, event_id
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.events import EventStore
from shared.events import EventId
from shared.sealed_sound import SealedSound


class EventRecorder:
    """Makes stored events of prepared ones, and writes them.

    Args:
        archive: where events are written.
        retrieval: computes presence.
        clips: keeps the sound of events.
        times: decides which capture times are believed.
        metrics: counts events whose capture time is not believed.
    """

    def __init__(
        self,
        archive: EventStore,
        retrieval: Retrieval,
        clips: ClipKeeper,
        times: CaptureTimes,
        metrics: HubMetrics,
    ) -> None:
        self._archive = archive
        self._retrieval = retrieval
        self._clips = clips
        self._times = times
        self._metrics = metrics

    def store(self, items: list[PreparedMessage]) -> list[tuple[StoredEvent, PreparedMessage, WriteState]]:
        """Write prepared events.

        Args:
            items: different events, with towers.

        Returns:
            Each as it is stored, with its item and whether it was new. An event that was written before and not
            completed is returned as it was written then.

        Raises:
            UnavailableError: the store is away; the same items can be stored again.
        """
        presence: dict[EventId, tuple[float, ...]] = {}
        for space in {item.space for item in items}:
            own = [item for item in items if item.space == space]
            found = self._retrieval.presence_all(space, np.stack([item.towers for item in own]))
            presence |= dict(zip([event_id(item) for item in own], found, strict=True))
        received_at = self._times.now()
        times = self._times.believed([item.event for item in items if item.event is not None], received_at)
        events = [
            self._to_record(item, presence[event_id(item)], at, received_at)
            for item, at in zip(items, times, strict=True)
        ]
        outcomes = self._archive.add_many(events)
        for event, outcome in zip(events, outcomes, strict=True):
            if outcome is WriteState.ERASED:
                self._clips.remove(event.clip)
        unfinished = [event.id for event, one in zip(events, outcomes, strict=True) if one is WriteState.UNFINISHED]
        before = {event.id: event for event in self._archive.fetch([str(one) for one in unfinished])}
        return [
            (before.get(event.id, event), item, outcome)
            for event, item, outcome in zip(events, items, outcomes, strict=True)
        ]

    def _to_record(
        self, item: PreparedMessage, presence: tuple[float, ...], captured_at: datetime, received_at: datetime
    ) -> StoredEvent:
        event = item.event
        assert event is not None  # noqa: S101 - only events get here
        believed = captured_at == event.captured_at
        if not believed:
            self._metrics.retimed.inc()
        return StoredEvent(
            id=event.id,
            captured_at=captured_at,
            received_at=received_at,
            duration_s=event.duration_s,
            levels=event.levels,
            space=item.space,
            features=item.features,
            presence=presence,
            clip=self._clips.save(event),
            towers=self._retrieval.embeddings_to_store(item.space, item.towers),
            claimed_at=None if believed else event.captured_at,
            clock=event.clock,
            backfilled=event.backfilled,
            rate_hz=event.rate_hz,
            calibration=event.calibration,
            backlog=event.backlog,
            sealed_to=event.audio.keys if isinstance(event.audio, SealedSound) else (),
        )

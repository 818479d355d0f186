"""The hub's way of messages: decode -> features -> archive -> search -> decide.

Messages that wait are handled together: one round trip to the store per step, one product of matrices for all
queries; the result of each is as if they came one by one. Everything here may be repeated safely: the archive knows
an event by its id, and an event whose handling was cut short (written, not yet completed) is looked at again when the
broker sends it again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from hub.alerting.detector import AlertDetector
from hub.alerting.matching import Matcher
from hub.alerting.name_matching import NameMatcher
from hub.domain.alert_rule import SearchResult
from hub.domain.clocks import Doubts
from hub.domain.records import StoredEvent, WriteState
from hub.ingest.believed_times import believed_times
from hub.ingest.messages import HandledMessage, Outcome, PreparedMessage, decode_message, event_id
from hub.metrics.definitions import HubMetrics, exemplar
from hub.notify.heartbeat_echo import HeartbeatResponder
from hub.search.backend import Query
from hub.search.retrieval import Retrieval
from hub.store.audio_files import AudioFileStore
from hub.store.dead_letters import LetterKind
from hub.store.events import EventStore
from shared.audio import decode_flac
from shared.errors import InvalidError, UnavailableError, UnsupportedError
from shared.events import Embedding, Event, EventId, Flac
from shared.extractor import FeatureExtractor
from shared.messages import AlertMessage, StateMessage, decode_json
from shared.mqtt.topics import HEARTBEAT_SITE, SensorTopic

log = logging.getLogger(__name__)

_LOGGED_CHARACTERS: Final = 500


def _is_searched(item: PreparedMessage) -> bool:
    """Return whether an event is archived and searched: it is sound, and no heartbeat."""
    sound = item.problem is None and item.traceback is None
    return item.event is not None and sound and item.event.site != HEARTBEAT_SITE


class Pipeline:
    """Handles messages.

    Args:
        archive: where events are written.
        retrieval: finds similar past events.
        extractor: turns clips into features.
        judge: takes events into episodes, and decides which raise an alert.
        metrics: counters and timings.
        clips: where audio is kept, or None to keep none.
        names: compares events with named sounds; None to name none.
        tolerance: largest error of a sensor's clock; see `hub.domain.clocks`.
        doubts: reasons to doubt this hub's clock, as far as is known.
        now: the time, UTC.
    """

    def __init__(
        self,
        *,
        archive: EventStore,
        retrieval: Retrieval,
        extractor: FeatureExtractor,
        judge: AlertDetector,
        metrics: HubMetrics,
        clips: AudioFileStore | None = None,
        names: NameMatcher | None = None,
        tolerance: timedelta = timedelta(minutes=2),
        doubts: Callable[[], Doubts] = Doubts,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive = archive
        self._answers = HeartbeatResponder(archive.client)
        self._retrieval = retrieval
        self._extractor = extractor
        self._judge = judge
        self._matcher = Matcher(retrieval, judge)
        self._metrics = metrics
        self._clips = clips
        self._names = names
        self._keeping = True
        self._tolerance = tolerance
        self._doubts = doubts
        self._now = now

    def handle(self, topic: str, payload: bytes) -> HandledMessage:
        """`handle_all` of one message."""
        return next(self.handle_all([(topic, payload)]))

    def handle_all(self, messages: Sequence[tuple[str, bytes]]) -> Iterator[HandledMessage]:
        """`prepare` and `finish`."""
        yield from self.process(self.prepare(messages))

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """Archive, search and decide on alerts; store a message that is invalid as a dead letter.

        Args:
            items: prepared; others may have been finished since then.

        Yields:
            The outcome of each, in order. If an error interrupts this, the messages whose outcome was returned are
            complete, and the others can be processed again.

        Raises:
            UnavailableError: a server is away; nothing is lost if the same items are finished again.
        """
        run: dict[EventId, PreparedMessage] = {}
        for item in items:
            event = item.event
            if event is not None and _is_searched(item) and event.id not in run:
                run[event.id] = item
                continue
            yield from self._finish(list(run.values()))
            run = {}
            yield self._process_non_event(item)
        yield from self._finish(list(run.values()))

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> list[PreparedMessage]:
        """Everything that changes nothing: decoding, asking what is known, features and towers.

        Args:
            messages: each with its topic.
            waited_s: how long ago each was sent to the broker, as far as is known.

        Raises:
            UnavailableError: the store is away.
        """
        with self._stage("decode") as events:
            items = [decode_message(topic, payload) for topic, payload in messages]
            for item, waited in zip(items, waited_s or (), strict=False):
                item.waited_s = waited
            events += [item for item in items if item.event is not None]
            if events:
                for item, known in zip(
                    events, self._archive.write_states([event_id(e) for e in events]), strict=True
                ):
                    item.known = known
        with self._stage("features") as fresh:
            fresh += [item for item in events if item.known is not WriteState.REPEAT]
            for item in fresh:
                self._add_features(item)
            for space in {item.space for item in fresh if item.problem is None}:
                self._add_towers(space, [item for item in fresh if item.space == space and item.problem is None])
        return items

    @contextmanager
    def _stage(self, name: str, items: Sequence[PreparedMessage] = ()) -> Iterator[list[PreparedMessage]]:
        """Time a stage; its exemplar is the first event of the items that go through it, or are found in it."""
        through, started_s = list(items), time.perf_counter()
        try:
            yield through
        finally:
            ids = (item.event.id for item in through if item.event and item.event.site != HEARTBEAT_SITE)
            first = next((exemplar(one) for one in ids), None)
            self._metrics.stage.labels(name).observe(time.perf_counter() - started_s, first)

    def _add_features(self, item: PreparedMessage) -> None:
        assert item.event is not None  # noqa: S101 - only events get here
        try:
            match item.event.body:
                case Embedding(space, features):
                    item.space, item.features = space, features
                case Flac(data):
                    waveform, rate_hz = decode_flac(data)
                    item.space = self._extractor.space.id
                    item.features = self._extractor.extract(waveform, rate_hz)
        except InvalidError as error:
            item.problem = error

    def _add_towers(self, space: str, items: list[PreparedMessage]) -> None:
        try:
            towers = self._retrieval.embed_all(space, np.stack([item.features for item in items]))
        except InvalidError as error:
            for item in items:
                item.problem = error
            return
        for item, own in zip(items, towers, strict=True):
            item.towers = own

    def _process_non_event(self, item: PreparedMessage) -> HandledMessage:
        """Process a state, a heartbeat, a message that cannot be accepted, or an event that came twice."""
        try:
            if item.traceback is not None:
                return self._bury(item, item.traceback, "bug")
            if item.problem is not None:
                raise item.problem
            if item.event is not None and item.event.site == HEARTBEAT_SITE:
                self._retrieval.presence_all(item.space, item.towers[None])
                self._retrieval.search_all([(item.space, Query(item.towers, 1))])
                self._answers.put(item.event)
                return HandledMessage(Outcome.BEAT)
            if item.event is not None:
                self._metrics.duplicates.inc()
                return HandledMessage(Outcome.REPEAT)
            self._update_sensor_state(item)
        except InvalidError as error:
            return self._bury(item, str(error), "unsupported" if isinstance(error, UnsupportedError) else "invalid")
        return HandledMessage(Outcome.STATE)

    def _bury(self, item: PreparedMessage, reason: str, kind: LetterKind) -> HandledMessage:
        """Keep a message that cannot be taken; one that the broker retains counts once."""
        pushed_out = self._archive.letters.put(
            topic=item.topic,
            payload=item.payload,
            reason=reason,
            received_at=self._now(),
            kind=kind,
            retained=item.retained,
        )
        if pushed_out is None:
            return HandledMessage(Outcome.KNOWN)
        self._metrics.dead_letters.inc()
        if kind == "bug":
            self._metrics.quarantined.inc()
        topic = item.topic[:_LOGGED_CHARACTERS]
        log.warning(
            "message dead-lettered",
            extra={"topic": topic, "kind": kind, "reason": reason[-_LOGGED_CHARACTERS:], "pushed_out": pushed_out},
        )
        return HandledMessage(Outcome.DEAD_LETTER)

    def _update_sensor_state(self, item: PreparedMessage) -> None:
        source = SensorTopic.parse(item.topic)
        if item.payload:  # an empty retained message only clears the topic
            state = decode_json(StateMessage, item.payload)
            if (state.site, state.sensor) != (source.site, source.sensor):
                raise InvalidError(
                    f"state of {state.site}/{state.sensor} came on the topic of {source.site}/{source.sensor}"
                )
            skew_s = None
            if state.report is not None and item.waited_s is not None and self._doubts().measures:
                skew_s = (state.report.at - self._now()).total_seconds() + item.waited_s
            self._archive.sensors.update_state(state, skew_s)

    def _finish(self, run: list[PreparedMessage]) -> Iterator[HandledMessage]:
        """Archive different events, search for matches, and return the outcome of each."""
        if not run:
            return
        fresh = [item for item in run if item.known is not WriteState.REPEAT]
        with self._stage("archive", fresh):
            recorded = self._store(fresh)
        kept = [(stored, item) for stored, item, outcome in recorded if outcome is not WriteState.REPEAT]
        with self._stage("retrieve", fresh):
            similar = self._search(kept)
        with self._stage("judge", fresh):
            alerts = self._judge.process([stored for stored, _ in kept], similar)
        self._count(kept, alerts)
        alert_of = {event_id(item): alert for (_, item), alert in zip(kept, alerts, strict=True)}
        for item in run:
            if event_id(item) in alert_of:
                yield HandledMessage(Outcome.ARCHIVED, alert_of[event_id(item)])
            else:
                self._metrics.duplicates.inc()
                yield HandledMessage(Outcome.REPEAT)

    def _store(self, items: list[PreparedMessage]) -> list[tuple[StoredEvent, PreparedMessage, WriteState]]:
        presence: dict[EventId, tuple[float, ...]] = {}
        for space in {item.space for item in items}:
            own = [item for item in items if item.space == space]
            found = self._retrieval.presence_all(space, np.stack([item.towers for item in own]))
            presence |= dict(zip([event_id(item) for item in own], found, strict=True))
        received_at = self._now()
        times = believed_times(
            [item.event for item in items if item.event is not None],
            received_at,
            self._archive.sensors,
            self._tolerance,
            trusted=not self._doubts().clock,
        )
        events = [
            self._to_record(item, presence[event_id(item)], at, received_at)
            for item, at in zip(items, times, strict=True)
        ]
        outcomes = self._archive.add_many(events)
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
            clip=self._save_audio(event),
            towers=self._retrieval.embeddings_to_store(item.space, item.towers),
            claimed_at=None if believed else event.captured_at,
            clock=event.clock,
            backfilled=event.backfilled,
            rate_hz=event.rate_hz,
            calibration=event.calibration,
        )

    def _search(self, kept: list[tuple[StoredEvent, PreparedMessage]]) -> list[SearchResult]:
        """Return matches of each event among those before it."""
        if not kept:
            return []
        events, towers = [stored for stored, _ in kept], [item.towers for _, item in kept]
        self._retrieval.add_all(events, towers)
        found = self._matcher.found(events, towers)
        if self._names is None:
            return found
        return [replace(one, names=own) for one, own in zip(found, self._names.likely(events, towers), strict=True)]

    def _count(self, kept: list[tuple[StoredEvent, PreparedMessage]], alerts: list[AlertMessage | None]) -> None:
        if not kept:
            return
        self._metrics.archived.inc(len(kept))
        self._metrics.alerts.inc(sum(alert is not None for alert in alerts))
        self._metrics.batch.observe(len(kept))
        self._metrics.last_event.set(kept[-1][0].received_at.timestamp())
        for event, item in kept:
            if item.event is not None and not item.event.backfilled:
                self._metrics.delivery.observe(event.delivery_s)

    def _save_audio(self, event: Event) -> str:
        """Keep an event's sound: its path, or "" without; a disk that fails stops no event, and so no alert."""
        if self._clips is None or event.audio is None:
            return ""
        try:
            path = self._clips.save(event, event.audio)
        except UnavailableError as error:
            self._metrics.clip_failures.labels("write").inc()
            level = logging.WARNING if self._keeping else logging.DEBUG
            log.log(level, "events are archived without their sound", extra={"reason": str(error)})
            self._keeping = False
            return ""
        self._keeping = True
        return path

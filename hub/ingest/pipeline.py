"""The hub's way of messages: decode -> features -> archive -> search -> decide.

Messages that wait are handled together: one round trip to the store per step, one product of matrices for all
queries; the result of each is as if they came one by one. Everything here may be repeated safely: the archive knows
an event by its id, and an event whose handling was cut short (written, not yet completed) is looked at again when the
broker sends it again.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from hub.alerting.detector import AlertDetector
from hub.alerting.matching import Matcher
from hub.alerting.name_matching import NameMatcher
from hub.domain.alert_rule import SearchResult
from hub.domain.records import StoredEvent, WriteState
from hub.ingest.capture_times import CaptureTimes, ClockRules
from hub.ingest.clip_keeper import ClipKeeper
from hub.ingest.event_recorder import EventRecorder
from hub.ingest.messages import HandledMessage, Outcome, PreparedMessage, event_id
from hub.ingest.preparation import MessagePreparer
from hub.ingest.stage_timer import StageTimer
from hub.metrics.definitions import HubMetrics
from hub.notify.heartbeat_echo import HeartbeatResponder
from hub.search.backend import Query
from hub.search.retrieval import Retrieval
from hub.store.dead_letters import LetterKind
from hub.store.stores import Stores
from shared.errors import InvalidError, UnsupportedError
from shared.events import EventId
from shared.extractor import FeatureExtractor
from shared.messages.alert import AlertMessage
from shared.messages.codec import decode_json
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import HEARTBEAT_SITE, SensorTopic

log = logging.getLogger(__name__)

_LOGGED_CHARACTERS: Final = 500
_KEPT: Final = {WriteState.NEW, WriteState.UNFINISHED}


def _is_searched(item: PreparedMessage) -> bool:
    """Return whether an event is archived and searched: it is sound, and no heartbeat."""
    sound = item.problem is None and item.traceback is None
    return item.event is not None and sound and item.event.site != HEARTBEAT_SITE


@dataclass(frozen=True, slots=True)
class Recognition:
    """What compares the sound of an event with earlier sound.

    Attributes:
        extractor: turns clips into features.
        retrieval: finds similar past events.
        names: compares events with named sounds; None to name none.
    """

    extractor: FeatureExtractor
    retrieval: Retrieval
    names: NameMatcher | None = None


class Pipeline:
    """Handles messages.

    Args:
        stores: where events and their audio are written; without a store of audio, none is kept.
        recognition: compares sound with earlier sound.
        detector: takes events into episodes, and decides which raise an alert.
        metrics: counters and timings.
        clock: how far clocks are believed; None: as `ClockRules` does by default.
    """

    def __init__(
        self,
        stores: Stores,
        recognition: Recognition,
        detector: AlertDetector,
        metrics: HubMetrics,
        clock: ClockRules | None = None,
    ) -> None:
        archive, retrieval = stores.events, recognition.retrieval
        self._archive = archive
        self._answers = HeartbeatResponder(archive.client)
        self._retrieval = retrieval
        self._detector = detector
        self._matcher = Matcher(retrieval, detector)
        self._metrics = metrics
        self._names = recognition.names
        self._stage = StageTimer(metrics)
        self._times = CaptureTimes(archive.sensors, clock or ClockRules())
        clips = ClipKeeper(stores.audio, metrics)
        self._recorder = EventRecorder(archive, retrieval, clips, self._times, metrics)
        self._preparer = MessagePreparer(archive, retrieval, recognition.extractor, self._stage)

    def handle(self, topic: str, payload: bytes) -> HandledMessage:
        """`handle_all` of one message."""
        return next(self.handle_all([(topic, payload)]))

    def handle_all(self, messages: Sequence[tuple[str, bytes]]) -> Iterator[HandledMessage]:
        """`prepare` and `process`."""
        yield from self.process(self.prepare(messages))

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """Archive, search and decide on alerts; store a message that is invalid as a dead letter.

        Args:
            items: prepared; others may have been processed since then.

        Yields:
            The outcome of each, in order. If an error interrupts this, the messages whose outcome was returned are
            complete, and the others can be processed again.

        Raises:
            UnavailableError: a server is away; nothing is lost if the same items are processed again.
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
        """Do everything that changes nothing; see `MessagePreparer.prepare`."""
        return self._preparer.prepare(messages, waited_s)

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
            received_at=self._times.now(),
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
            skew_s = None if state.report is None else self._times.offset_s(state.report.at, item.waited_s)
            at = self._times.now() - timedelta(seconds=item.waited_s or 0.0)
            self._archive.sensors.update_state(state, skew_s, at)

    def _finish(self, run: list[PreparedMessage]) -> Iterator[HandledMessage]:
        """Archive different events, search for matches, and return the outcome of each."""
        if not run:
            return
        fresh = [item for item in run if item.known is not WriteState.REPEAT]
        with self._stage("archive", fresh):
            recorded = self._recorder.store(fresh)
        kept = [(stored, item) for stored, item, outcome in recorded if outcome in _KEPT]
        with self._stage("retrieve", fresh):
            similar = self._search(kept)
        with self._stage("judge", fresh):
            alerts = self._detector.process([stored for stored, _ in kept], similar)
        self._count(kept, alerts)
        alert_of = {event_id(item): alert for (_, item), alert in zip(kept, alerts, strict=True)}
        for item in run:
            if event_id(item) in alert_of:
                yield HandledMessage(Outcome.ARCHIVED, alert_of[event_id(item)])
            else:
                self._metrics.duplicates.inc()
                yield HandledMessage(Outcome.REPEAT)

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

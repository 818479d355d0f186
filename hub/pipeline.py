"""What the hub does with one message: decode -> features -> archive -> retrieve -> flag -> complete.

Everything here may be repeated safely: the archive knows an event by its id, and an event whose handling was
cut short (written, not yet completed) is looked at again when the broker sends it again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from hub.archive import Archive, Recorded, StoredEvent
from hub.clips import Clips
from hub.flagging.rule import FlagRule, flag, shared_presence
from hub.metrics import HubMetrics
from hub.search.index import Match
from hub.search.retrieval import Retrieval, own_recent
from shared.audio import decode_flac
from shared.errors import Invalid
from shared.events import Embedding, Event, Flac
from shared.extractor import Extractor
from shared.messages import (
    EVENT_CAP_BYTES,
    AlertMessage,
    MatchMessage,
    StateMessage,
    decode_event,
    decode_json,
)
from shared.space import Features
from shared.taxonomy import CATEGORIES
from shared.topics import SensorTopic

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a message."""

    ARCHIVED = "archived"
    REPEAT = "repeat"
    STATE = "state"
    DEAD_LETTER = "dead letter"


@dataclass(frozen=True, slots=True)
class Handled:
    """The outcome, and the alert if one was raised."""

    outcome: Outcome
    alert: AlertMessage | None = None


class Pipeline:
    """Handles messages one at a time.

    Args:
        archive: where events are written.
        retrieval: finds similar past events.
        extractor: turns clips into features.
        rule: decides which matches are worth an alert.
        metrics: counters and timings.
        clips: where audio is kept, or None to keep none.
        now: the time, UTC.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        retrieval: Retrieval,
        extractor: Extractor,
        rule: FlagRule,
        metrics: HubMetrics,
        clips: Clips | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive = archive
        self._retrieval = retrieval
        self._extractor = extractor
        self._rule = rule
        self._metrics = metrics
        self._clips = clips
        self._now = now

    def handle(self, topic: str, payload: bytes) -> Handled:
        """Take one message; one that is invalid becomes a dead letter.

        Raises:
            Unavailable: a server or the disk is away; nothing is lost if the same message is handled again.
            Busy: too many dead letters wait.
        """
        try:
            handled = self._take(topic, payload)
        except Invalid as error:
            self._archive.bury(
                topic=topic,
                payload=payload,
                reason=str(error),
                received_at=self._now(),
                cap_bytes=EVENT_CAP_BYTES,
            )
            self._metrics.dead_letters.inc()
            log.warning("message dead-lettered", extra={"topic": topic, "reason": str(error)})
            return Handled(Outcome.DEAD_LETTER)
        if handled.outcome is Outcome.REPEAT:
            self._metrics.duplicates.inc()
        return handled

    def _take(self, topic: str, payload: bytes) -> Handled:
        source = SensorTopic.parse(topic)
        if source.kind == "state":
            return self._take_state(source, payload)
        stage = self._metrics.stage
        with stage.labels("decode").time():
            event = decode_event(payload, source)
            if self._archive.known(event.id) is Recorded.REPEAT:
                return Handled(Outcome.REPEAT)
        with stage.labels("features").time():
            space, features = self._features(event)
            towers = self._retrieval.embed(space, features)
        with stage.labels("archive").time():
            stored = StoredEvent(
                id=event.id,
                site=event.site,
                captured_at=event.captured_at,
                received_at=self._now(),
                duration_s=event.duration_s,
                levels=event.levels,
                space=space,
                features=features,
                presence=self._retrieval.presence(space, towers),
                clip=self._keep(event),
            )
            recorded = self._archive.record(stored)
        if recorded is Recorded.REPEAT:
            return Handled(Outcome.REPEAT)
        with stage.labels("retrieve").time():
            exclusion = own_recent(str(event.id), event.place, event.captured_at, self._rule.own_recent_s)
            matches = self._retrieval.search(space, towers, self._rule.max_matches * 4, exclusion)
            alert = make_alert(stored, flag(self._rule, matches), self._rule.min_shared)
        with stage.labels("complete").time():
            self._archive.complete(event.id, alert)
        self._retrieval.add(stored, towers)
        self._metrics.archived.inc()
        self._metrics.indexed.set(len(self._retrieval))
        self._metrics.last_event.set(stored.received_at.timestamp())
        if alert is not None:
            self._metrics.alerts.inc()
        log.debug("event archived", extra={"event": event.id, "alert": alert is not None})
        return Handled(Outcome.ARCHIVED, alert)

    def _take_state(self, source: SensorTopic, payload: bytes) -> Handled:
        if payload:  # an empty retained message only clears the topic
            state = decode_json(StateMessage, payload)
            if (state.site, state.sensor) != (source.site, source.sensor):
                raise Invalid(
                    f"state of {state.site}/{state.sensor} came on the topic of {source.site}/{source.sensor}"
                )
            self._archive.note_state(state)
        return Handled(Outcome.STATE)

    def _features(self, event: Event) -> tuple[str, Features]:
        match event.body:
            case Embedding(space, features):
                return space, features
            case Flac(data):
                waveform, rate_hz = decode_flac(data)
                return self._extractor.space.id, self._extractor.extract(waveform, rate_hz)

    def _keep(self, event: Event) -> str:
        if self._clips is not None and isinstance(event.body, Flac):
            return self._clips.keep(event, event.body)
        return ""


def make_alert(event: StoredEvent, matches: list[Match], min_shared: float) -> AlertMessage | None:
    """The alert for an event and its flagged matches; None if there are none."""
    if not matches:
        return None
    return AlertMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        presence=dict(zip(CATEGORIES, event.presence, strict=True)),
        matches=[match_message(match, min_shared) for match in matches],
    )


def match_message(match: Match, min_shared: float) -> MatchMessage:
    """A match as told to others."""
    site, _, sensor = match.place.partition("/")
    return MatchMessage(
        event=match.event,
        site=site,
        sensor=sensor,
        captured_at=datetime.fromtimestamp(match.captured_ms / 1000, UTC),
        level=min(8.0, max(0.0, match.level)),
        rank=match.rank,
        shared=shared_presence(match, min_shared),
    )

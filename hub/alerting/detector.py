"""Load the state of a batch of events, decide on each event, commit: episodes and alerts."""

from collections.abc import Callable, Sequence

from hub.alerting.recurrence import RecurrenceCache
from hub.domain.alert_rule import AlertRule, SearchResult
from hub.domain.alert_state import AlertState, Needs
from hub.domain.detection import NO_MATCHES, Detection, detect, observation_of
from hub.domain.episodes import CONTINUE_RATIO, SensorState
from hub.domain.named_sounds import NamedSound
from hub.domain.records import StoredEvent
from hub.domain.sensor_history import united
from hub.domain.sensor_map import SensorMap
from hub.store.episode_batch import EpisodeBatch
from hub.store.episodes import EpisodeStore
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES


class AlertDetector:
    """Applies the alert rule to events, and keeps their episodes and alerts.

    Args:
        episode_store: where episodes are.
        places: which sensors are near each other: what they detect at the same time has one alert.
        rule: what an alert needs.
        history_days: age of the oldest episodes that count for recurrence, in days.
        named: called with the named sound of each event that is one, after the commit.
    """

    def __init__(
        self,
        episode_store: EpisodeStore,
        places: SensorMap,
        rule: AlertRule,
        history_days: float = 90.0,
        named: Callable[[NamedSound], None] = lambda _sound: None,
    ) -> None:
        self._episode_store = episode_store
        self._places = places
        self._recurrence = RecurrenceCache(episode_store, places, history_days)
        self._named = named
        self.rule = rule

    def process(self, events: Sequence[StoredEvent], results: Sequence[SearchResult]) -> list[AlertMessage | None]:
        """Take events into their episodes, raise alerts, and mark the events as processed: all of it or nothing.

        Args:
            events: archived, in the order of their arrival.
            results: what the search found for each event.

        Returns:
            The alert of each event, or None.

        Raises:
            UnavailableError: the store is away; it is safe to process the events again.
        """
        if not events:
            return []
        self._recurrence.trim()
        named = self._named_by_place(events, results)
        with self._episode_store.batch() as batch:
            while True:
                state = batch.load(events, self._recurrence.known, named)
                detections, state = self._decide(batch, state, events, results)
                if batch.commit(detections, state):
                    break
        for detection in detections:
            if detection.sound is not None:
                self._named(detection.sound)
        return [detection.alert for detection in detections]

    def _decide(
        self, batch: EpisodeBatch, state: AlertState, events: Sequence[StoredEvent], results: Sequence[SearchResult]
    ) -> tuple[list[Detection], AlertState]:
        """Decide on one event after the other; load what a decision needs besides, and decide on that event again."""
        detections = []
        muted = self._episode_store.muted({event.place for event in events})
        for event, found in zip(events, results, strict=True):
            result = NO_MATCHES if event.place in muted else found
            neighbours = self._places.neighbours(event.place)
            decision = detect(self.rule, event, result, state, neighbours)
            while decision.needs:
                state = self._load(batch, state, decision.needs)
                decision = detect(self.rule, event, result, state, neighbours)
            detections.append(decision.detection)
            state = decision.state
        return detections, state

    def _load(self, batch: EpisodeBatch, state: AlertState, needs: Needs) -> AlertState:
        self._recurrence.load(needs.recurrence)  # the state has a view of what is loaded
        margin_ms = self.rule.gap_ms + self.rule.cooldown_ms  # the next event asks for a time close by
        spans = [span.widened(margin_ms) for span in needs.spans]
        return batch.load_further(state, needs.sensors, united(spans))

    def _named_by_place(self, events: Sequence[StoredEvent], results: Sequence[SearchResult]) -> dict[str, set[str]]:
        """Return the ids of the named sounds that events may be, by the places whose returns count."""
        named: dict[str, set[str]] = {}
        for event, result in zip(events, results, strict=True):
            if result.names:
                for place in (event.place, *self._places.neighbours(event.place)):
                    named.setdefault(place, set()).update(likely.sound.id for likely in result.names)
        return named

    def own_spans(self, events: Sequence[StoredEvent]) -> list[tuple[int, int] | None]:
        """Return begin and end of the episodes that events likely continue, ms; None of one that opens its own.

        Raises:
            UnavailableError: the store is away.
        """
        states = self._episode_store.sensor_states(sorted({event.place for event in events}))
        return [self._own_span(event, states[event.place]) for event in events]

    def _own_span(self, event: StoredEvent, state: SensorState) -> tuple[int, int] | None:
        observation = observation_of(event)
        continued = [
            episode
            for category, presence in zip(CATEGORIES, event.presence, strict=True)
            if presence >= CONTINUE_RATIO * self.rule.min_presence
            for episode in state.episodes.get(category, ())
            if episode.overlaps(observation.start_ms, observation.end_ms, self.rule.gap_ms)
        ]
        if not continued:
            return None
        return (
            min(observation.start_ms, *(e.opened_ms for e in continued)),
            max(observation.end_ms, *(e.last_ms for e in continued)),
        )

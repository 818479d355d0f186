"""Judging a batch of events: into which episodes they go, and which alerts they are worth."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from hub.alerting.recurrence import RecurrenceCache
from hub.domain.alert_rule import AlertRule, SearchResult, SiteContext, belonging, evaluate
from hub.domain.alerts import build_alert, named_alert, with_name
from hub.domain.episodes import CONTINUE_RATIO, ActiveAlert, Episode, Observation, SensorState, overlapping_elsewhere
from hub.domain.named_returns import Clip, Naming, Pauses, name
from hub.domain.named_sounds import NamedSound
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.store.episodes import BatchContext, Detection, EpisodeStore
from shared.messages import AlertMessage
from shared.taxonomy import CATEGORIES, COUNT

NOTHING: Final = SearchResult((), np.empty((0, COUNT), dtype=np.float32))
"""What the flagging rule is told of a watched or muted sound: no matches, so that it raises no alert of its own."""
NAMED: Final = "named"
"""Where a sensor's calls have the latest alert of a watched sound, beside those of the categories."""


class AlertDetector:
    """Applies the flagging rule to what the casebook knows.

    Args:
        episode_store: where episodes and thresholds are.
        places: which sensors are near each other: what they hear at the same time is one happening.
        rule: what an alert needs.
        history_days: how far back rhythms are looked for.
        named: told of each event that is a named sound, once it is concluded.
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
        self._rhythms = RecurrenceCache(episode_store, places, history_days)
        self._named = named
        self.rule = rule

    def process(self, events: Sequence[StoredEvent], similar: Sequence[SearchResult]) -> list[AlertMessage | None]:
        """Take events into their episodes, raise alerts, and be done with the events: all of it or nothing.

        Args:
            events: archived, in the order they came.
            similar: what was found for each.

        Raises:
            Unavailable: the store is away; concluding again is safe.
        """
        if not events:
            return []

        def judged(opened: BatchContext) -> list[Detection]:
            return [self._conclusion(event, own, opened) for event, own in zip(events, similar, strict=True)]

        conclusions = self._episode_store.update(events, judged)
        for conclusion in conclusions:
            if conclusion.sound is not None:
                self._named(conclusion.sound)
        return [conclusion.alert for conclusion in conclusions]

    def own_spans(self, events: Sequence[StoredEvent]) -> list[tuple[int, int] | None]:
        """From when to when the episodes last that events likely go on with, ms; None of one that opens its own.

        Raises:
            Unavailable: the store is away.
        """
        recents = self._episode_store.sensor_states(sorted({event.place for event in events}))
        return [self._own_span(event, recents[event.place]) for event in events]

    def _own_span(self, event: StoredEvent, recent: SensorState) -> tuple[int, int] | None:
        start_ms = to_ms(event.captured_at)
        end_ms = start_ms + round(event.duration_s * 1000)
        own = [
            episode
            for category, presence in zip(CATEGORIES, event.presence, strict=True)
            if presence >= CONTINUE_RATIO * self.rule.min_presence
            for episode in recent.episodes.get(category, ())
            if episode.overlaps(start_ms, end_ms, self.rule.gap_ms)
        ]
        if not own:
            return None
        return min(start_ms, *(e.opened_ms for e in own)), max(end_ms, *(e.last_ms for e in own))

    def _conclusion(self, event: StoredEvent, similar: SearchResult, opened: BatchContext) -> Detection:
        start_ms = to_ms(event.captured_at)
        heard = Observation(
            event=str(event.id),
            place=event.place,
            start_ms=start_ms,
            end_ms=start_ms + round(event.duration_s * 1000),
            laeq=event.levels.laeq,
            unit=event.levels.unit,
            presence=event.presence,
        )

        def nearby_alert(episode: Episode) -> str:
            for place in self._places.neighbours(event.place):
                recent = opened.look(place)
                gap_ms, known = self.rule.gap_ms, recent.episodes.get(episode.category, [])
                span = (episode.opened_ms - gap_ms, episode.last_ms + gap_ms)
                theirs = opened.history.episodes((place, episode.category), *span, known)
                for other in overlapping_elsewhere(episode, theirs, gap_ms):
                    if other.alert:
                        return other.alert
                # After a pause either sensor may be the first to hear that it goes on. What lasts longer than a
                # cool-down is somebody's "ignore", which is of that place alone.
                call = recent.calls.get(episode.category)
                if call and call.from_ms <= start_ms < call.until_ms <= heard.end_ms + self.rule.cooldown_ms:
                    return call.alert
            return ""

        around = SiteContext(
            thresholds=opened.thresholds.get(event.site, {}),
            others=opened.others[event.site],
            offers=opened.offers[event.site],
            nearby_alert=nearby_alert,
            history=opened.history,
            belonging=lambda episode: self._rhythms.recurrence_probability(episode.place, episode.category, start_ms),
        )
        recent = opened.recents[event.place]
        naming = self._naming(heard, similar, opened)
        counted = NOTHING if naming is not None and naming.quiet else similar
        judged = evaluate(self.rule, heard, recent, counted, around)
        if naming is None:
            return Detection(
                event,
                judged.episodes,
                build_alert(event, judged, self.rule, around.thresholds, similar.source_of()),
            )
        if naming.alert:
            judged = replace(judged, episodes=belonging(recent, judged.episodes, naming.alert, opened.history))
        alert: AlertMessage | None
        if naming.raises:
            alert = named_alert(event, judged, similar, naming.likely, self.rule, around.thresholds)
            recent.calls[NAMED] = ActiveAlert(heard.event, heard.start_ms, heard.end_ms)
        else:
            alert = build_alert(event, judged, self.rule, around.thresholds, similar.source_of())
        return Detection(event, judged.episodes, alert and with_name(alert, naming.likely), naming.likely.sound)

    def _naming(self, heard: Observation, similar: SearchResult, opened: BatchContext) -> Naming | None:
        """The name of a clip, if it is a named sound; what is looked at of other sensors is watched."""
        if not similar.names:
            return None
        nearby = self._places.neighbours(heard.place)
        for place in nearby:
            opened.look(place)
        clip = Clip(heard.event, heard.place, heard.start_ms, heard.end_ms)
        return name(clip, similar.names, opened.names, nearby, Pauses(self.rule.gap_ms, self.rule.cooldown_ms))

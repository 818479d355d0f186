"""Judging a batch of events: into which episodes they go, and which alerts they are worth."""

from collections.abc import Sequence

from hub.casebook import Casebook, Conclusion, Opened
from hub.flagging.alert import alert_of
from hub.flagging.episode import KEEPS, Episode, Heard, Recent, simultaneous
from hub.flagging.rule import Around, FlagRule, Found, judge
from hub.patterns import Rhythms
from hub.places import Places
from hub.stored import StoredEvent, ms_of
from shared.messages import AlertMessage
from shared.taxonomy import CATEGORIES


class Judge:
    """Applies the flagging rule to what the casebook knows.

    Args:
        casebook: where episodes and thresholds are.
        places: which sensors are near each other: what they hear at the same time is one happening.
        rule: what an alert needs.
        history_days: how far back rhythms are looked for.
    """

    def __init__(self, casebook: Casebook, places: Places, rule: FlagRule, history_days: float = 90.0) -> None:
        self._casebook = casebook
        self._places = places
        self._rhythms = Rhythms(casebook, places, history_days)
        self.rule = rule

    def conclude(self, events: Sequence[StoredEvent], similar: Sequence[Found]) -> list[AlertMessage | None]:
        """Take events into their episodes, raise alerts, and be done with the events: all of it or nothing.

        Args:
            events: archived, in the order they came.
            similar: what was found for each.

        Raises:
            Unavailable: the store is away; concluding again is safe.
        """
        if not events:
            return []

        def judged(opened: Opened) -> list[Conclusion]:
            return [self._conclusion(event, own, opened) for event, own in zip(events, similar, strict=True)]

        return [conclusion.alert for conclusion in self._casebook.conclude(events, judged)]

    def own_spans(self, events: Sequence[StoredEvent]) -> list[tuple[int, int] | None]:
        """From when to when the episodes last that events likely go on with, ms; None of one that opens its own.

        Raises:
            Unavailable: the store is away.
        """
        recents = self._casebook.recent(sorted({event.place for event in events}))
        return [self._own_span(event, recents[event.place]) for event in events]

    def _own_span(self, event: StoredEvent, recent: Recent) -> tuple[int, int] | None:
        start_ms = ms_of(event.captured_at)
        end_ms = start_ms + round(event.duration_s * 1000)
        own = [
            episode
            for category, presence in zip(CATEGORIES, event.presence, strict=True)
            if presence >= KEEPS * self.rule.min_presence
            for episode in recent.episodes.get(category, ())
            if episode.within(start_ms, end_ms, self.rule.gap_ms)
        ]
        if not own:
            return None
        return min(start_ms, *(e.opened_ms for e in own)), max(end_ms, *(e.last_ms for e in own))

    def _conclusion(self, event: StoredEvent, similar: Found, opened: Opened) -> Conclusion:
        start_ms = ms_of(event.captured_at)
        heard = Heard(
            event=str(event.id),
            place=event.place,
            start_ms=start_ms,
            end_ms=start_ms + round(event.duration_s * 1000),
            laeq=event.levels.laeq,
            unit=event.levels.unit,
            presence=event.presence,
        )

        def nearby_alert(episode: Episode) -> str:
            for place in self._places.near(event.place):
                recent = opened.look(place)
                gap_ms, known = self.rule.gap_ms, recent.episodes.get(episode.category, [])
                span = (episode.opened_ms - gap_ms, episode.last_ms + gap_ms)
                theirs = opened.history.episodes((place, episode.category), *span, known)
                for other in simultaneous(episode, theirs, gap_ms):
                    if other.alert:
                        return other.alert
                # After a pause either sensor may be the first to hear that it goes on. What lasts longer than a
                # cool-down is somebody's "ignore", which is of that place alone.
                call = recent.calls.get(episode.category)
                if call and call.from_ms <= start_ms < call.until_ms <= heard.end_ms + self.rule.cooldown_ms:
                    return call.alert
            return ""

        around = Around(
            thresholds=opened.thresholds.get(event.site, {}),
            others=opened.others[event.site],
            offers=opened.offers[event.site],
            nearby_alert=nearby_alert,
            history=opened.history,
            belonging=lambda episode: self._rhythms.belonging(episode.place, episode.category, start_ms),
        )
        judged = judge(self.rule, heard, opened.recents[event.place], similar, around)
        alert = alert_of(event, judged, self.rule, around.thresholds, similar.source_of())
        return Conclusion(event, judged.episodes, alert)

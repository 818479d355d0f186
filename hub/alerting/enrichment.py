"""Enrich alerts before they are dispatched: recurrence, episodes of nearby sensors, severity.

What several alerts need is read once for all of them.

A candidate network that runs in the shadow adds its match probability; nothing else uses that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hub.alerting.recurrence import RecurrenceService
from hub.alerting.shadow import ShadowModel
from hub.domain.episodes import Episode, overlapping_elsewhere
from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.domain.sensor_map import SensorMap
from hub.store.episodes import EpisodeStore
from shared.messages.alert import AlertMessage, ForecastWindow, Recurrence, Severity

AFTER: Final = timedelta(seconds=1)
"""How long after its capture an alert's own episode counts among those known by then."""
_LOOKED_BACK: Final = timedelta(days=1)
_EPISODES: Final = 200
"""Most episodes of a nearby sensor that are read."""


@dataclass(frozen=True, slots=True)
class EnrichmentRule:
    """What counts as simultaneous and as urgent.

    Attributes:
        gap_ms: largest gap between simultaneous episodes, in ms.
        urgent_above_ambient_db: level over the ambient level from which a recurring alert is `urgent`.
    """

    gap_ms: int
    urgent_above_ambient_db: float


class AlertEnricher:
    """Enriches alerts.

    Args:
        episode_store: where episodes are.
        patterns: returns recurrences of categories at places.
        places: which sensors are near each other.
        rule: what counts as simultaneous and as urgent.
        shadow: a candidate network; None if there is none.
    """

    def __init__(
        self,
        episode_store: EpisodeStore,
        patterns: RecurrenceService,
        places: SensorMap,
        rule: EnrichmentRule,
        shadow: ShadowModel | None = None,
    ) -> None:
        self._episode_store = episode_store
        self._patterns = patterns
        self._places = places
        self._rule = rule
        self._shadow = shadow

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Return the alerts with their recurrence, their linked episodes and their severity.

        Raises:
            UnavailableError: the store is away.
        """
        known = [alert for alert in alerts if alert.categories]
        asked = [(_place(alert), alert.categories[0], alert.captured_at + AFTER) for alert in known]
        patterns = iter(self._patterns.patterns(asked))
        episodes = self._episode_store.present([alert.episode for alert in known])
        return [
            self._enriched(alert, next(patterns), episodes.get(alert.episode)) if alert.categories else alert
            for alert in alerts
        ]

    def _enriched(self, alert: AlertMessage, pattern: RecurrenceSummary, episode: Episode | None) -> AlertMessage:
        place = _place(alert)
        elsewhere = sorted({f"{m.site}/{m.sensor}" for m in alert.matches} - {place})
        return alert.model_copy(
            update={
                "recurrence": recurrence_message(pattern, alert.categories[0], elsewhere, alert.captured_at),
                "linked": [] if episode is None else self._linked(alert, place, episode),
                "shadow_probability": self._shadow and self._shadow.match_probability(alert),
                "severity": self.severity(alert),
            }
        )

    def severity(self, alert: AlertMessage) -> Severity:
        """Return the severity of an alert: urgent if its sound recurs and is far above the ambient level.

        The alert of a watched sound has the severity that a person gave the sound.
        """
        if alert.watched:
            return alert.severity
        far = (alert.above_ambient_db or 0.0) >= self._rule.urgent_above_ambient_db
        return "urgent" if alert.severity != "notice" and far else alert.severity

    def _linked(self, alert: AlertMessage, place: str, episode: Episode) -> list[str]:
        """Return simultaneous episodes of nearby sensors."""
        since_ms = round((alert.captured_at - _LOOKED_BACK).timestamp() * 1000)
        linked = []
        for other in self._places.neighbours(place):
            theirs = self._episode_store.episodes(
                limit=_EPISODES,
                before_ms=episode.last_ms + self._rule.gap_ms + 1,
                since_ms=since_ms,
                place=other,
                category=episode.category,
            )
            linked += [found.id for found in overlapping_elsewhere(episode, theirs, self._rule.gap_ms)]
        return linked


def _place(alert: AlertMessage) -> str:
    return f"{alert.site}/{alert.sensor}"


def recurrence_message(
    pattern: RecurrenceSummary, category: str, elsewhere: list[str], captured_at: datetime
) -> Recurrence:
    """Return a recurrence as a part of an alert."""
    return Recurrence(
        category=category,
        episodes=pattern.times,
        days=pattern.days,
        since=pattern.first_at or captured_at,
        regularity=pattern.regularity,
        other_places=elsewhere,
        next=window_message(pattern),
    )


def window_message(pattern: RecurrenceSummary) -> ForecastWindow | None:
    """Return the next window of a recurrence as a part of an alert; None if no time stands out."""
    if pattern.next is None:
        return None
    return ForecastWindow(
        start=pattern.next.start,
        end=pattern.next.end,
        probability=pattern.next.probability,
        base_rate=pattern.next.base_rate,
        backtest_windows=pattern.tested.windows if pattern.tested else 0,
        backtest_hits=pattern.tested.hits if pattern.tested else 0,
    )

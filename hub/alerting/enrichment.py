"""Enrich an alert before it is dispatched: recurrence, episodes of nearby sensors, severity.

A candidate network that runs in the shadow adds its match probability; nothing else uses that.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hub.alerting.recurrence import RecurrenceService
from hub.alerting.shadow import ShadowModel
from hub.domain.episodes import overlapping_elsewhere
from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.domain.sensor_map import SensorMap
from hub.store.episodes import EpisodeStore
from shared.messages.alert import AlertMessage, ForecastWindow, Recurrence, Severity

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
        patterns: returns the recurrence of a category at a place.
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

    def enrich(self, alert: AlertMessage) -> AlertMessage:
        """Return the alert with its recurrence, its linked episodes and its severity.

        Raises:
            UnavailableError: the store is away.
        """
        if not alert.categories:
            return alert
        place, category = f"{alert.site}/{alert.sensor}", alert.categories[0]
        now = alert.captured_at + timedelta(seconds=1)
        pattern = self._patterns.pattern(place, category, now)
        elsewhere = sorted({f"{m.site}/{m.sensor}" for m in alert.matches} - {place})
        return alert.model_copy(
            update={
                "recurrence": recurrence_message(pattern, category, elsewhere, alert.captured_at),
                "linked": self._linked(alert, place),
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

    def _linked(self, alert: AlertMessage, place: str) -> list[str]:
        """Return simultaneous episodes of nearby sensors."""
        episode = self._episode_store.episode(alert.episode)
        if episode is None:
            return []
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

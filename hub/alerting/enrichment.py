"""Completing an alert before anyone is told: what recurs there, who else hears it, how much it matters.

A candidate network that runs in the shadow says here what it would have stated; nothing else heeds it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from hub.alerting.recurrence import Patterns
from hub.domain.alert_rule import FlagRule
from hub.domain.episodes import simultaneous
from hub.domain.recurrence.analysis import Pattern
from hub.domain.sensor_map import Places
from hub.store.episodes import Casebook
from shared.messages import AlertMessage, RecurrenceMessage, Severity, WindowMessage

_LOOKED_BACK: Final = timedelta(days=1)
_EPISODES: Final = 200
"""Most episodes of a nearby sensor that are looked at."""


class Completer:
    """Completes alerts.

    Args:
        casebook: where episodes are.
        patterns: what recurs.
        places: which sensors are near each other.
        rule: for the gap between what is simultaneous.
        urgent_above_db: so far above ambient, a recurring alert is `urgent`.
        shadow: what a candidate network states of an alert; None if there is no candidate.
    """

    def __init__(
        self,
        casebook: Casebook,
        patterns: Patterns,
        places: Places,
        rule: FlagRule,
        *,
        urgent_above_db: float,
        shadow: Callable[[AlertMessage], float | None] = lambda _: None,
    ) -> None:
        self._casebook = casebook
        self._patterns = patterns
        self._places = places
        self._rule = rule
        self._urgent_above_db = urgent_above_db
        self._shadow = shadow

    def complete(self, alert: AlertMessage) -> AlertMessage:
        """The alert with its recurrence, its linked episodes and its severity.

        Raises:
            Unavailable: the store is away.
        """
        if not alert.categories:
            return alert
        place, category = f"{alert.site}/{alert.sensor}", alert.categories[0]
        now = alert.captured_at + timedelta(seconds=1)
        pattern = self._patterns.pattern(place, category, now)
        elsewhere = sorted({f"{m.site}/{m.sensor}" for m in alert.matches} - {place})
        return alert.model_copy(
            update={
                "recurrence": told(pattern, category, elsewhere, alert.captured_at),
                "linked": self._linked(alert, place),
                "shadow": self._shadow(alert),
                "severity": self.severity(alert),
            }
        )

    def severity(self, alert: AlertMessage) -> Severity:
        """How much an alert matters: urgent if what it is about recurs, and is far above the ambient level.

        The alert of a watched sound matters as much as whoever watches it says.
        """
        if alert.watched:
            return alert.severity
        far = (alert.above_ambient_db or 0.0) >= self._urgent_above_db
        return "urgent" if alert.severity != "notice" and far else alert.severity

    def _linked(self, alert: AlertMessage, place: str) -> list[str]:
        """Simultaneous episodes of nearby sensors."""
        episode = self._casebook.episode(alert.episode)
        if episode is None:
            return []
        since_ms = round((alert.captured_at - _LOOKED_BACK).timestamp() * 1000)
        linked = []
        for other in self._places.near(place):
            theirs = self._casebook.episodes(
                limit=_EPISODES,
                before_ms=episode.last_ms + self._rule.gap_ms + 1,
                since_ms=since_ms,
                place=other,
                category=episode.category,
            )
            linked += [found.id for found in simultaneous(episode, theirs, self._rule.gap_ms)]
        return linked


def told(pattern: Pattern, category: str, elsewhere: list[str], captured_at: datetime) -> RecurrenceMessage:
    """A pattern as an alert tells it."""
    return RecurrenceMessage(
        category=category,
        times=pattern.times,
        days=pattern.days,
        since=pattern.first_at or captured_at,
        regularity=pattern.regularity,
        elsewhere=elsewhere,
        next=window_message(pattern),
    )


def window_message(pattern: Pattern) -> WindowMessage | None:
    """The next window of a pattern as an alert tells it; None if no time stands out."""
    if pattern.next is None:
        return None
    return WindowMessage(
        start=pattern.next.start,
        end=pattern.next.end,
        probability=pattern.next.probability,
        base_rate=pattern.next.base_rate,
        tried=pattern.tested.windows if pattern.tested else 0,
        hits=pattern.tested.hits if pattern.tested else 0,
    )

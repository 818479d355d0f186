"""Recurrence of a source: its occurrences, put into a pattern."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import reduce

import numpy as np
import numpy.typing as npt

from hub.alerting.recurrence import LONGEST_DAYS, MAX_EPISODES, hours_by_day
from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.recurrence.analysis import RecurrenceSummary, summarise
from hub.domain.recurrence.history import Interval, merged
from hub.domain.sensor_map import SensorMap
from hub.store.episodes import EpisodeStore
from hub.store.sources import SourceStore


class SourceHistories:
    """Patterns of sources.

    Args:
        store: of sources.
        episode_store: returns when sensors were online.
        places: for the time zone.
        history_days: how far back episodes are looked at.
        pause_s: what goes on after a pause of at most this time in seconds, or at another sensor, is one
            occurrence.
    """

    def __init__(
        self, store: SourceStore, episode_store: EpisodeStore, places: SensorMap, history_days: float, pause_s: float
    ) -> None:
        self._store = store
        self._episode_store = episode_store
        self._zone = places.timezone
        self._history = timedelta(days=min(history_days, LONGEST_DAYS))
        self._pause_ms = round(pause_s * 1000)

    def episodes(self, source: str, now: datetime) -> list[Episode]:
        """Episodes of a source, at most `MAX_EPISODES`, the newest first.

        Raises:
            UnavailableError: the store is away.
        """
        return self._store.episodes(
            source, limit=MAX_EPISODES, before_ms=to_ms(now) + 1, since_ms=to_ms(now - self._history)
        )

    def pattern(self, source: str, now: datetime) -> RecurrenceSummary:
        """Return how often, when and how regularly a source is detected, and when it is likely next.

        Args:
            source: its id.
            now: what comes later is not looked at.

        Raises:
            UnavailableError: the store is away.
        """
        return self.pattern_of(self.episodes(source, now), now)

    def pattern_of(self, episodes: Sequence[Episode], now: datetime) -> RecurrenceSummary:
        """Return the recurrence of some episodes; hours in which none of their sensors was online are unknown.

        Raises:
            UnavailableError: the store is away.
        """
        since_ms, now_ms = to_ms(now - self._history), to_ms(now)
        places = sorted({episode.place for episode in episodes})
        hours = [self._episode_store.active_hours(place, since_ms, now_ms) for place in places]
        active: npt.NDArray[np.int64] = reduce(np.union1d, hours, np.empty(0, dtype=np.int64))
        return summarise(merged(_spans(episodes), self._pause_ms), active, now, self._zone)

    def days_of(self, episodes: Sequence[Episode]) -> dict[date, float]:
        """Return the hours of each local day, in [0, 24], with some episodes."""
        return hours_by_day(merged(_spans(episodes), 0), self._zone)


def _spans(episodes: Sequence[Episode]) -> list[Interval]:
    return [Interval(episode.opened_ms, episode.last_ms) for episode in episodes]

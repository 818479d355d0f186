"""Recurrence of a source: its occurrences, put into a pattern."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import reduce

import numpy as np
import numpy.typing as npt

from hub.alerting.recurrence import LONGEST_DAYS, MAX_EPISODES, ActiveHours, hours_by_day, spans_of
from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.recurrence.analysis import RecurrenceSummary, summarise
from hub.domain.recurrence.history import merged
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
        return self._episodes(source, now, now)

    def pattern(self, source: str, now: datetime) -> RecurrenceSummary:
        """Return how often, when and how regularly a source is detected, and when it is likely next.

        Args:
            source: its id.
            now: what comes later is not looked at.

        Raises:
            UnavailableError: the store is away.
        """
        return self.patterns([(source, now)])[0]

    def patterns(self, asked: Sequence[tuple[str, datetime]]) -> list[RecurrenceSummary]:
        """Return `pattern` of several sources and times; what they share is read once.

        Raises:
            UnavailableError: the store is away.
        """
        times: dict[str, list[datetime]] = defaultdict(list)
        for source, now in asked:
            times[source].append(now)
        episodes = {source: self._episodes(source, max(nows), min(nows)) for source, nows in times.items()}
        hours = ActiveHours(self._episode_store, [now for _, now in asked], self._history)
        return [self._summary(self._known_by(episodes[source], now), now, hours) for source, now in asked]

    def pattern_of(self, episodes: Sequence[Episode], now: datetime) -> RecurrenceSummary:
        """Return the recurrence of some episodes; hours in which none of their sensors was online are unknown.

        Raises:
            UnavailableError: the store is away.
        """
        return self._summary(episodes, now, ActiveHours(self._episode_store, [now], self._history))

    def _episodes(self, source: str, latest: datetime, earliest: datetime) -> list[Episode]:
        since_ms = to_ms(earliest - self._history)
        return self._store.episodes(source, limit=MAX_EPISODES, before_ms=to_ms(latest) + 1, since_ms=since_ms)

    def _known_by(self, episodes: Sequence[Episode], now: datetime) -> list[Episode]:
        since_ms, now_ms = to_ms(now - self._history), to_ms(now)
        return [episode for episode in episodes if since_ms <= episode.opened_ms <= now_ms]

    def _summary(self, episodes: Sequence[Episode], now: datetime, hours: ActiveHours) -> RecurrenceSummary:
        online = [hours.of(place, now) for place in sorted({episode.place for episode in episodes})]
        active: npt.NDArray[np.int64] = reduce(np.union1d, online, np.empty(0, dtype=np.int64))
        return summarise(merged(spans_of(episodes), self._pause_ms), active, now, self._zone)

    def days_of(self, episodes: Sequence[Episode]) -> dict[date, float]:
        """Return the hours of each local day, in [0, 24], with some episodes."""
        return hours_by_day(merged(spans_of(episodes), 0), self._zone)

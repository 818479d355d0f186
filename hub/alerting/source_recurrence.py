"""What recurs: the occurrences of one source, put into a pattern."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import reduce

import numpy as np
import numpy.typing as npt

from hub.alerting.recurrence import LONGEST_DAYS, MOST, hours_by_day
from hub.domain.episodes import Episode
from hub.domain.records import ms_of
from hub.domain.recurrence.analysis import Pattern, Span, merged, pattern
from hub.domain.sensor_map import Places
from hub.store.episodes import Casebook
from hub.store.sources import SourceStore


class SourceHistories:
    """Patterns of sources.

    Args:
        store: of sources.
        casebook: when sensors were heard.
        places: for the time zone.
        history_days: how far back episodes are looked at.
        pause_s: what goes on after a pause of at most so many seconds, or is heard by another sensor, is one
            occurrence.
    """

    def __init__(
        self, store: SourceStore, casebook: Casebook, places: Places, history_days: float, pause_s: float
    ) -> None:
        self._store = store
        self._casebook = casebook
        self._zone = places.timezone
        self._history = timedelta(days=min(history_days, LONGEST_DAYS))
        self._pause_ms = round(pause_s * 1000)

    def episodes(self, source: str, now: datetime) -> list[Episode]:
        """Episodes of a source, at most `MOST`, the newest first.

        Raises:
            Unavailable: the store is away.
        """
        return self._store.episodes(source, limit=MOST, before_ms=ms_of(now) + 1, since_ms=ms_of(now - self._history))

    def pattern(self, source: str, now: datetime) -> Pattern:
        """How often, when and how regularly a source is heard, and when it is likely next.

        Args:
            source: its id.
            now: what comes later is not looked at.

        Raises:
            Unavailable: the store is away.
        """
        return self.pattern_of(self.episodes(source, now), now)

    def pattern_of(self, episodes: Sequence[Episode], now: datetime) -> Pattern:
        """The pattern of some episodes; hours in which none of their sensors was heard are unknown.

        Raises:
            Unavailable: the store is away.
        """
        since_ms, now_ms = ms_of(now - self._history), ms_of(now)
        places = sorted({episode.place for episode in episodes})
        hours = [self._casebook.heard_hours(place, since_ms, now_ms) for place in places]
        heard: npt.NDArray[np.int64] = reduce(np.union1d, hours, np.empty(0, dtype=np.int64))
        return pattern(merged(_spans(episodes), self._pause_ms), heard, now, self._zone)

    def days_of(self, episodes: Sequence[Episode]) -> dict[date, float]:
        """Hours of each local day, in [0, 24], in which some episodes were heard."""
        return hours_by_day(merged(_spans(episodes), 0), self._zone)


def _spans(episodes: Sequence[Episode]) -> list[Span]:
    return [Span(episode.opened_ms, episode.last_ms) for episode in episodes]

"""The recurrence of a category at a place, computed from its stored episodes."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hub.domain.alert_state import RecurrenceKey
from hub.domain.corrections import Corrections
from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.recurrence.analysis import RecurrenceSummary, summarise
from hub.domain.recurrence.attribution import attributable_fraction
from hub.domain.recurrence.history import Interval
from hub.domain.sensor_map import SensorMap
from hub.store.episodes import EpisodeStore
from shared.taxonomy import CATEGORIES

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_SHORTEST_MS: Final = 2 * _DAY_MS
"""No recurrence is found in less."""
_KEPT: Final = 8_192
"""Probabilities of recurrence that are kept between batches."""
LONGEST_DAYS: Final = 366.0
"""Older episodes do not count."""
MAX_EPISODES: Final = 2_000
"""Most episodes that are read, the newest ones."""
PAUSE_S: Final = 1_800.0
"""Longest pause within an occurrence, unless another is given."""


class RecurrenceCache:
    """The probability that a detection recurs; computed once an hour of event time for each place and category.

    Args:
        episode_store: where episodes are.
        places: for the time zone.
        history_days: age of the oldest episodes that count, in days.
    """

    def __init__(self, episode_store: EpisodeStore, places: SensorMap, history_days: float) -> None:
        self._episode_store = episode_store
        self._zone = places.timezone
        self._history_ms = round(min(history_days, LONGEST_DAYS) * _DAY_MS)
        self._known: dict[RecurrenceKey, float] = {}

    @property
    def known(self) -> Mapping[RecurrenceKey, float]:
        """A read-only view of the probabilities that are loaded, in [0, 1]."""
        return MappingProxyType(self._known)

    def load(self, wanted: Iterable[RecurrenceKey]) -> None:
        """Load probabilities; of each, only episodes that opened before its hour count.

        The other categories of the same place are loaded, too, if they are too young to recur.

        Raises:
            UnavailableError: the store is away.
        """
        for place, category, hour in wanted:
            if (place, category, hour) in self._known:
                continue
            openings = self._episode_store.first_openings(place)
            for other in CATEGORIES:
                first_ms = openings.get(other)
                if first_ms is None or hour * _HOUR_MS - first_ms < _SHORTEST_MS:
                    self._known[place, other, hour] = 0.0
            if (place, category, hour) not in self._known:
                self._known[place, category, hour] = self._computed(place, category, hour)

    def trim(self) -> None:
        """Forget the probabilities that were loaded first, if there are many."""
        if len(self._known) > _KEPT:
            self._known = dict(list(self._known.items())[-_KEPT // 2 :])

    def _computed(self, place: str, category: str, hour: int) -> float:
        at_ms = hour * _HOUR_MS
        since_ms = at_ms - self._history_ms
        episodes = self._episode_store.episodes(
            limit=MAX_EPISODES, before_ms=at_ms, since_ms=since_ms, place=place, category=category
        )
        hours = self._episode_store.active_hours(place, since_ms, at_ms)
        now = datetime.fromtimestamp(at_ms / 1000, UTC)
        return attributable_fraction([Interval(e.opened_ms, e.last_ms) for e in episodes], hours, now, self._zone)


class RecurrenceService:
    """Computes the recurrence of episodes.

    Args:
        episode_store: where episodes are.
        places: for the time zone.
        history_days: age of the oldest episodes that count, in days.
        pause_s: longest pause within an occurrence, in seconds.
    """

    def __init__(
        self, episode_store: EpisodeStore, places: SensorMap, history_days: float, pause_s: float = PAUSE_S
    ) -> None:
        self._episode_store = episode_store
        self._places = places
        self._pause_ms = round(pause_s * 1000)
        self._history = timedelta(days=min(history_days, LONGEST_DAYS))

    def pattern(self, place: str, category: str, now: datetime) -> RecurrenceSummary:
        """Return how often, when and how regularly a category is detected at a place, and when it is likely next.

        Verdicts that correct the category of an episode count.

        Args:
            place: `site/sensor`.
            category: of the taxonomy.
            now: later episodes do not count.

        Raises:
            UnavailableError: the store is away.
        """
        return self.patterns([(place, category, now)])[0]

    def patterns(
        self, asked: Sequence[tuple[str, str, datetime]], *, tests_forecasts: bool = True
    ) -> list[RecurrenceSummary]:
        """Return `pattern` of several places, categories and times; what they share is read once.

        Args:
            asked: place, category and time of each.
            tests_forecasts: whether to test earlier forecasts, which takes most of the time.

        Raises:
            UnavailableError: the store is away.
        """
        times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for place, category, now in asked:
            times[place, category].append(now)
        hours = ActiveHours(self._episode_store, [now for _, _, now in asked], self._history)
        corrections = self._episode_store.corrections()
        spans = {
            (place, category): spans_of(self._episodes(place, category, (min(nows), max(nows)), corrections))
            for (place, category), nows in times.items()
        }
        return [
            summarise(
                known_by(spans[place, category], now, self._history),
                hours.of(place, now),
                now,
                self._places.timezone,
                self._pause_ms,
                tests_forecasts=tests_forecasts,
            )
            for place, category, now in asked
        ]

    def days(self, place: str, category: str, now: datetime) -> dict[date, float]:
        """Return the hours of each local day, in (0, 24], in which a category was detected at a place."""
        corrections = self._episode_store.corrections()
        episodes = self._episodes(place, category, (now, now), corrections)
        return hours_by_day(spans_of(episodes), self._places.timezone)

    def observed_days(self, places: Iterable[str], now: datetime) -> set[date]:
        """Return the local days on which any of some sensors sent events.

        Raises:
            UnavailableError: the store is away.
        """
        hours = ActiveHours(self._episode_store, [now], self._history)
        found = {hour for place in places for hour in hours.of(place, now).tolist()}
        return {datetime.fromtimestamp(hour * 3_600, self._places.timezone).date() for hour in found}

    def _episodes(
        self, place: str, category: str, times: tuple[datetime, datetime], corrections: Corrections
    ) -> Sequence[Episode]:
        since_ms, before_ms = to_ms(times[0] - self._history), to_ms(times[1]) + 1
        found = self._episode_store.episodes(
            limit=MAX_EPISODES, before_ms=before_ms, since_ms=since_ms, place=place, category=category
        )
        return corrections.of(found, category, since_ms=since_ms, before_ms=before_ms, place=place)


class ActiveHours:
    """Hours in which sensors were online, each sensor's read once.

    Args:
        episode_store: where they are.
        times: for which hours are asked.
        history: how far back they are looked at.
    """

    def __init__(self, episode_store: EpisodeStore, times: Sequence[datetime], history: timedelta) -> None:
        self._episode_store = episode_store
        self._history = history
        self._range_ms = (to_ms(min(times) - history), to_ms(max(times))) if times else (0, 0)
        self._read: dict[str, npt.NDArray[np.int64]] = {}

    def of(self, place: str, now: datetime) -> npt.NDArray[np.int64]:
        """Return the hours since 1970 UTC up to one of the times: int64 [n], rising.

        Raises:
            UnavailableError: the store is away.
        """
        if place not in self._read:
            self._read[place] = self._episode_store.active_hours(place, *self._range_ms)
        hours = self._read[place]
        since, until = to_ms(now - self._history) // _HOUR_MS, to_ms(now) // _HOUR_MS
        return hours[np.searchsorted(hours, since) : np.searchsorted(hours, until, "right")]


def spans_of(episodes: Sequence[Episode]) -> list[Interval]:
    """Return when episodes, the newest first, were: the oldest first."""
    return [Interval(episode.opened_ms, episode.last_ms) for episode in reversed(episodes)]


def known_by(spans: Sequence[Interval], now: datetime, history: timedelta) -> Sequence[Interval]:
    """Return those of some spans, the oldest first, that opened by a time and not before the history."""
    since_ms, now_ms = to_ms(now - history), to_ms(now)
    start = bisect_left(spans, since_ms, key=lambda span: span.opened_ms)
    return spans[start : bisect_right(spans, now_ms, key=lambda span: span.opened_ms)]


def hours_by_day(spans: Iterable[Interval], zone: ZoneInfo) -> dict[date, float]:
    """Return the hours of each local day, in [0, 24], that some spans last."""
    made: dict[date, float] = {}
    for span in spans:
        at = datetime.fromtimestamp(span.opened_ms / 1000, zone)
        end = datetime.fromtimestamp(span.last_ms / 1000, zone)
        while at < end:
            midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), at.tzinfo)
            until = min(end, midnight)
            hours = (until - at).total_seconds() / 3600
            made[at.date()] = min(24.0, made.get(at.date(), 0.0) + hours)
            at = until
    return dict(sorted(made.items()))

"""Episodes, the state of sensors, and the hours in which sensors were online."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
import redis

from hub.domain.corrections import Correction, Corrections
from hub.domain.episodes import ActiveAlert, Episode, SensorState
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.episode_batch import EpisodeBatch, StateCache, first_hour, year_of
from hub.store.episode_rows import decode_episode_or_id, decode_state, encode_state
from hub.store.events import EventStore
from hub.store.sensor_history import expire_traces
from hub.store.site_thresholds import SiteThresholds
from hub.store.verdicts import VerdictStore
from shared.taxonomy import CATEGORIES

_HOUR_MS: Final = 3_600_000
_PAGE: Final = 256


class EpisodeStore:
    """Episodes in the archive's store; safe to use from several threads.

    Args:
        archive: whose store is used.
    """

    def __init__(self, archive: EventStore) -> None:
        self._archive = archive
        self._redis = archive.client
        self._rows = archive.rows
        self._committed: StateCache = {}
        self.thresholds = SiteThresholds(archive)
        self.verdicts = VerdictStore(archive)

    @contextmanager
    def batch(self) -> Iterator[EpisodeBatch]:
        """Open a batch of events: load what it needs, and commit what it changed; see `EpisodeBatch`."""
        with self._redis.pipeline(transaction=True) as pipe:
            yield EpisodeBatch(self._archive, pipe, self._committed)

    def muted(self, places: Iterable[str]) -> set[str]:
        """Return those of some sensors that raise no alert, as operators set on their pages.

        Raises:
            UnavailableError: the store is away.
        """
        return self._archive.sensors.muted(places)

    @raises_unavailable
    def sensor_states(self, places: Sequence[str]) -> dict[str, SensorState]:
        """Return the state of some sensors by place."""
        rows = self._redis.mget([keys.recent(place) for place in places]) if places else []
        return {place: self._state_from(place, row) for place, row in zip(places, rows, strict=True)}

    def _state_from(self, place: str, row: bytes | None) -> SensorState:
        return self._rows.read("recent", place, decode_state, row) or SensorState()

    @raises_unavailable
    def episode(self, name: str) -> Episode | None:
        """Return an episode by its id, or by the id of one that became a part of it; None if there is none."""
        row = self._rows.read("episode", name, decode_episode_or_id, self._redis.get(keys.episode(name)))
        return self.episode(row) if isinstance(row, str) else row

    @raises_unavailable
    def episodes(
        self,
        *,
        limit: int = 50,
        before_ms: int | None = None,
        since_ms: int | None = None,
        place: str | None = None,
        category: str | None = None,
    ) -> list[Episode]:
        """Return the newest episodes, newest first.

        Args:
            limit: most episodes returned.
            before_ms: only those opened before this time.
            since_ms: only those opened at this time or later.
            place: only those of this `site/sensor`.
            category: only those of this category.
        """
        upper = "+inf" if before_ms is None else f"({before_ms}"
        lower = "-inf" if since_ms is None else str(since_ms)
        if place is not None and category is not None:
            ids = self._redis.zrevrangebyscore(keys.episodes_of(place, category), upper, lower, start=0, num=limit)
            return self._episodes([name.decode() for name in ids])
        chosen: list[Episode] = []
        start = 0
        while len(chosen) < limit:
            ids = self._redis.zrevrangebyscore(keys.EPISODES, upper, lower, start=start, num=_PAGE)
            if not ids:
                break
            start += len(ids)
            chosen += [
                episode
                for episode in self._episodes([name.decode() for name in ids])
                if place in {None, episode.place} and category in {None, episode.category}
            ]
        return chosen[:limit]

    @raises_unavailable
    def standing(self, names: Sequence[str]) -> dict[str, Episode | str]:
        """Return episodes as they are now, or the id of the one that an episode became a part of.

        Args:
            names: ids of episodes; those that were removed are missing in the result.
        """
        rows = self._redis.mget([keys.episode(name) for name in names]) if names else []
        read = {
            n: self._rows.read("episode", n, decode_episode_or_id, row) for n, row in zip(names, rows, strict=True)
        }
        return {name: row for name, row in read.items() if row is not None}

    def present(self, names: Sequence[str]) -> dict[str, Episode]:
        """Return episodes by id, or those that they became a part of; those that were removed are missing."""
        found: dict[str, Episode | None] = {
            name: self.episode(now) if isinstance(now, str) else now for name, now in self.standing(names).items()
        }
        return {name: episode for name, episode in found.items() if episode is not None}

    def corrections(self) -> Corrections:
        """Return the corrections of episodes by verdicts; those of removed episodes are missing.

        Raises:
            UnavailableError: the store is away.
        """
        categories = self.verdicts.corrected_episodes()
        present = self.present([*categories])
        return Corrections({one.id: Correction(one, categories[name]) for name, one in present.items()})

    def _episodes(self, ids: Sequence[str]) -> list[Episode]:
        rows = self._redis.mget([keys.episode(name) for name in ids]) if ids else []
        read = (
            self._rows.read("episode", name, decode_episode_or_id, row) for name, row in zip(ids, rows, strict=True)
        )
        return [row for row in read if isinstance(row, Episode)]  # else it was merged after its id was read

    @raises_unavailable
    def first_openings(self, place: str) -> dict[str, int]:
        """Return when the oldest episode of each category at a place opened; a category without one is missing."""
        pipe = self._redis.pipeline(transaction=False)
        for category in CATEGORIES:
            pipe.zrange(keys.episodes_of(place, category), 0, 0, withscores=True)
        return {category: int(rows[0][1]) for category, rows in zip(CATEGORIES, pipe.execute(), strict=True) if rows}

    @raises_unavailable
    def active_hours(self, place: str, since_ms: int, until_ms: int) -> npt.NDArray[np.int64]:
        """Return the hours since 1970 UTC, between two times, with events of a sensor: int64 [n], rising."""
        years = range(year_of(since_ms), max(year_of(since_ms), year_of(until_ms)) + 1)
        rows = self._redis.mget([keys.active_hours_bitmap(place, year) for year in years])
        bits = (np.unpackbits(np.frombuffer(row or b"", dtype=np.uint8)) for row in rows)
        hours = np.concatenate(
            [np.flatnonzero(of_year) + first_hour(year) for year, of_year in zip(years, bits, strict=True)]
        ).astype(np.int64)
        return hours[(hours >= since_ms // _HOUR_MS) & (hours <= until_ms // _HOUR_MS)]

    @raises_unavailable
    def sites(self) -> list[str]:
        """Return all sites with events, by name."""
        return sorted(name.decode() for name in self._redis.smembers(keys.SITES))

    @raises_unavailable
    def observed_range(self, site: str) -> tuple[int, int] | None:
        """Return the times of a site's first and newest event, ms since 1970 UTC; None without events."""
        first, newest = self._redis.zmscore(keys.site_span(site), ["first", "newest"])
        before = self._redis.hmget(keys.legacy_site_span(site), "first_ms", "newest_ms")
        firsts = [int(at) for at in (first, before[0]) if at is not None]
        if not firsts:
            return None
        return min(firsts), int(newest if newest is not None else before[1])

    def suppress(self, place: str, category: str, alert: ActiveAlert) -> None:
        """Raise no alert of a category at a place for a span of time: its episodes then belong to `alert`."""
        self._change_state(place, lambda state: state.calls.update({category: alert}))

    def end_suppression(self, place: str, category: str, alert: str) -> None:
        """Let a category raise alerts at a place again; that of a later alert stays."""

        def end(state: SensorState) -> None:
            call = state.calls.get(category)
            if call is not None and call.alert == alert:
                del state.calls[category]

        self._change_state(place, end)

    @raises_unavailable
    def _change_state(self, place: str, change: Callable[[SensorState], None]) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(keys.recent(place))
                    state = self._state_from(place, pipe.get(keys.recent(place)))
                    change(state)
                    pipe.multi()
                    pipe.set(keys.recent(place), encode_state(state))
                    pipe.execute()
                except redis.WatchError:
                    continue
                return

    @raises_unavailable
    def expire(self, before_ms: int) -> int:
        """Remove one batch of the episodes opened before a time; call again until it returns 0."""
        ids = self._due(before_ms)
        with self._redis.pipeline(transaction=False) as pipe:  # a full store refuses transactions
            for episode in self._episodes(ids):
                pipe.zrem(keys.episodes_of(episode.place, episode.category), episode.id)
            for name in ids:
                pipe.delete(keys.episode(name))
                pipe.zrem(keys.EPISODES, name)
            pipe.execute()
        return len(ids)

    @raises_unavailable
    def expire_traces(self, before_ms: int) -> None:
        """Remove all traces of clips from before a time."""
        places = [name.decode() for name in self._redis.smembers(keys.SENSORS)]
        for start in range(0, len(places), _PAGE):
            pipe = self._redis.pipeline(transaction=False)
            for place in places[start : start + _PAGE]:
                for category in CATEGORIES:
                    expire_traces(pipe, place, category, before_ms)
            pipe.execute()

    def _due(self, before_ms: int) -> list[str]:
        """Return the oldest episodes from before a time, without those of late events, which are kept for longer."""
        start = 0
        while ids := self._redis.zrangebyscore(keys.EPISODES, "-inf", f"({before_ms}", start, _PAGE):
            names = [name.decode() for name in ids]
            received = self._redis.zmscore(keys.LATE, [name.rpartition(".")[0] for name in names])
            if due := [name for name, at in zip(names, received, strict=True) if at is None or at < before_ms]:
                return due
            start += len(ids)
        return []

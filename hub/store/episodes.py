"""The casebook: episodes, what each sensor did lately, and each site's thresholds, in the store beside the archive.

A batch of events is concluded in one transaction: what is told of their episodes, their alerts, and that they are
done with. It fails, and is judged again, if another hub changed one of these sensors meanwhile: so that an episode
has one alert, whichever hubs take its clips.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from pydantic_core import from_json, to_json

from hub.domain.alert_offers import Offers, offers_of
from hub.domain.episodes import ActiveAlert, Episode, SensorState, recent_document, recent_of
from hub.domain.named_returns import NameLog
from hub.domain.named_sounds import NamedSound
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_history import History
from hub.domain.thresholds import Threshold
from hub.store import keys
from hub.store.events import EventStore, translated
from hub.store.name_returns import name_log, queue_names
from hub.store.sensor_history import (
    checked,
    episode_from,
    expire_traces,
    load,
    queue,
)
from shared.messages import AlertMessage
from shared.taxonomy import CATEGORIES

_HOUR_MS: Final = 3_600_000
_BATCH: Final = 256
_OTHERS_KEPT: Final = 1_000
_WRITTEN_KEPT: Final = 5_000
"""Sensors whose recent past this process remembers."""
_AHEAD_MS: Final = 600_000
"""What lies so far ahead of the present is of a clock that was wrong."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What came of an event: its episodes as they are now, its alert, and the named sound that it is."""

    event: StoredEvent
    episodes: Sequence[Episode]
    alert: AlertMessage | None
    sound: NamedSound | None = None


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch of events is judged by.

    Attributes:
        recents: of each sensor of the batch, to be changed, and of others that were looked at.
        thresholds: of each site, by category; where a site has learnt none, there is none.
        others: of each site, when it had its latest alerts about what belongs to no rhythm, to be added to.
        offers: to the budget of each site, to be changed.
        look: what another sensor did lately, as it is now.
        history: earlier episodes, for clips that come late; to be changed.
        names: returns of named sounds; to be changed.
    """

    recents: dict[str, SensorState]
    thresholds: dict[str, dict[str, float]]
    others: dict[str, list[int]]
    offers: dict[str, Offers]
    look: Callable[[str], SensorState] = field(default=lambda _place: SensorState())
    history: History = field(default_factory=History)
    names: NameLog = field(default_factory=NameLog)


DetectFn = Callable[[BatchContext], Sequence[Detection]]


class EpisodeStore:
    """Episodes and thresholds, in the archive's store; safe to use from several threads.

    Args:
        archive: whose store is used.
    """

    def __init__(self, archive: EventStore) -> None:
        self._archive = archive
        self._redis = archive.client
        self._rows = archive.rows
        self._written: dict[str, tuple[bytes, SensorState]] = {}
        """What sensors did lately as this process wrote it, with its row: it need not be read from an equal row."""

    @translated
    def update(self, events: Sequence[StoredEvent], judge: DetectFn) -> Sequence[Detection]:
        """Judge a batch of events, and keep what comes of it: all of it or nothing.

        Args:
            events: of the batch.
            judge: called with what is known, again if that changed meanwhile.

        Raises:
            Unavailable: the store is away; nothing is known of what was kept, and concluding again is safe.
        """
        places = sorted({event.place for event in events})
        sites = sorted({event.site for event in events})
        told_ms = max((to_ms(max(event.received_at, event.captured_at)) for event in events), default=0)
        now_ms = max(told_ms, round(time.time() * 1000)) + _AHEAD_MS
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    opened = self._opened(pipe, places, sites)
                    for recent in opened.recents.values():
                        recent.forget_after(now_ms)
                    for offers in opened.offers.values():
                        offers.forget_after(now_ms)
                    before = {site: len(times) for site, times in opened.others.items()}
                    conclusions = judge(opened)
                    pipe.multi()
                    recents = _write_batch(pipe, conclusions, opened, places)
                    for site, times in opened.others.items():
                        if len(times) > before[site]:
                            pipe.set(keys.other_alerts(site), to_json(sorted(times)[-_OTHERS_KEPT:]))
                    for site, offers in opened.offers.items():
                        if offers.changed:
                            pipe.set(keys.alert_offers(site), to_json(offers.document()))
                    self._archive.pipeline_mark_processed(pipe, [(c.event.id, c.alert) for c in conclusions])
                    pipe.execute()
                except redis.WatchError:
                    continue
                if len(self._written) > _WRITTEN_KEPT:
                    self._written.clear()
                self._written |= {place: (row, opened.recents[place]) for place, row in recents.items()}
                return conclusions

    def _opened(self, pipe: Any, places: Sequence[str], sites: Sequence[str]) -> BatchContext:  # noqa: ANN401 - untyped
        """What a batch is judged by, watched from now on."""
        watched = [keys.recent(place) for place in places]
        watched += [key(site) for key in (keys.other_alerts, keys.alert_offers) for site in sites]
        pipe.watch(*watched)
        rows = iter(pipe.mget([*watched, *(keys.thresholds(site) for site in sites)]))
        recents = {place: self._taken_up(place, next(rows)) for place in places}
        others = {site: self._rows.read("others", site, _others_of, next(rows)) or [] for site in sites}
        offers = {site: self._rows.read("offers", site, _offers_of, next(rows)) or Offers() for site in sites}

        def look(place: str) -> SensorState:
            if place not in recents:
                pipe.watch(keys.recent(place))
                recents[place] = self._recent_from(place, pipe.get(keys.recent(place)))
            return recents[place]

        learnt = {site: self._thresholds_from(site, next(rows)) for site in sites}
        values = {site: {name: own.value for name, own in known.items()} for site, known in learnt.items()}
        history = History(partial(load, pipe, self._rows))
        return BatchContext(recents, values, others, offers, look, history, name_log(pipe, self._rows))

    @translated
    def sensor_states(self, places: Sequence[str]) -> dict[str, SensorState]:
        """What some sensors did lately."""
        rows = self._redis.mget([keys.recent(place) for place in places]) if places else []
        return {place: self._recent_from(place, row) for place, row in zip(places, rows, strict=True)}

    def _taken_up(self, place: str, row: bytes | None) -> SensorState:
        """What a sensor did lately, to be changed."""
        written, recent = self._written.pop(place, (None, None))
        return recent if recent is not None and written == row else self._recent_from(place, row)

    def _recent_from(self, place: str, row: bytes | None) -> SensorState:
        """What a sensor did lately; nothing if that cannot be read."""
        return self._rows.read("recent", place, _recent_of, row) or SensorState()

    @translated
    def episode(self, name: str) -> Episode | None:
        """One episode, or None."""
        found = self._rows.read("episode", name, _episode_or_name, self._redis.get(keys.episode(name)))
        return self.episode(found) if isinstance(found, str) else found

    @translated
    def episodes(
        self,
        *,
        limit: int = 50,
        before_ms: int | None = None,
        since_ms: int | None = None,
        place: str | None = None,
        category: str | None = None,
    ) -> list[Episode]:
        """The newest episodes, newest first.

        Args:
            limit: most episodes returned.
            before_ms: only those opened before this.
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
            ids = self._redis.zrevrangebyscore(keys.EPISODES, upper, lower, start=start, num=_BATCH)
            if not ids:
                break
            start += len(ids)
            chosen += [
                episode
                for episode in self._episodes([name.decode() for name in ids])
                if place in {None, episode.place} and category in {None, episode.category}
            ]
        return chosen[:limit]

    @translated
    def standing(self, names: Sequence[str]) -> dict[str, Episode | str]:
        """Episodes as they are now, or the name of the one that they became a part of; those gone are missing."""
        rows = self._redis.mget([keys.episode(name) for name in names]) if names else []
        read = {n: self._rows.read("episode", n, _episode_or_name, row) for n, row in zip(names, rows, strict=True)}
        return {name: one for name, one in read.items() if one is not None}

    def _episodes(self, ids: Sequence[str]) -> list[Episode]:
        rows = self._redis.mget([keys.episode(name) for name in ids]) if ids else []
        read = (self._rows.read("episode", name, _episode_or_name, row) for name, row in zip(ids, rows, strict=True))
        return [one for one in read if isinstance(one, Episode)]  # else it was merged after its id was read

    @translated
    def first_opened_ms(self, place: str, category: str) -> int | None:
        """When the oldest episode of a category at a place opened; None if there is none."""
        rows = self._redis.zrange(keys.episodes_of(place, category), 0, 0, withscores=True)
        return int(rows[0][1]) if rows else None

    @translated
    def active_hours(self, place: str, since_ms: int, until_ms: int) -> npt.NDArray[np.int64]:
        """Hours since 1970 UTC in which a sensor was heard, between two times: int64 [n], rising."""
        years = range(_year(since_ms), max(_year(since_ms), _year(until_ms)) + 1)
        rows = self._redis.mget([keys.heard_hours(place, year) for year in years])
        bits = (np.unpackbits(np.frombuffer(row or b"", dtype=np.uint8)) for row in rows)
        hours = np.concatenate(
            [np.flatnonzero(own) + _first_hour(year) for year, own in zip(years, bits, strict=True)]
        ).astype(np.int64)
        return hours[(hours >= since_ms // _HOUR_MS) & (hours <= until_ms // _HOUR_MS)]

    @translated
    def sites(self) -> list[str]:
        """All sites that were ever heard, by name."""
        return sorted(name.decode() for name in self._redis.smembers(keys.SITES))

    @translated
    def observed_range(self, site: str) -> tuple[int, int] | None:
        """When a site was first and last heard, ms since 1970 UTC; None if never."""
        first, newest = self._redis.zmscore(keys.site_span(site), ["first", "newest"])
        before = self._redis.hmget(keys.legacy_site_span(site), "first_ms", "newest_ms")
        firsts = [int(at) for at in (first, before[0]) if at is not None]
        if not firsts:
            return None
        return min(firsts), int(newest if newest is not None else before[1])

    @translated
    def match_probabilities(self, site: str, since_ms: int, apart_ms: int) -> dict[str, list[float]]:
        """Likeness of a site's happenings since a time, by category, where it is `FLOOR` or more.

        Episodes of one sensor that opened at most `apart_ms` after each other are one happening, as like as the
        likest: they would have had one alert. What is from before that time is forgotten.
        """
        made: dict[str, list[float]] = {}
        for category in CATEGORIES:
            key = keys.match_probabilities(site, category)
            rows = [(name, *value.split(b":")) for name, value in self._redis.hgetall(key).items()]
            kept = [(_sensor_of(name), int(at), float(best)) for name, at, best in rows if int(at) >= since_ms]
            made[category] = merge_within_cooldown(kept, apart_ms)
            if old := [name for name, at, _ in rows if int(at) < since_ms]:
                self._redis.hdel(key, *old)
        return made

    @translated
    def thresholds(self, site: str) -> dict[str, Threshold]:
        """What a site has learnt, by category; nothing if it has not yet."""
        row = self._redis.get(keys.thresholds(site))
        return self._thresholds_from(site, row)

    def _thresholds_from(self, site: str, row: bytes | None) -> dict[str, Threshold]:
        """What a site has learnt; nothing if that cannot be read."""
        return self._rows.read("thresholds", site, _learnt_of, row) or {}

    @translated
    def set_thresholds(self, site: str, learnt: Mapping[str, Threshold]) -> None:
        """Put thresholds to use, from the next event on."""
        self._redis.set(keys.thresholds(site), to_json({name: own.to_json() for name, own in learnt.items()}))

    @translated
    def suppress(self, place: str, category: str, alert: str, from_ms: int, until_ms: int) -> None:
        """Raise no alert of a category at a place for a while: what is heard then belongs to `alert`."""
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(keys.recent(place))
                    recent = self._recent_from(place, pipe.get(keys.recent(place)))
                    recent.calls[category] = ActiveAlert(alert, from_ms, until_ms)
                    pipe.multi()
                    pipe.set(keys.recent(place), to_json(recent_document(recent)))
                    pipe.execute()
                except redis.WatchError:
                    continue
                return

    @translated
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

    @translated
    def expire_traces(self, before_ms: int) -> None:
        """Remove all traces of clips from before a time."""
        places = [name.decode() for name in self._redis.smembers(keys.SENSORS)]
        for start in range(0, len(places), _BATCH):
            pipe = self._redis.pipeline(transaction=False)
            for place in places[start : start + _BATCH]:
                for category in CATEGORIES:
                    expire_traces(pipe, place, category, before_ms)
            pipe.execute()

    def _due(self, before_ms: int) -> list[str]:
        """The oldest episodes from before a time, less those of events that came late and are kept for longer."""
        start = 0
        while ids := self._redis.zrangebyscore(keys.EPISODES, "-inf", f"({before_ms}", start, _BATCH):
            names = [name.decode() for name in ids]
            received = self._redis.zmscore(keys.LATE, [name.rpartition(".")[0] for name in names])
            if due := [name for name, at in zip(names, received, strict=True) if at is None or at < before_ms]:
                return due
            start += len(ids)
        return []


def merge_within_cooldown(episodes: Iterable[tuple[bytes, int, float]], apart_ms: int) -> list[float]:
    """The highest likeness of each run of episodes, given as sensor, opening time and likeness."""
    made: list[float] = []
    last: tuple[bytes, int] | None = None
    for sensor, at, match_probability in sorted(episodes):
        if last is not None and last[0] == sensor and at - last[1] <= apart_ms:
            made[-1] = max(made[-1], match_probability)
        else:
            made.append(match_probability)
        last = (sensor, at)
    return made


def _sensor_of(episode: bytes) -> bytes:
    return episode.rsplit(b".", 3)[0]


def _write_batch(
    pipe: Any,  # noqa: ANN401 - the client is untyped
    conclusions: Sequence[Detection],
    opened: BatchContext,
    places: Sequence[str],
) -> dict[str, bytes]:
    """Queue what is to be kept, in few commands, for each costs more than what it carries; return rows of sensors."""
    for conclusion in conclusions:
        _queue_hour(pipe, conclusion.event, opened.recents[conclusion.event.place])
    queue(pipe, opened.history)
    queue_names(pipe, opened.names)
    if due := _due_for_sources(conclusions, opened.history):
        pipe.zadd(keys.SOURCES_DUE, due)
    recents = {place: to_json(recent_document(opened.recents[place])) for place in places}
    pipe.mset({keys.recent(place): row for place, row in recents.items()})
    times: dict[str, list[int]] = {}
    for conclusion in conclusions:
        times.setdefault(conclusion.event.site, []).append(to_ms(conclusion.event.captured_at))
    for site, own in times.items():
        pipe.sadd(keys.SITES, site)
        pipe.zadd(keys.site_span(site), {"first": min(own)}, lt=True)
        pipe.zadd(keys.site_span(site), {"newest": max(own)}, gt=True)
    return recents


def _due_for_sources(conclusions: Sequence[Detection], history: History) -> dict[str, int]:
    """Episodes whose identity, opening or name changed, with their opening, ms: their source is to be found anew."""
    due = {name: episode.opened_ms for name, episode in history.merged.items()}
    for conclusion in conclusions:
        for episode in conclusion.episodes:
            clearer = episode.peak_event == str(conclusion.event.id)
            if clearer or episode.id in history.moved or episode.id in history.into.values():
                due[episode.id] = episode.opened_ms
    return due


def _queue_hour(pipe: Any, event: StoredEvent, recent: SensorState) -> None:  # noqa: ANN401 - the client is untyped
    """Note the hour in which a sensor was heard, once."""
    at = to_ms(event.captured_at)
    if at // _HOUR_MS != recent.hour:
        recent.hour = at // _HOUR_MS
        year = _year(at)
        pipe.setbit(keys.heard_hours(event.place, year), recent.hour - _first_hour(year), 1)


def _episode_or_name(row: bytes) -> Episode | str:
    """An episode, or the name of the one that it became a part of."""
    name = from_json(row)
    return name if isinstance(name, str) else episode_from(row)


def _recent_of(row: bytes) -> SensorState:
    recent = recent_of(from_json(row))
    for episode in itertools.chain.from_iterable(recent.episodes.values()):
        checked(episode)
    return recent


def _others_of(row: bytes) -> list[int]:
    return [int(ms) for ms in from_json(row)]


def _offers_of(row: bytes) -> Offers:
    return offers_of(from_json(row))


def _learnt_of(row: bytes) -> dict[str, Threshold]:
    """Thresholds as they were kept; what a newer version adds is ignored."""
    known = {one.name for one in fields(Threshold)}
    learnt = {
        name: Threshold(**{key: value for key, value in own.items() if key in known})
        for name, own in from_json(row).items()
    }
    if not all(isinstance(value, int | float) for own in learnt.values() for value in astuple(own)):
        raise TypeError("a threshold that is not made of numbers")
    return learnt


def _year(ms: int) -> int:
    return datetime.fromtimestamp(ms / 1000, UTC).year


def _first_hour(year: int) -> int:
    """Of a year, in hours since 1970 UTC."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 3600

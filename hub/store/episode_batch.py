"""State that a batch of events needs and changes: load, and commit in one transaction.

The keys of what is loaded are watched. A commit fails if another hub changed one of them meanwhile. So an episode has
one alert, whichever hubs take its clips.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import redis

from hub.domain.alert_offers import Offers
from hub.domain.alert_pricing import Budget
from hub.domain.alert_state import AlertState, RecurrenceKey
from hub.domain.detection import Detection
from hub.domain.episodes import SensorState
from hub.domain.named_returns import NameLog
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_history import History, Span
from hub.store import keys
from hub.store.budget_rows import decode_alert_times, decode_offers, encode_alert_times, encode_offers
from hub.store.client import raises_unavailable
from hub.store.episode_rows import decode_state, encode_state
from hub.store.events import EventStore
from hub.store.name_returns import load_returns, queue_names
from hub.store.sensor_history import load_spans, queue
from hub.store.site_thresholds import thresholds_from

_ALERTS_KEPT: Final = 1_000
"""Times of alerts of a site's budget that are kept."""
_STATES_KEPT: Final = 5_000
"""Sensors whose state this process remembers."""
_AHEAD_MS: Final = 600_000
"""Time ahead of the present, ms, above which a row is from a clock that was wrong."""
_HOUR_MS: Final = 3_600_000

StateCache = dict[str, tuple[bytes, SensorState]]
"""The state of sensors as this process committed it, with its row: an equal row need not be parsed."""


class EpisodeBatch:
    """One batch of events in the store; not safe to use from several threads.

    Args:
        archive: whose store is used.
        pipe: a pipeline that is a transaction; it holds the watches.
        cache: states that this process committed.
    """

    def __init__(self, archive: EventStore, pipe: Any, cache: StateCache) -> None:  # noqa: ANN401 - untyped
        self._archive = archive
        self._rows = archive.rows
        self._pipe = pipe
        self._cache = cache
        self._now_ms = 0
        self._places: list[str] = []
        self._loaded = AlertState()

    @raises_unavailable
    def load(
        self,
        events: Sequence[StoredEvent],
        recurrence: Mapping[RecurrenceKey, float],
        named: Mapping[str, Collection[str]],
    ) -> AlertState:
        """Watch and return what a batch of events needs in any case.

        Args:
            events: of the batch.
            recurrence: known probabilities of recurrence; passed on.
            named: ids of named sounds whose returns are needed, by place; these sensors are watched, too.

        Raises:
            UnavailableError: the store is away.
        """
        self._places = sorted({event.place for event in events})
        sites = sorted({event.site for event in events})
        newest_ms = max((to_ms(max(event.received_at, event.captured_at)) for event in events), default=0)
        self._now_ms = max(newest_ms, round(time.time() * 1000)) + _AHEAD_MS
        places = sorted({*self._places, *named})
        watched = [keys.recent(place) for place in places]
        watched += [key(site) for key in (keys.other_alerts, keys.alert_offers) for site in sites]
        self._pipe.watch(*watched)
        rows = iter(self._pipe.mget([*watched, *(keys.thresholds(site) for site in sites)]))
        sensors = {place: self._state_from(place, next(rows)) for place in places}
        alerts = {site: self._rows.read("others", site, decode_alert_times, next(rows)) or () for site in sites}
        offers = {site: self._rows.read("offers", site, decode_offers, next(rows)) or Offers() for site in sites}
        thresholds = {
            site: {name: threshold.value for name, threshold in thresholds_from(self._rows, site, next(rows)).items()}
            for site in sites
        }
        budgets = {site: Budget(offers[site], alerts[site]).without_future(self._now_ms) for site in sites}
        names = NameLog(load_returns(self._archive.client, self._rows, named) if named else {})
        self._loaded = AlertState(sensors, thresholds, budgets, recurrence, History(), names)
        return self._loaded

    @raises_unavailable
    def load_further(self, state: AlertState, places: Collection[str], spans: Collection[Span]) -> AlertState:
        """Watch further sensors, and return a state with them and with the rows of further spans.

        Args:
            state: in which they are missing.
            places: of sensors.
            spans: of episodes and traces. Each commit writes the sensors of its episodes: to watch these is enough.

        Raises:
            UnavailableError: the store is away.
        """
        sensors: dict[str, SensorState] = {}
        if places:
            watched = [keys.recent(place) for place in places]
            self._pipe.watch(*watched)
            rows = zip(places, self._pipe.mget(watched), strict=True)
            sensors = {place: self._state_from(place, row) for place, row in rows}
        return state.with_loaded(sensors, load_spans(self._archive.client, self._rows, spans))

    def _state_from(self, place: str, row: bytes | None) -> SensorState:
        known = self._cache.get(place)
        if known is not None and known[0] == row:
            return known[1].without_future(self._now_ms)
        return (self._rows.read("recent", place, decode_state, row) or SensorState()).without_future(self._now_ms)

    @raises_unavailable
    def commit(self, detections: Sequence[Detection], state: AlertState) -> bool:
        """Write what a batch changed, and mark its events as processed: all of it or nothing.

        Args:
            detections: of the batch, in its order.
            state: after the batch.

        Returns:
            False if another hub changed something that was loaded: load, decide and commit again.

        Raises:
            UnavailableError: the store is away. It is not known whether it wrote the batch; to repeat the batch is
                safe.
        """
        pipe = self._pipe
        pipe.multi()
        self._queue_hours(detections)
        queue(pipe, state.history)
        queue_names(pipe, state.names)
        if due := _due_for_sources(detections, state.history):
            pipe.zadd(keys.SOURCES_DUE, due)
        rows = {place: encode_state(state.sensors[place]) for place in self._places}
        pipe.mset({keys.recent(place): row for place, row in rows.items()})
        self._queue_spans_of_sites(detections)
        self._queue_budgets(state)
        self._archive.pipeline_mark_processed(pipe, [(one.event.id, one.alert) for one in detections])
        try:
            pipe.execute()
        except redis.WatchError:
            return False
        if len(self._cache) > _STATES_KEPT:
            self._cache.clear()
        self._cache |= {place: (row, state.sensors[place]) for place, row in rows.items()}
        return True

    def _queue_budgets(self, state: AlertState) -> None:
        for site, budget in state.budgets.items():
            if len(budget.alerts_ms) > len(self._loaded.budgets[site].alerts_ms):
                self._pipe.set(keys.other_alerts(site), encode_alert_times(sorted(budget.alerts_ms)[-_ALERTS_KEPT:]))
            if budget.offers.changed:
                self._pipe.set(keys.alert_offers(site), encode_offers(budget.offers))

    def _queue_spans_of_sites(self, detections: Sequence[Detection]) -> None:
        times: dict[str, list[int]] = {}
        for detection in detections:
            times.setdefault(detection.event.site, []).append(to_ms(detection.event.captured_at))
        for site, captured_ms in times.items():
            self._pipe.sadd(keys.SITES, site)
            self._pipe.zadd(keys.site_span(site), {"first": min(captured_ms)}, lt=True)
            self._pipe.zadd(keys.site_span(site), {"newest": max(captured_ms)}, gt=True)

    def _queue_hours(self, detections: Sequence[Detection]) -> None:
        """Queue the bits of the hours in which sensors sent events, each hour once."""
        last = {place: self._loaded.sensors[place].hour for place in self._places}
        for detection in detections:
            place, hour = detection.event.place, to_ms(detection.event.captured_at) // _HOUR_MS
            if hour != last[place]:
                last[place] = hour
                year = year_of(hour * _HOUR_MS)
                self._pipe.setbit(keys.active_hours_bitmap(place, year), hour - first_hour(year), 1)


def _due_for_sources(detections: Sequence[Detection], history: History) -> dict[str, int]:
    """Return the episodes whose identity, opening or id changed, with their opening: they are filed again."""
    due = {name: episode.opened_ms for name, episode in history.merged.items()}
    grown = set(history.into.values())
    for detection in detections:
        for episode in detection.episodes:
            clearer = episode.peak_event == str(detection.event.id)
            if clearer or episode.id in history.moved or episode.id in grown:
                due[episode.id] = episode.opened_ms
    return due


def year_of(ms: int) -> int:
    """Return the UTC year of a time."""
    return datetime.fromtimestamp(ms / 1000, UTC).year


def first_hour(year: int) -> int:
    """Return the first hour of a UTC year, in hours since 1970 UTC."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 3600

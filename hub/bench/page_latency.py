"""Latency of each page and each API call, with an archive of any size.

The benchmark fills the archive as a hub does: events, then episodes and alerts by the alert detector. It invents the
search results, as `search_latency` measures searches.
"""

import contextlib
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.alerting.detector import AlertDetector
from hub.bench.level_archive import fill_levels
from hub.bench.server_processes import ProgressFn, hub_process, servers
from hub.domain.alert_rule import AlertRule, SearchResult
from hub.domain.match import Match
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.model.checkpoint import default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.web.level_spans import SPANS
from shared.errors import InvalidError
from shared.events import EventId, Levels
from shared.feature_space import EARWITNESS_SMALL
from shared.taxonomy import CATEGORIES, COUNT

SENSORS: Final = 50
DAYS: Final = 60
_BATCH: Final = 500
_PRESENT_SHARE: Final = 0.3
_FLAGGED_SHARE: Final = 0.05
_BEFORE: Final = 100
_WARM: Final = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """Latency of one page or call: its address without ids, and the time until its last byte, ms."""

    what: str
    median_ms: float
    p95_ms: float
    bytes: int


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Figures that `bench web` prints."""

    events: int
    alerts: int
    timings: Sequence[Timing]


def page_figures(
    *, events: int, repeats: int, level_days: int = 365, progress: ProgressFn = lambda *_: None
) -> PageFigures:
    """Measure the latency of all pages and calls.

    Args:
        events: events in the archive.
        repeats: requests per page or call.
        level_days: days with statistics of levels at each sensor.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        UnavailableError: `mosquitto` or `redis-server` is not installed, or a program does not start.
        InvalidError: there are too few events to raise an alert.
    """
    with tempfile.TemporaryDirectory(prefix="earwitness-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        mqtt_port, url = stack.enter_context(servers(folder))
        store = EventStore(url)
        stack.callback(store.close)
        _fill(store, events, progress)
        if store.alerts.count() == 0:
            raise InvalidError(f"no alert among {events} events: ask for more, such as --events 100000")
        fill_levels(
            store,
            site="bench",
            sensors=SENSORS,
            days=level_days,
            progress=partial(progress, "writing levels"),
        )
        port = stack.enter_context(hub_process(folder, mqtt_port, url, (), progress))
        base = f"http://127.0.0.1:{port}"
        addresses = list(_addresses(base))
        timings = []
        for number, (what, path, body) in enumerate(addresses):
            progress(what, number / len(addresses))
            timings.append(_timed(what, base + path, body, repeats))
        return PageFigures(store.count(), store.alerts.count(), timings)


def _fill(store: EventStore, count: int, progress: ProgressFn) -> None:
    rng = np.random.default_rng(0)
    retrieval = Retrieval([Scorer(load(default_checkpoint(EARWITNESS_SMALL.id)))])
    detector = AlertDetector(EpisodeStore(store), SensorMap({}, 0.0, ZoneInfo("UTC")), AlertRule())
    began = datetime.now(UTC) - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for first in range(0, count, _BATCH):
        size = min(_BATCH, count - first)
        features = rng.integers(0, 256, (size, *EARWITNESS_SMALL.shape), dtype=np.uint8)
        towers = retrieval.embed_all(EARWITNESS_SMALL.id, features)
        events = []
        for number in range(first, first + size):
            at = began + step * number
            presence = np.where(rng.random(COUNT) < _PRESENT_SHARE / 2, 0.9, 0.02)
            events.append(
                StoredEvent(
                    id=EventId("bench", f"sensor-{number % SENSORS}", "bench", number // SENSORS),
                    captured_at=at.replace(microsecond=at.microsecond // 1000 * 1000),
                    received_at=at,
                    duration_s=10.0,
                    levels=Levels(float(rng.normal(55, 6)), 75.0, "dB"),
                    space=EARWITNESS_SMALL.id,
                    features=features[number - first],
                    presence=tuple(presence.tolist()),
                    towers=retrieval.embeddings_to_store(EARWITNESS_SMALL.id, towers[number - first]),
                )
            )
        store.add_many(events)
        detector.process(events, [_search_result(event, _BEFORE * SENSORS * step, rng) for event in events])
        progress("filling the archive", (first + size) / count)
    store.client.delete(keys.ALERTS_PENDING)


def _search_result(event: StoredEvent, ago: timedelta, rng: np.random.Generator) -> SearchResult:
    """Return an invented match for some events: the same sensor's event `_BEFORE` before, captured at that time."""
    seq = event.id.seq - _BEFORE
    if seq < 0 or rng.random() > _FLAGGED_SHARE:
        return SearchResult((), np.empty((0, COUNT), dtype=np.float32))
    matrix = np.tile(np.array([0.0, 1.0, 0.0], dtype=np.float32), (COUNT, 1))
    before = str(replace(event.id, seq=seq))
    match = Match(before, event.place, to_ms(event.captured_at - ago), 7.5, 7.5, matrix)
    return SearchResult([match], np.full((1, COUNT), 0.9, dtype=np.float32))


def _addresses(base: str) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Yield what is measured: a name, an address, and a request body or None."""
    event = _json(f"{base}/api/v1/events?limit=1&category=music")["events"][0]
    alert = _json(f"{base}/api/v1/alerts?limit=1")["alerts"][0]["event"]
    episode = _json(f"{base}/api/v1/episodes?limit=1")["episodes"][0]["id"]
    similar = _json(f"{base}/api/v1/events/{event['id']}/similar?k=1")["matches"][0]["event"]
    place = f"{event['site']}/{event['sensor']}"
    pattern = f"{place}/music"
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    measured, other = "bench/sensor-0", "bench/sensor-1"
    year = f"first={yesterday - timedelta(days=364)}&last={yesterday}"
    day = f"place={measured}&since={yesterday}T00:00:00Z&until={yesterday + timedelta(days=1)}T00:00:00Z"
    pages = {
        "/": "/",
        "/events": f"/events?place={place}&category=dog",
        "/events/{id}": f"/events/{event['id']}",
        "/alerts": "/alerts",
        "/alerts?category&severity": "/alerts?category=dog&severity=recurring",
        "/alerts/{id}": f"/alerts/{alert}",
        "/patterns": "/patterns",
        "/patterns/{...}": f"/patterns/{pattern}",
        "/map": "/map",
        "/search": f"/search?event={event['id']}",
        "/sensors": "/sensors",
        "/levels": "/levels",
        "/levels/{site}": "/levels/bench",
        **{
            f"/levels/{{...}}?span={span}": f"/levels/{measured}?span={span}&day={yesterday}&hour=12"
            for span in SPANS
        },
        "/levels/{...}/categories": f"/levels/{measured}/categories?day={yesterday}",
        "/compare, two sensors, a day": f"/compare?place={measured}&other_place={other}&first={yesterday}",
        "/compare, two sensors, a year": f"/compare?place={measured}&other_place={other}&{year}",
        "/settings": "/settings",
        "/docs": "/docs",
    }
    calls = {
        "events": "events",
        "events?place": f"events?place={place}",
        "events?place&category": f"events?place={place}&category=dog",
        "events?min_laeq": "events?min_laeq=70",
        "events/{id}": f"events/{event['id']}",
        "events/{id}/similar": f"events/{event['id']}/similar",
        "events/{id}/explanation": f"events/{event['id']}/explanation?match={similar}",
        "events/{id}/spectrogram.png": f"events/{event['id']}/spectrogram.png",
        "episodes": "episodes",
        "episodes?place": f"episodes?place={place}",
        "episodes?category": "episodes?category=dog",
        "episodes/{id}": f"episodes/{episode}",
        "alerts": "alerts",
        "alerts/{id}": f"alerts/{alert}",
        "patterns/{...}": f"patterns/{pattern}",
        "sensors": "sensors",
        "levels?resolution=minute": f"levels?place={measured}&since={yesterday}T00:00:00Z",
        "levels/bands?resolution=minute": f"levels/bands?{day}&resolution=minute",
        "levels/bands.png": f"levels/bands.png?{day}",
        "levels/comparison": f"levels/comparison?place={measured}&other_place={other}&first={yesterday}",
        "levels/days": f"levels/days?place={measured}&{year}",
        "levels/nights": "levels/nights?site=bench",
        "levels/partial": f"levels/partial?{day}",
        "sites/{site}/thresholds": "sites/bench/thresholds",
        "feedback": "feedback",
    }
    yield from ((name, path, None) for name, path in pages.items())
    yield from ((f"/api/v1/{name}", f"/api/v1/{path}", None) for name, path in calls.items())
    yield "/api/v1/search", "/api/v1/search", {"event": event["id"], "filters": {"category": CATEGORIES[0]}}


def _timed(what: str, address: str, body: dict[str, Any] | None, repeats: int) -> Timing:
    taken, size = [], 0
    for _ in range(_WARM + repeats):
        began = time.perf_counter()
        size = len(_read(address, body))
        taken.append(1_000 * (time.perf_counter() - began))
    counted = sorted(taken[_WARM:])
    return Timing(what, statistics.median(counted), counted[max(0, round(0.95 * len(counted)) - 1)], size)


def _read(address: str, body: dict[str, Any] | None = None) -> bytes:
    headers = {"X-Earwitness": "bench", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers)  # noqa: S310 - our own hub
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return bytes(answer.read())


def _json(address: str) -> dict[str, Any]:
    return dict(json.loads(_read(address)))

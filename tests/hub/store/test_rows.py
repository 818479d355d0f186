"""Rows that are in the store already never break a page or a start, whatever they hold; the others are shown."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.hub.ingest.test_pipeline import pipeline
from tests.pages import answer, broken
from tests.server_processes import HubProcess, Mosquitto, Store, eventually

pytestmark = pytest.mark.e2e

SENSORS = ("street-1", "street-2", "street-3")
DIGITS = "9" * 400


@pytest.fixture
def single(store: Store) -> Iterator[EventStore]:
    """An archive with clips and episodes of three sensors; the clips of the first had no matches, so no alert."""
    opened = EventStore(store.url)
    made = pipeline(opened)
    for sensor in SENSORS:
        for seq in range(4):
            sent = event(seq, sensor=sensor, seed=1, after_s=10.0 * seq)
            made.handle(str(SensorTopic("demo", sensor, "event")), encode_event(sent))
    assert opened.alerts.count() >= 2
    yield opened
    opened.close()


def damage(archive: EventStore) -> dict[str, set[str]]:
    """Spoil some rows of each kind: what is spoilt, by kind."""
    store = archive.client
    report = {"reported_ms": "1", "waiting": DIGITS, "spool": "0.5", "dropped": "0", "certificate_end_ms": ""}
    store.hset("ew:sensor:demo/street-1", mapping=report)
    store.hset("ew:sensor:demo/street-2", mapping=report | {"waiting": "1", "certificate_end_ms": "253402343999000"})
    store.hset("ew:sensor:demo/street-2", "online", "nothing of the kind")
    store.sadd("ew:sensors", "demo/lost-1")
    store.hset("ew:sensor:demo/lost-1", "last_captured_ms", DIGITS)
    for number, (field, value) in enumerate(
        (("captured_ms", DIGITS), ("features", b"\0"), ("presence", b"\0"), ("laeq", "nan"), ("space", "no/1"))
    ):
        store.hset(f"ew:event:demo.{SENSORS[number % 3]}.boot.{number // 3}", field, value)
    store.zadd("ew:events", {"street-1.boot.9": 1_780_315_200_000})  # an id without a site, of an earlier version
    store.hset("ew:event:street-1.boot.9", mapping={"site": "demo", **dict.fromkeys(("captured_ms", "laeq"), "1")})
    newest, *_, oldest = (key.decode() for key in store.zrevrange("ew:alerts", 0, -1))
    store.set(f"ew:alert:{newest}", b"{}")
    older = json.loads(store.get(f"ew:alert:{oldest}"))
    store.set(f"ew:alert:{oldest}", json.dumps(older | {"mood": "good"}))
    episode = store.zrange("ew:episodes", 0, 0)[0].decode()
    row = json.loads(store.get(f"ew:episode:{episode}"))
    row["opened_ms"] = int(DIGITS)
    store.set(f"ew:episode:{episode}", json.dumps(row))
    store.set("ew:sensor-state:demo/street-3", b'{"episodes": 7}')
    store.set("ew:thresholds:demo", b'{"dog": {"value": "high"}}')
    store.set("ew:budget:demo", b"null")
    store.hset("ew:feedback", "a|b", b"{}")
    store.zadd("ew:feedback:index", {"a|b": 1})
    return {"alert": {newest}, "episode": {episode}}


def test_rows_that_cannot_be_read_are_left_out_and_counted(single: EventStore) -> None:
    spoilt = damage(single)
    episode_store = EpisodeStore(single)
    shown = {str(one.id) for one in single.events(limit=100)}
    assert len(shown) == 12 - 5
    alerts = {one.event for one in single.alerts.newest()}
    assert alerts
    assert alerts.isdisjoint(spoilt["alert"])
    assert len(alerts) == single.alerts.count() - 1
    assert spoilt["episode"].isdisjoint({one.id for one in episode_store.episodes(limit=1_000)})
    reports = {sensor.place: sensor.report for sensor in single.sensors.all()}
    assert reports == {f"demo/{sensor}": None for sensor in SENSORS}
    assert episode_store.sensor_states(["demo/street-3"])["demo/street-3"].clips == 0
    assert episode_store.thresholds.of("demo") == {}
    counts = single.rows.left_out
    assert (counts["event"], counts["alert"], counts["report"], counts["sensor"]) == (6, 1, 2, 1)
    single.events(limit=100)
    assert single.rows.left_out["event"] == 6


def test_an_event_of_a_sensor_whose_rows_are_spoilt_is_archived(single: EventStore) -> None:
    damage(single)
    made = pipeline(single)
    for sensor in SENSORS:
        sent = event(50, sensor=sensor, seed=1, after_s=500.0)
        made.handle(str(SensorTopic("demo", sensor, "event")), encode_event(sent))
        assert single.get(sent.id) is not None


def test_events_that_cannot_be_read_expire_like_others(single: EventStore) -> None:
    damage(single)
    while single.delete_before(NOON + timedelta(days=1)):
        pass
    assert single.count() == single.alerts.count() == 0
    assert list(single.client.scan_iter("ew:event*")) == []


def test_every_page_answers_and_a_hub_starts(tmp_path: Path, mosquitto: Mosquitto, single: EventStore) -> None:
    url = f"redis://127.0.0.1:{single.client.connection_pool.connection_kwargs['port']}/0"
    damage(single)
    hub = HubProcess(tmp_path / "hub", mosquitto.port, url)
    hub.start()
    try:
        base = f"http://127.0.0.1:{hub.port}"
        assert broken(base) == {}
        for sensor in (*SENSORS, "lost-1"):
            code, _ = answer(f"{base}/api/v1/patterns/demo/{sensor}/dog")
            assert code in {200, 404}
        sensors = hub.get("/api/v1/sensors")["sensors"]
        assert isinstance(sensors, list)
        assert {one["sensor"] for one in sensors} == set(SENSORS)
        eventually(lambda: hub.metric("earwitness_hub_rows_unreadable_total") >= 8, 40, "they are counted")
    finally:
        hub.stop()

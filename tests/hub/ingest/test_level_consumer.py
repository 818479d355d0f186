"""Level series from a real broker to a real store: nothing is dropped, and what is wrong is set aside."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry

from hub.ingest.capture_times import ClockRules
from hub.ingest.level_consumer import CAPACITY, LevelConsumer, LevelRules
from hub.metrics.definitions import HubMetrics
from hub.runtime.embedded_servers import Servers
from hub.store import level_keys
from hub.store.dead_letters import HEAD_BYTES
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from shared.level_series import LevelSeries, encode_series
from shared.mqtt.session import Acknowledged, Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.server_processes import Mosquitto, Store, eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.redis]

NOW = datetime(2026, 6, 1, 12, 1, tzinfo=UTC)
AT_S = int(NOW.timestamp()) - 60


@pytest.fixture
def store_url(embedded: Servers) -> str:
    """One store is enough: the suite of stores tests the others."""
    url = embedded.redis_url
    redis.Redis.from_url(url).flushall()
    return url


def series(sensor: str = "street-1", at_s: int = AT_S, level: int = 600) -> LevelSeries:
    tenths = np.full((60, 3), level, dtype=np.int16)
    return LevelSeries("demo", sensor, "boot", datetime.fromtimestamp(at_s, UTC), tenths, "dB")


def message(one: LevelSeries) -> tuple[str, bytes]:
    return str(SensorTopic(one.site, one.sensor, "levels")), encode_series(one)


@contextmanager
def running(broker: Mosquitto, archive: EventStore) -> Iterator[HubMetrics]:
    metrics = HubMetrics(CollectorRegistry())
    rules = LevelRules("test", "hubs", ClockRules(now=lambda: NOW))
    consumer = LevelConsumer(broker.settings, archive, metrics, rules)
    consumer.start()
    try:
        yield metrics
    finally:
        consumer.stop()


def send(broker: Mosquitto, *messages: tuple[str, bytes]) -> None:
    """Publish; return once the broker has acknowledged all to a subscriber's session."""
    link = MqttSession(broker.settings.without_session(), "sensor")
    link.start()
    try:
        assert isinstance(link.signals.get(timeout=20), Connected)
        for topic, payload in messages:
            answered: list[int] = []

            def taken(topic: str = topic, payload: bytes = payload, answered: list[int] = answered) -> bool:
                link.publish(topic, payload)
                signal = link.signals.get(timeout=20)
                assert isinstance(signal, Acknowledged)
                answered.append(signal.reason)
                return signal.reason == 0

            eventually(taken, 20, "a hub is subscribed")
    finally:
        link.stop()


def counted(metrics: HubMetrics, outcome: str) -> float | None:
    return metrics.registry.get_sample_value("earwitness_hub_level_seconds_total", {"outcome": outcome})


def test_series_are_stored_and_what_is_wrong_becomes_a_dead_letter(
    mosquitto: Mosquitto, archive: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.ingest.level_consumer.HOLD_S", 0.0)
    levels = LevelStore(archive.client, archive.rows)
    good = [series(f"street-{number}") for number in range(3)]
    topic, payload = message(series("odd"))
    wrong = {
        (topic, b"{"): "JSON",
        (topic, b" " * (HEAD_BYTES + 100)): "over the cap",
        (
            topic,
            json.dumps({**json.loads(payload), "levels": base64.b64encode(b"odd").decode()}).encode(),
        ): "360 bytes",
        (topic, payload.replace(b'"odd"', b'"other"')): "came on the topic of demo/odd",
        message(series("late", AT_S + 3_600)): "cannot be: the sensor's clock was wrong",
        message(series("late", 60)): "cannot be: the sensor's clock was wrong",
    }
    with running(mosquitto, archive) as metrics:
        send(mosquitto, *(message(one) for one in good), *wrong, message(series("last")))
        eventually(lambda: bool(levels.series("demo/last", AT_S, AT_S + 60).seconds.all()), 20, "all are handled")
    for one in good:
        assert levels.series(one.place, AT_S, AT_S + 60).levels[:, 0].tolist() == [60.0] * 60
    letters = archive.letters.page()
    assert [letter.kind for letter in letters] == ["invalid"] * len(wrong)
    assert all(any(reason in letter.reason for letter in letters) for reason in wrong.values())
    assert [letter.is_complete for letter in letters if "over the cap" in letter.reason] == [False]
    assert [counted(metrics, outcome) for outcome in ("stored", "missing", "rejected")] == [240, 0, 120]
    assert metrics.registry.get_sample_value("earwitness_hub_messages_dead_lettered_total") == len(wrong)


def test_a_row_that_holds_something_else_stops_no_other_series(mosquitto: Mosquitto, archive: EventStore) -> None:
    archive.client.sadd(level_keys.level_seconds("demo/street-1", AT_S // 3_600), "no levels")
    levels = LevelStore(archive.client, archive.rows)
    with running(mosquitto, archive):
        send(mosquitto, message(series("street-1")), message(series("street-2")))
        eventually(lambda: archive.letters.count() == 1, 20, "the series is set aside")
        eventually(lambda: bool(levels.series("demo/street-2", AT_S, AT_S + 60).seconds.all()), 20, "it is stored")
    assert [letter.kind for letter in archive.letters.page()] == ["bug"]


def test_what_comes_while_no_hub_runs_or_in_a_burst_is_stored(mosquitto: Mosquitto, archive: EventStore) -> None:
    levels = LevelStore(archive.client, archive.rows)
    with running(mosquitto, archive):
        send(mosquitto, message(series(at_s=AT_S)))
    count = CAPACITY + 100
    send(mosquitto, *(message(series("burst", AT_S - 60 * number)) for number in range(count)))
    with running(mosquitto, archive):
        first_s = AT_S - 60 * (count - 1)
        eventually(lambda: bool(levels.series("demo/burst", first_s, AT_S + 60).seconds.all()), 20, "all are stored")
    assert archive.letters.count() == 0


def test_what_comes_while_the_store_is_away_is_stored_later(mosquitto: Mosquitto, store: Store) -> None:
    archive = EventStore(store.url, timeout_s=1.0)
    levels = LevelStore(archive.client, archive.rows)
    with running(mosquitto, archive):
        send(mosquitto, message(series("before")))
        store.freeze()
        send(mosquitto, message(series("meanwhile")))
        store.thaw()
        eventually(lambda: bool(levels.series("demo/meanwhile", AT_S, AT_S + 60).seconds.all()), 20, "it is stored")
        assert archive.letters.count() == 0
    archive.close()

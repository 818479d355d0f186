"""Alerts on MQTT with a real broker and store: each reaches the broker once, whichever program dies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from hub.metrics.definitions import HubMetrics
from hub.notify.dispatcher import unpublished_alert_count
from hub.notify.service import NotificationService, destinations_of
from hub.settings import HubSettings
from hub.store.events import EventStore
from shared.events import EventId
from shared.mqtt.session import MqttSession, Received
from shared.mqtt.topics import ALL_ALERTS
from tests.factories import alert
from tests.server_processes import Broker, Store, eventually

pytestmark = [pytest.mark.redis, pytest.mark.mosquitto]


@pytest.fixture
def single(store: Store) -> Iterator[EventStore]:
    opened = EventStore(store.url)
    yield opened
    opened.close()


@contextmanager
def publishing(broker: Broker, archive: EventStore, hub: str = "one") -> Iterator[HubMetrics]:
    metrics = HubMetrics(CollectorRegistry())
    ways = NotificationService(archive.client, destinations_of(HubSettings(mqtt=broker.settings)), hub, metrics)
    ways.start()
    try:
        yield metrics
    finally:
        ways.stop()


@contextmanager
def listening(broker: Broker) -> Iterator[list[str]]:
    """The events of the alerts that came."""
    received: list[str] = []

    def on_signal(signal: object) -> None:
        if isinstance(signal, Received):
            received.append(json.loads(signal.payload)["event"])
            link.acknowledge(signal)

    link = MqttSession(broker.settings, "listener", on_signal=on_signal)
    link.start()
    eventually(lambda: link.connected, 20, "the listener is connected")
    link.subscribe(ALL_ALERTS)
    yield received
    link.stop()


def events(first: int, end: int) -> list[str]:
    return [f"demo.street-1.boot.{seq}" for seq in range(first, end)]


def raise_alerts(archive: EventStore, names: list[str]) -> None:
    archive.mark_processed([(EventId.parse(name), alert(name)) for name in names])


def test_alerts_are_published_in_order_each_once(broker: Broker, single: EventStore) -> None:
    with listening(broker) as received, publishing(broker, single) as metrics:
        for first in range(0, 1_000, 100):
            raise_alerts(single, events(first, first + 100))
        eventually(lambda: unpublished_alert_count(single.client) == 0, 30, "all is published")
        eventually(lambda: len(received) >= 1_000, 20, "all is received")
    assert received == events(0, 1_000)
    assert metrics.registry.get_sample_value("earwitness_hub_alerts_published_total") == 1_000


def test_alerts_raised_while_the_broker_or_the_hub_is_away_are_published_later(
    broker: Broker, single: EventStore
) -> None:
    raise_alerts(single, events(0, 5))
    with publishing(broker, single) as metrics:
        eventually(lambda: unpublished_alert_count(single.client) == 0, 30, "all is published")
        broker.kill()
        raise_alerts(single, events(5, 10))
        assert unpublished_alert_count(single.client) == 5
        broker.start()
        eventually(lambda: unpublished_alert_count(single.client) == 0, 30, "the rest is published")
    assert metrics.registry.get_sample_value("earwitness_hub_alerts_published_total") == 10


def test_a_store_that_is_away_for_a_while_costs_no_alert(broker: Broker, store: Store, single: EventStore) -> None:
    with listening(broker) as received, publishing(broker, single):
        raise_alerts(single, events(0, 50))
        store.freeze()
        store.thaw()
        raise_alerts(single, events(50, 100))
        eventually(lambda: unpublished_alert_count(single.client) == 0, 30, "all is published")
        eventually(lambda: len(received) >= 100, 20, "all is received")
    assert received == events(0, 100)


def test_two_hubs_publish_each_alert_once(broker: Broker, single: EventStore) -> None:
    with listening(broker) as received, publishing(broker, single), publishing(broker, single, "two"):
        for first in range(0, 400, 20):
            raise_alerts(single, events(first, first + 20))
        eventually(lambda: unpublished_alert_count(single.client) == 0, 30, "all is published")
        eventually(lambda: len(received) >= 400, 20, "all is received")
    assert sorted(received) == sorted(events(0, 400))


def test_a_replay_and_a_late_clip_are_listed_and_sent_to_no_one(broker: Broker, single: EventStore) -> None:
    reported = [alert(f"demo.street-1.boot.{seq}") for seq in range(3)]
    reported[0] = reported[0].model_copy(update={"backfilled": True})
    reported[1] = reported[1].model_copy(update={"delay_s": 3_601.0})
    with listening(broker) as received, publishing(broker, single):
        single.mark_processed([(EventId.parse(one.event), one) for one in reported])
        eventually(lambda: received == ["demo.street-1.boot.2"], 20, "the one that is news came")
        eventually(lambda: unpublished_alert_count(single.client) == 0, 20, "nothing waits")
    assert received == ["demo.street-1.boot.2"]
    assert {one.event for one in single.alerts.newest()} == {one.event for one in reported}

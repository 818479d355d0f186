"""A hub's intake messages: open while heartbeats come back; else, and when it ends, closed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hub.metrics.definitions import HubMetrics
from hub.monitoring import heartbeat
from hub.monitoring.heartbeat import HeartbeatMonitor
from hub.notify.heartbeat_echo import build_heartbeat_reply
from shared.feature_space import VGGISH
from shared.messages.codec import encode_json
from shared.messages.event import decode_event
from shared.mqtt.session import Connected, MqttSession, Received, Subscribed
from shared.mqtt.topics import ALL_INTAKES, HEARTBEAT_REPLY_TOPIC, INTAKE_CLOSED, INTAKE_OPEN, SensorTopic
from tests.server_processes import Broker, Mosquitto

pytestmark = pytest.mark.e2e

BEAT = SensorTopic("heartbeat", "one", "heartbeat")


@pytest.fixture
def watcher(broker: Broker) -> Iterator[MqttSession]:
    link = listening(broker)
    yield link
    link.stop()


def listening(broker: Broker) -> MqttSession:
    link = MqttSession(broker.settings, "watcher")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    link.subscribe(ALL_INTAKES)
    assert isinstance(link.signals.get(timeout=20), Subscribed)
    return link


def beating(broker: Broker, interval_s: float) -> HeartbeatMonitor:
    metrics = HubMetrics(CollectorRegistry())
    heart = HeartbeatMonitor(broker.settings, hub="one", space=VGGISH, interval_s=interval_s, metrics=metrics)
    heart.start()
    return heart


def until(watcher: MqttSession, wanted: bytes, *, answering: bool) -> None:
    """Wait until the hub publishes this of its intake, with or without answers to its heartbeats."""
    while True:
        message = watcher.signals.get(timeout=20)
        if not isinstance(message, Received):
            continue
        watcher.acknowledge(message)
        if message.topic == str(BEAT) and answering:
            watcher.publish(
                HEARTBEAT_REPLY_TOPIC, encode_json(build_heartbeat_reply(decode_event(message.payload, BEAT)))
            )
        elif message.topic != str(BEAT) and message.payload == wanted:
            return


def test_a_hub_states_whether_it_takes_events(
    broker: Broker, watcher: MqttSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "KEPT_S", 0.5)
    watcher.subscribe(str(BEAT))
    heart = beating(broker, 0.1)
    try:
        until(watcher, INTAKE_OPEN, answering=True)
        until(watcher, INTAKE_CLOSED, answering=False)
        until(watcher, INTAKE_OPEN, answering=True)
    finally:
        heart.stop()
    until(watcher, INTAKE_CLOSED, answering=False)


def test_where_the_broker_refuses_heartbeats_a_hub_states_nothing_of_its_intake(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "strict")
    (tmp_path / "strict" / "acl").write_text("topic readwrite earwitness/v1/hubs/#\n")
    with (tmp_path / "strict" / "mosquitto.conf").open("a") as configuration:
        configuration.write(f"acl_file {tmp_path}/strict/acl\n")
    broker.start()
    watcher = listening(broker)
    heart = beating(broker, 0.1)
    try:
        until(watcher, b"", answering=False)
    finally:
        watcher.stop()
        heart.stop()
        broker.stop()


def test_a_hub_takes_no_events_before_a_heartbeat_came_back(mosquitto: Mosquitto) -> None:
    watcher = listening(mosquitto)
    heart = beating(mosquitto, 600)
    try:
        first = watcher.signals.get(timeout=20)
        assert isinstance(first, Received)
        assert first.payload == INTAKE_CLOSED
        watcher.subscribe(str(BEAT))  # as an intake that comes later; the first heartbeat had no receiver
        until(watcher, INTAKE_OPEN, answering=True)
    finally:
        watcher.stop()
        heart.stop()

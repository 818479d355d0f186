"""Intake is bounded in bytes, too: large messages stay at the broker, and all are taken in the end."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from hub.ingest.backlog import Backlog
from hub.ingest.consumer import MqttConsumer
from hub.ingest.event_subscription import Subscriber
from hub.ingest.messages import HandledMessage, Outcome, PreparedMessage
from hub.metrics.definitions import HubMetrics
from shared.mqtt.session import Acknowledged, MqttSession
from tests.server_processes import Mosquitto, eventually

pytestmark = pytest.mark.mosquitto

TOPIC = "earwitness/v1/demo/street-1/event"
SIZE = 1024 * 1024
CAPACITY = 8 * SIZE
COUNT = 40


class Slow:
    """Stands in for the pipeline: holds every message until `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.done: list[int] = []
        self.batches: list[int] = []

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> Sequence[PreparedMessage]:
        del waited_s
        self.batches.append(sum(len(payload) for _, payload in messages))
        return [PreparedMessage(topic, payload) for topic, payload in messages]

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        assert self.go.wait(60)
        for item in items:
            self.done.append(int(item.payload[:4]))
            yield HandledMessage(Outcome.ARCHIVED)


def test_large_messages_wait_at_the_broker_and_all_are_taken(mosquitto: Mosquitto) -> None:
    slow, metrics = Slow(), HubMetrics(CollectorRegistry())
    intake = MqttConsumer(Subscriber(mosquitto.settings, "test", "hubs"), slow, Backlog(256, CAPACITY), metrics)
    highest = 0.0

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(f"earwitness_hub_{name}") or 0.0

    def paused() -> bool:
        nonlocal highest
        highest = max(highest, value("messages_in_flight_bytes"))
        return value("backpressure_disconnects_total") >= 1

    thread = threading.Thread(target=intake.run, daemon=True)
    thread.start()
    link = MqttSession(mosquitto.settings, "sender")
    link.start()
    try:
        eventually(lambda: link.connected and intake.connected, 20, "both are connected")
        sent = 0
        while sent < COUNT:
            mid = link.publish(TOPIC, f"{sent:04}".encode() + bytes(SIZE - 4))
            while not (isinstance(signal := link.signals.get(timeout=20), Acknowledged) and signal.mid == mid):
                pass
            sent += signal.reason == 0  # else no client had subscribed yet
        eventually(paused, 20, "the hub leaves the broker while there is no room")
        slow.go.set()
        eventually(lambda: paused() and set(slow.done) == set(range(COUNT)), 60, "all is handled")
        eventually(lambda: value("messages_in_flight_bytes") == 0, 20, "nothing waits")
    finally:
        slow.go.set()
        link.stop()
        intake.stop()
        thread.join(30)
    assert CAPACITY <= highest <= CAPACITY + 2 * SIZE
    assert max(slow.batches) <= CAPACITY // 4 + SIZE

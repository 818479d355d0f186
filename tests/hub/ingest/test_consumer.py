"""Intake with a real broker: what waits is handled together, in order, and acknowledged in order.

The broker is Mosquitto, because the sender waits for its answer that a client has subscribed.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from hub.ingest.backlog import Backlog
from hub.ingest.consumer import BATCH, MqttConsumer
from hub.ingest.event_subscription import Subscriber
from hub.ingest.messages import HandledMessage, Outcome, PreparedMessage
from hub.metrics.definitions import HubMetrics
from shared.errors import UnavailableError
from shared.mqtt.session import Acknowledged, MqttSession
from shared.mqtt.topics import ALL_INTAKES, INTAKE_CLOSED, HubTopic
from tests.draining import drained
from tests.server_processes import Broker, Mosquitto, eventually

pytestmark = pytest.mark.mosquitto

TOPIC = "earwitness/v1/demo/street-1/event"


class Recorder:
    """Stands in for the pipeline: holds the first batch until `go`, and keeps what it is given.

    Args:
        fails_at: once, the store is away before this message of the third batch.
    """

    def __init__(self, fails_at: int | None = None) -> None:
        self.go = threading.Event()
        self.holding = threading.Event()
        self.prepared: list[list[int]] = []
        self.batches: list[list[int]] = []
        self.done: list[int] = []
        self._fails_at = fails_at

    def prepare(
        self,
        messages: Sequence[tuple[str, bytes]],
        waited_s: Sequence[float | None] | None = None,  # noqa: ARG002
    ) -> Sequence[PreparedMessage]:
        self.prepared.append([int(payload) for _, payload in messages])
        return [PreparedMessage(*message) for message in messages]

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        self.batches.append([int(item.payload) for item in items])
        self.holding.set()
        assert self.go.wait(30)
        for place, number in enumerate(self.batches[-1]):
            if self._fails_at == place and len(self.batches) == 3:
                raise UnavailableError("away")
            self.done.append(number)
            yield HandledMessage(Outcome.ARCHIVED)


@contextmanager
def running(broker: Broker, recorder: Recorder, capacity: int = 1_000, *, beats: bool = True) -> Iterator[HubMetrics]:
    metrics = HubMetrics(CollectorRegistry())
    intake = MqttConsumer(Subscriber(broker.settings, "test", "hubs", beats), recorder, Backlog(capacity), metrics)
    thread = threading.Thread(target=intake.run, daemon=True)
    thread.start()
    try:
        yield metrics
    finally:
        intake.stop()
        thread.join(30)
    assert not thread.is_alive()


def stalled(metrics: HubMetrics) -> float | None:
    return metrics.registry.get_sample_value("earwitness_hub_ingest_stalled_seconds")


def waiting(metrics: HubMetrics) -> float | None:
    return metrics.registry.get_sample_value("earwitness_hub_messages_in_flight")


@contextmanager
def sender(broker: Broker) -> Iterator[Callable[[int], None]]:
    """Publishes a number, and returns when the broker has it and a client has subscribed to it."""
    link = MqttSession(broker.settings, "sender")
    link.start()
    eventually(lambda: link.connected, 20, "the sender is connected")

    def taken(number: int) -> bool:
        mid = link.publish(TOPIC, str(number).encode())
        while True:
            match link.signals.get(timeout=20):
                case Acknowledged(mid=reported, reason=0) if reported == mid:
                    return True
                case Acknowledged(mid=reported) if reported == mid:
                    return False

    yield lambda number: eventually(lambda: taken(number), 20, "a subscriber is there")
    link.stop()


def hold(recorder: Recorder, send: Callable[[int], None]) -> None:
    """Have message 0 in the works, and 1 prepared meanwhile; what comes then waits."""
    send(0)
    assert recorder.holding.wait(10)
    send(1)
    eventually(lambda: recorder.prepared == [[0], [1]], 20, "one batch is prepared ahead")


def test_what_waits_is_handled_together_in_order_and_a_lone_message_alone(mosquitto: Mosquitto) -> None:
    recorder = Recorder()
    with running(mosquitto, recorder) as metrics, sender(mosquitto) as send:
        hold(recorder, send)
        for number in range(2, 150):
            send(number)
        eventually(lambda: waiting(metrics) == 150, 20, "all wait, with those in hand")
        assert recorder.batches == [[0]]
        recorder.go.set()
        eventually(lambda: len(recorder.done) == 150, 20, "all is handled")
    assert [len(batch) for batch in recorder.batches] == [1, 1, BATCH, BATCH, 148 - 2 * BATCH]
    assert recorder.batches == recorder.prepared
    assert recorder.done == list(range(150))


def test_after_an_error_only_what_was_not_reported_is_handled_again(mosquitto: Mosquitto) -> None:
    recorder = Recorder(fails_at=2)
    with running(mosquitto, recorder) as metrics, sender(mosquitto) as send:
        hold(recorder, send)
        for number in range(2, 7):
            send(number)
        eventually(lambda: waiting(metrics) == 7, 20, "all wait, with those in hand")
        recorder.go.set()
        eventually(lambda: len(recorder.done) == 7, 20, "all is handled")
    assert recorder.batches == [[0], [1], [2, 3, 4, 5, 6], [4, 5, 6]]
    assert recorder.done == list(range(7))


class Broken(Recorder):
    """A pipeline that cannot even set a message aside, a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.go.set()
        self.left = times

    def _meet(self, step: str) -> None:
        if self.left > 0:
            self.left -= 1
            raise ZeroDivisionError(step)

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        self._meet("finish")
        yield from super().process(items)


def test_an_error_of_ours_ends_no_intake_and_its_messages_are_handled_once_it_is_over(mosquitto: Mosquitto) -> None:
    """Each round of the quarantine calls the pipeline four times: a batch, two tries, and to set it aside."""
    recorder = Broken(times=12)
    with running(mosquitto, recorder) as metrics, sender(mosquitto) as send:
        for number in range(5):
            send(number)
        eventually(lambda: recorder.done == list(range(5)), 30, "all is handled, in order and once")
        eventually(lambda: waiting(metrics) == 0, 20, "nothing waits")


def test_an_intake_states_for_how_long_nothing_was_handled(mosquitto: Mosquitto) -> None:
    recorder = Recorder()
    with running(mosquitto, recorder) as metrics, sender(mosquitto) as send:
        assert stalled(metrics) == 0
        send(0)
        eventually(lambda: (stalled(metrics) or 0.0) > 0.5, 20, "a message waits")
        recorder.go.set()
        eventually(lambda: stalled(metrics) == 0, 20, "it was handled")


def test_what_was_handled_is_acknowledged_and_does_not_come_again(mosquitto: Mosquitto) -> None:
    first, second = Recorder(), Recorder()
    first.go.set()
    second.go.set()
    with running(mosquitto, first), sender(mosquitto) as send:
        for number in range(20):
            send(number)
        eventually(lambda: len(first.done) == 20, 20, "all is handled")
    with running(mosquitto, second), sender(mosquitto) as send:
        send(20)
        eventually(lambda: 20 in second.done, 20, "the next one is handled")
    assert second.done == [20]


def test_a_hub_that_is_overrun_takes_everything_in_the_end(mosquitto: Mosquitto) -> None:
    recorder = Recorder()
    with running(mosquitto, recorder, capacity=10) as metrics, sender(mosquitto) as send:
        send(0)
        assert recorder.holding.wait(10)
        for number in range(1, 200):
            send(number)
        recorder.go.set()
        eventually(lambda: set(recorder.done) == set(range(200)), 60, "all is handled")
        eventually(lambda: waiting(metrics) == 0, 20, "nothing waits")
    firsts = list(dict.fromkeys(recorder.done))
    assert all(a < b for a, b in itertools.pairwise(firsts)), "in order, whatever came twice"


def test_a_full_queue_is_reported(mosquitto: Mosquitto) -> None:
    recorder = Recorder()
    with running(mosquitto, recorder, capacity=10) as metrics, sender(mosquitto) as send:
        for number in range(20):
            send(number)
        eventually(lambda: (waiting(metrics) or 0) >= 10, 20, "capacity is reached")
        recorder.go.set()


@pytest.mark.parametrize("beats", [True, False])
def test_a_hub_without_heartbeats_withdraws_what_it_stated_of_its_intake(mosquitto: Mosquitto, beats: bool) -> None:
    recorder = Recorder()
    recorder.go.set()
    with sender(mosquitto) as send:
        link = MqttSession(mosquitto.settings, "watcher")
        link.start()
        eventually(lambda: link.connected, 20, "the watcher is connected")
        link.publish(str(HubTopic("test", "intake")), INTAKE_CLOSED, retain=True)
        with running(mosquitto, recorder, beats=beats):
            send(0)
            eventually(lambda: recorder.done == [0], 20, "the hub runs")
        link.subscribe(ALL_INTAKES)
        stated = drained(link)
        link.stop()
    assert stated == ([INTAKE_CLOSED] if beats else [])

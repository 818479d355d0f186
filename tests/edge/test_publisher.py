"""The publisher: what goes out, when, and that nothing is ever lost."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from edge.in_flight import InFlightWindow
from edge.publisher import SpoolPublisher
from edge.spool import Spool
from shared.errors import UnavailableError
from shared.mqtt.session import Acknowledged, Connected, Disconnected, MqttEvent, Received
from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN, HubTopic

SUCCESS, UNWATCHED, QUOTA = 0x00, 0x10, 0x97


class Broker:
    """A broker in memory, as seen through a link whose owner resends: message ids are never used twice.

    `queued` holds what the broker has acknowledged but not handed to the hub; it forgets it in a crash.
    """

    def __init__(self) -> None:
        self.mids = itertools.count(1)
        self.up = False
        self.under_way: dict[int, bytes] = {}
        self.queued: list[bytes] = []
        self.received: list[bytes] = []
        self.settlements = 0

    def rival(self) -> None:
        """No other client is here."""

    def settled(self) -> None:
        self.settlements += 1

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (topic, retain, qos, content_type) == ("t", False, 1, "application/cbor")
        if not self.up:
            raise UnavailableError("down")
        mid = next(self.mids)
        self.under_way[mid] = payload
        return mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert (topic_filter, qos) == ("earwitness/v1/hubs/+/intake", 0)

    def answer(self, mid: int, reason: int) -> MqttEvent:
        payload = self.under_way.pop(mid)
        if reason == SUCCESS:
            self.queued.append(payload)
        return Acknowledged(mid=mid, reason=reason, epoch=1)

    def deliver(self) -> None:
        self.received += self.queued
        self.queued = []


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "s.db", 10**6)
    yield made
    made.close()


def test_nothing_is_sent_before_the_connection_is_up(spool: Spool) -> None:
    broker = Broker()
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    broker.up = True
    assert publisher.publish_pending(0.0) == 0
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    assert publisher.publish_pending(0.0) == 1


def test_a_row_under_way_when_the_connection_ended_is_sent_again_and_counts_once(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    publisher.handle([Connected(session_present=False, epoch=1)], 0.0, 0.0)
    publisher.publish_pending(0.0)
    assert publisher.publish_pending(0.0) == 0
    publisher.handle([Disconnected("gone", 1), Connected(session_present=True, epoch=2)], 1.0, 1.0)
    assert publisher.publish_pending(1.0) == 1
    publisher.handle([broker.answer(1, SUCCESS)], 2.0, 2.0)
    assert (publisher.published, spool.pending()) == (0, 1), "an answer to the ended connection means nothing"
    publisher.handle([broker.answer(2, SUCCESS)], 2.0, 2.0)
    assert (publisher.published, spool.pending(), broker.settlements) == (1, 0, 1)


@pytest.mark.parametrize("present", [True, False])
def test_a_broker_that_may_have_lost_its_memory_gets_the_last_minute_again(spool: Spool, present: bool) -> None:
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for at_s, name in ((0.0, "old"), (80.0, "new")):
        for before_s in (60.0, 40.0, 20.0):
            publisher.handle([Acknowledged(-1, SUCCESS, 1)], at_s - before_s, 0.0)
        spool.put(name, "t", name.encode())
        publisher.publish_pending(at_s)
        publisher.handle([broker.answer(max(broker.under_way), SUCCESS)], at_s, at_s)
    publisher.handle([Disconnected("crash", 1), Connected(session_present=present, epoch=2)], 3_700.0, 101.0)
    assert not publisher.drained
    assert publisher.publish_pending(3_700.0) == 1
    assert not publisher.drained, "a run must not end before the repeats are there"
    assert list(broker.under_way.values()) == [b"new"]


def test_acknowledgements_before_a_lost_session_are_part_of_what_is_sent_again(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    publisher.publish_pending(0.0)
    answer = broker.answer(1, SUCCESS)
    publisher.handle([answer, Disconnected("crash", 1), Connected(session_present=False, epoch=2)], 1.0, 1.0)
    assert publisher.publish_pending(1.0) == 1


def intake_message(hub: str, payload: bytes) -> Received:
    return Received(str(HubTopic(hub, "intake")), payload, mid=0, qos=0, retain=True, content_type=None, epoch=1)


def test_what_no_hub_takes_stays_in_the_spool_until_one_does(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1), intake_message("one", INTAKE_CLOSED)], 0.0, 0.0)
    spool.put("a", "t", b"a")
    spool.put("b", "t", b"b")
    assert publisher.publish_pending(59.0) == 2, "a restart is left to the broker"
    spool.put("c", "t", b"c")
    assert publisher.publish_pending(60.0) == 0
    publisher.handle([intake_message("one", INTAKE_OPEN), broker.answer(1, SUCCESS)], 61.0, 61.0)
    assert publisher.publish_pending(61.0) == 1


class NothingIsLost(RuleBasedStateMachine):
    """A flaky broker, refusals, crashes of both programs: the hub receives every event at least once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now_s = 0.0
        self.put_so_far = 0
        self.broker = Broker()
        self.start()

    def start(self) -> None:
        self.spool = Spool(Path(self.folder.name) / "s.db", 10**6)
        self.publisher = SpoolPublisher(
            self.broker, self.spool, resend_window_s=1e9, patience_s=60.0, window=InFlightWindow(limit=3)
        )

    def dispatch(self, *signals: MqttEvent) -> None:
        self.publisher.handle(list(signals), self.now_s, self.now_s)

    @rule(clips=st.integers(1, 4))
    def capture(self, clips: int) -> None:
        for _ in range(clips):
            self.spool.put(str(self.put_so_far), "t", str(self.put_so_far).encode())
            self.put_so_far += 1

    @rule(wait_s=st.floats(0, 40))
    def pump(self, wait_s: float) -> None:
        self.now_s += wait_s
        self.publisher.publish_pending(self.now_s)
        assert len(self.broker.under_way) <= 3

    @rule()
    def connect(self) -> None:
        if not self.broker.up:
            self.broker.up = True
            self.dispatch(Connected(session_present=True, epoch=1))

    @rule(reported=st.booleans())
    def disconnect(self, reported: bool) -> None:
        if self.broker.up:
            self.broker.up = False
            self.broker.under_way = {}
            if reported:
                self.dispatch(Disconnected("network", epoch=1, code=0x8D))

    @rule(reason=st.sampled_from([SUCCESS, SUCCESS, UNWATCHED, QUOTA]))
    def answer(self, reason: int) -> None:
        if self.broker.up and self.broker.under_way:
            self.dispatch(self.broker.answer(min(self.broker.under_way), reason))

    @rule(payload=st.sampled_from([INTAKE_OPEN, INTAKE_CLOSED, b""]))
    def hub_speaks(self, payload: bytes) -> None:
        if self.broker.up:
            self.dispatch(intake_message("one", payload))

    @rule()
    def deliver(self) -> None:
        self.broker.deliver()

    @rule(present=st.booleans())
    def crash_of_the_broker(self, present: bool) -> None:
        self.broker.queued = []
        self.broker.under_way = {}
        self.broker.up = True
        self.dispatch(Disconnected("crash", 1), Connected(session_present=present, epoch=2))

    @rule()
    def crash_of_the_agent(self) -> None:
        self.spool.close()
        self.broker.under_way = {}
        self.broker.up = False
        self.start()

    def teardown(self) -> None:
        self.connect()
        self.dispatch(Connected(session_present=True, epoch=3), intake_message("one", INTAKE_OPEN))
        for _ in range(2 * self.put_so_far + 10):
            self.now_s += 31.0
            self.publisher.publish_pending(self.now_s)
            for mid in sorted(self.broker.under_way):
                self.dispatch(self.broker.answer(mid, SUCCESS))
        self.broker.deliver()
        assert {int(payload) for payload in self.broker.received} == set(range(self.put_so_far))
        assert self.spool.pending() == 0
        self.spool.close()
        self.folder.cleanup()


NothingIsLost.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
test_nothing_is_lost = NothingIsLost.TestCase

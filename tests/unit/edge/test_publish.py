"""The publisher: what is under way, what an answer means, and that nothing is ever lost."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from edge.publish import Delivered, Kept, Publisher, Window
from edge.spool import Spool
from shared.errors import Unavailable
from shared.mqtt import Acknowledged, Connected, Disconnected, Received, Signal
from shared.topics import CLOSED, OPEN, HubTopic

SUCCESS, NOBODY, QUOTA, NOT_AUTHORISED = 0x00, 0x10, 0x97, 0x87


def test_no_more_than_the_limit_is_under_way() -> None:
    window = Window(limit=3)
    for mid in range(3):
        assert window.room(0.0) == 3 - mid
        window.sent(mid, row=mid)
    assert window.room(0.0) == 0
    assert window.answered(0, SUCCESS, 0.0) == Delivered(0)
    assert window.room(0.0) == 1
    assert window.rows == {1, 2}


def test_an_answer_to_a_strangers_message_means_nothing() -> None:
    assert Window().answered(7, SUCCESS, 0.0) is None


@pytest.mark.parametrize("reason", [NOBODY, 0x80, QUOTA, NOT_AUTHORISED])
def test_a_refused_row_is_kept_and_the_window_closes_for_two_seconds(reason: int) -> None:
    window = Window()
    window.sent(1, row=5)
    assert window.answered(1, reason, now_s=100.0) == Kept(5, reason, 2.0)
    assert window.rows == frozenset()
    assert window.room(101.9) == 0
    assert window.room(102.0) == 1


def test_waits_double_up_to_thirty_seconds_while_one_message_probes() -> None:
    window, now_s, waits = Window(), 0.0, []
    for mid in range(7):
        assert window.room(now_s) >= 1
        window.sent(mid, row=1)
        verdict = window.answered(mid, NOBODY, now_s)
        assert isinstance(verdict, Kept)
        waits.append(verdict.wait_s)
        now_s += verdict.wait_s
        assert window.room(now_s) == 1
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_bad_answers_within_one_wait_count_once() -> None:
    window = Window()
    for mid in range(16):
        window.sent(mid, row=mid)
    for mid in range(16):
        window.answered(mid, NOBODY, now_s=mid * 0.01)
    assert window.room(2.0) == 1


def test_one_success_reopens_the_whole_window() -> None:
    window = Window(limit=4)
    window.sent(1, row=1)
    window.answered(1, NOBODY, 0.0)
    window.sent(2, row=1)
    assert window.answered(2, SUCCESS, 2.0) == Delivered(1)
    assert window.room(2.0) == 4


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from([SUCCESS, NOBODY, QUOTA])), min_size=1, max_size=60))
def test_the_window_never_overflows_and_never_stays_closed(answers: list[tuple[float, int]]) -> None:
    window, now_s, mids, under_way = Window(limit=4), 0.0, itertools.count(), list[int]()
    for wait_s, reason in answers:
        now_s += wait_s
        for _ in range(window.room(now_s)):
            mid = next(mids)
            window.sent(mid, row=mid)
            under_way.append(mid)
        assert len(under_way) <= 4
        if under_way:
            window.answered(under_way.pop(0), reason, now_s)
    assert under_way or window.room(now_s + 30.0) >= 1


class Broker:
    """A broker in memory, as seen through paho: it keeps what is under way and sends it again by itself.

    `queued` holds what the broker has acknowledged but not handed to the hub; it forgets it in a crash.
    """

    def __init__(self) -> None:
        self.mids = itertools.count(1)
        self.up = False
        self.under_way: dict[int, bytes] = {}
        self.queued: list[bytes] = []
        self.heard: list[bytes] = []

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (topic, retain, qos, content_type) == ("t", False, 1, "application/cbor")
        if not self.up:
            raise Unavailable("down")
        mid = next(self.mids)
        self.under_way[mid] = payload
        return mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert (topic_filter, qos) == ("earwitness/v1/hubs/+/intake", 0)

    def answer(self, mid: int, reason: int) -> Signal:
        payload = self.under_way.pop(mid)
        if reason == SUCCESS:
            self.queued.append(payload)
        return Acknowledged(mid=mid, reason=reason, epoch=1)

    def deliver(self) -> None:
        self.heard += self.queued
        self.queued = []


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "s.db", 10**6)
    yield made
    made.close()


def test_nothing_is_sent_before_the_connection_is_up(spool: Spool) -> None:
    broker = Broker()
    publisher = Publisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    broker.up = True
    assert publisher.pump(0.0) == 0
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    assert publisher.pump(0.0) == 1


def test_a_row_under_way_is_not_sent_twice_after_a_reconnection(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = Publisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    publisher.handle([Connected(session_present=False, epoch=1)], 0.0, 0.0)
    publisher.pump(0.0)
    publisher.handle([Disconnected("gone", 1), Connected(session_present=True, epoch=2)], 1.0, 1.0)
    assert publisher.pump(1.0) == 0
    publisher.handle([broker.answer(1, SUCCESS)], 2.0, 2.0)
    assert (publisher.published, spool.pending()) == (1, 0)


@pytest.mark.parametrize("present", [True, False])
def test_a_broker_that_may_have_lost_its_memory_gets_the_last_minute_again(spool: Spool, present: bool) -> None:
    broker = Broker()
    broker.up = True
    publisher = Publisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    for at_s, name in ((0.0, "old"), (100.0, "new")):
        spool.put(name, "t", name.encode())
        publisher.pump(at_s)
        publisher.handle([broker.answer(max(broker.under_way), SUCCESS)], at_s, at_s)
    publisher.handle([Disconnected("crash", 1), Connected(session_present=present, epoch=2)], 101.0, 101.0)
    assert [waiting.event for waiting in spool.next(9)] == ["new"]


def test_acknowledgements_before_a_lost_session_are_part_of_what_is_sent_again(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = Publisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    spool.put("a", "t", b"a")
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    publisher.pump(0.0)
    answer = broker.answer(1, SUCCESS)
    publisher.handle([answer, Disconnected("crash", 1), Connected(session_present=False, epoch=2)], 1.0, 1.0)
    assert spool.pending() == 1


def said(hub: str, payload: bytes) -> Received:
    return Received(str(HubTopic(hub, "intake")), payload, mid=0, qos=0, retain=True, content_type=None, epoch=1)


def test_what_no_hub_takes_stays_in_the_spool_until_one_does(spool: Spool) -> None:
    broker = Broker()
    broker.up = True
    publisher = Publisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1), said("one", CLOSED)], 0.0, 0.0)
    spool.put("a", "t", b"a")
    spool.put("b", "t", b"b")
    assert publisher.pump(59.0) == 2, "a restart is left to the broker"
    spool.put("c", "t", b"c")
    assert publisher.pump(60.0) == 0
    publisher.handle([said("one", OPEN)], 61.0, 61.0)
    assert publisher.pump(61.0) == 1


class NothingIsLost(RuleBasedStateMachine):
    """A flaky broker, refusals, crashes of both programs: the hub hears every event at least once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now_s = 0.0
        self.put_so_far = 0
        self.broker = Broker()
        self.start()

    def start(self) -> None:
        self.spool = Spool(Path(self.folder.name) / "s.db", 10**6)
        self.publisher = Publisher(
            self.broker, self.spool, resend_window_s=1e9, patience_s=60.0, window=Window(limit=3)
        )

    def tell(self, *signals: Signal) -> None:
        self.publisher.handle(list(signals), self.now_s, self.now_s)

    @rule(clips=st.integers(1, 4))
    def capture(self, clips: int) -> None:
        for _ in range(clips):
            self.spool.put(str(self.put_so_far), "t", str(self.put_so_far).encode())
            self.put_so_far += 1

    @rule(wait_s=st.floats(0, 40))
    def pump(self, wait_s: float) -> None:
        self.now_s += wait_s
        self.publisher.pump(self.now_s)
        assert len(self.broker.under_way) <= 3

    @rule()
    def connect(self) -> None:
        if not self.broker.up:
            self.broker.up = True
            self.tell(Connected(session_present=True, epoch=1))

    @rule(told=st.booleans())
    def disconnect(self, told: bool) -> None:
        if self.broker.up:
            self.broker.up = False
            if told:
                self.tell(Disconnected("network", epoch=1))

    @rule(reason=st.sampled_from([SUCCESS, SUCCESS, NOBODY, QUOTA]))
    def answer(self, reason: int) -> None:
        if self.broker.up and self.broker.under_way:
            self.tell(self.broker.answer(min(self.broker.under_way), reason))

    @rule(payload=st.sampled_from([OPEN, CLOSED, b""]))
    def hub_speaks(self, payload: bytes) -> None:
        if self.broker.up:
            self.tell(said("one", payload))

    @rule()
    def deliver(self) -> None:
        self.broker.deliver()

    @rule(present=st.booleans())
    def crash_of_the_broker(self, present: bool) -> None:
        self.broker.queued = []
        self.broker.up = True
        self.tell(Disconnected("crash", 1), Connected(session_present=present, epoch=2))

    @rule()
    def crash_of_the_agent(self) -> None:
        self.spool.close()
        self.broker.under_way = {}
        self.broker.up = False
        self.start()

    def teardown(self) -> None:
        self.connect()
        self.tell(Connected(session_present=True, epoch=3), said("one", OPEN))
        for _ in range(2 * self.put_so_far + 10):
            self.now_s += 31.0
            self.publisher.pump(self.now_s)
            for mid in sorted(self.broker.under_way):
                self.tell(self.broker.answer(mid, SUCCESS))
        self.broker.deliver()
        assert {int(payload) for payload in self.broker.heard} == set(range(self.put_so_far))
        assert self.spool.pending() == 0
        self.spool.close()
        self.folder.cleanup()


NothingIsLost.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
test_nothing_is_lost = NothingIsLost.TestCase

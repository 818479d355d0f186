"""One message never stops the others, whatever the broker, the disk or another client does to it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.publisher import CALM_S, SpoolPublisher
from edge.spool import Spool
from edge.spool_entries import ENDS_CONNECTIONS, TOO_LARGE, UNSENDABLE, SpoolEntry
from shared.mqtt.session import Acknowledged, Connected, Disconnected
from tests.edge.test_publisher import QUOTA, SUCCESS, Broker


class StrictBroker(Broker):
    """One whose client refuses a topic with a wildcard, as paho does."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        if "#" in topic:
            raise ValueError("Publish topic cannot contain wildcards.")
        return super().publish(topic, payload, retain=retain, qos=qos, content_type=content_type)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "s.db", 10**6)
    yield made
    made.close()


def connected(broker: Broker, spool: Spool, receive_maximum: int | None = None) -> SpoolPublisher:
    broker.up = True
    publisher = SpoolPublisher(broker, spool, resend_window_s=60.0, patience_s=60.0)
    publisher.handle([Connected(session_present=True, epoch=1, receive_maximum=receive_maximum)], 0.0, 0.0)
    return publisher


def test_a_message_that_the_broker_always_refuses_waits_behind_all_others(spool: Spool) -> None:
    broker = Broker()
    publisher = connected(broker, spool)
    spool.put("bad", "t", b"bad")
    for number in range(50):
        now_s = 31.0 * number
        publisher.publish_pending(now_s)
        for mid, payload in list(broker.under_way.items()):
            publisher.handle([broker.answer(mid, 0x99 if payload == b"bad" else SUCCESS)], now_s, 0.0)
        spool.put(str(number), "t", str(number).encode())
    assert [int(one) for one in broker.queued] == list(range(49))
    assert [one.event for one in spool.peek(9)] == ["bad", "49"], "the refused one is kept"


def test_a_refused_message_is_tried_again_when_nothing_else_waits(spool: Spool) -> None:
    broker = Broker()
    publisher = connected(broker, spool)
    spool.put("a", "t", b"a")
    publisher.publish_pending(0.0)
    publisher.handle([broker.answer(1, QUOTA)], 0.0, 0.0)
    assert [publisher.publish_pending(1.0), publisher.publish_pending(2.0)] == [0, 1]
    publisher.handle([broker.answer(2, SUCCESS)], 3.0, 0.0)
    assert publisher.drained


def test_a_suspect_that_is_too_large_by_now_is_set_aside_once_and_the_others_go_on(spool: Spool) -> None:
    broker = Broker()
    publisher = connected(broker, spool)
    spool.put("large", "t", bytes(5_000))
    spool.put("small", "t", b"small")
    publisher.publish_pending(0.0)
    publisher.handle([Disconnected("the broker restarts", 1), Connected(True, 2, maximum_packet=1_000)], 1.0, 0.0)
    broker.under_way.clear()
    for now_s in (1.0, 2.0):
        publisher.publish_pending(now_s)
        publisher.handle([], now_s, 0.0)
    assert list(broker.under_way.values()) == [b"small"]
    assert [one.reason for one in spool.all_aside()] == [TOO_LARGE]


def test_a_message_whose_topic_the_disk_has_damaged_is_set_aside(spool: Spool) -> None:
    broker = StrictBroker()
    publisher = connected(broker, spool)
    spool.put("bad", "earwitness/#", b"bad")
    spool.put("good", "t", b"good")
    for now_s in (1.0, 2.0):
        publisher.publish_pending(now_s)
        publisher.handle([], now_s, 0.0)
    assert list(broker.under_way.values()) == [b"good"]
    assert [one.reason for one in spool.all_aside()] == [UNSENDABLE]


def test_repeats_keep_to_what_the_broker_takes_at_a_time(spool: Spool) -> None:
    broker = Broker()
    publisher = connected(broker, spool, receive_maximum=2)
    for name in "abcdef":
        spool.put(name, "t", name.encode())
    while spool.pending():
        publisher.publish_pending(0.0)
        publisher.handle([broker.answer(mid, SUCCESS) for mid in sorted(broker.under_way)], 0.0, 0.0)
    publisher.handle([Disconnected("gone", 1), Connected(True, 2, receive_maximum=4)], 1.0, 0.0)
    publisher.publish_pending(1.0)
    assert len(broker.under_way) == 2, "the sensor's state and a reply may be the other two"


def test_a_rival_of_long_ago_does_not_acquit_a_message_that_ends_connections(spool: Spool) -> None:
    broker = Broker()
    publisher = connected(broker, spool)
    publisher.rival()
    publisher.handle([Disconnected("gone", 1), Connected(session_present=True, epoch=2)], 1.0, 0.0)
    publisher.handle([Acknowledged(-1, SUCCESS, 2)], 1.0 + CALM_S, 0.0)
    spool.put("poison", "t", b"poison")
    for epoch in (3, 4, 5):
        publisher.publish_pending(1_000.0 * epoch)
        publisher.handle([Disconnected("gone", epoch - 1), Connected(True, epoch)], 1_000.0 * epoch, 0.0)
    assert [one.reason for one in spool.all_aside()] == [ENDS_CONNECTIONS]


def test_a_row_that_the_disk_does_not_give_ends_no_run_late_and_is_tried_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    publisher = connected(broker, spool)
    for name in "ab":
        spool.put(name, "t", name.encode())
    load, now_s = spool._load, 0.0

    def failing(db: sqlite3.Connection, row: int) -> SpoolEntry | None:
        return None if row == 1 else load(db, row)

    monkeypatch.setattr("edge.spool.time.monotonic", lambda: now_s)
    monkeypatch.setattr(spool, "_load", failing)
    publisher.publish_pending(0.0)
    publisher.handle([broker.answer(1, SUCCESS)], 0.0, 0.0)
    assert (broker.queued, spool.pending(), publisher.drained) == ([b"b"], 1, True)
    monkeypatch.setattr(spool, "_load", load)
    assert publisher.publish_pending(1.0) == 0
    now_s = 61.0
    assert publisher.publish_pending(61.0) == 1
    assert not publisher.drained
    publisher.handle([broker.answer(2, SUCCESS)], 61.0, 0.0)
    assert (broker.queued, publisher.drained) == ([b"b", b"a"], True)

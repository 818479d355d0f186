import threading

import pytest

from hub.ingest.backlog import Backlog


def test_there_is_room_below_both_limits_only() -> None:
    backlog = Backlog(capacity=2, capacity_bytes=100)
    backlog.offer(10)
    assert backlog.has_room
    backlog.offer(10)
    assert not backlog.has_room
    assert backlog.has_memory
    backlog.handled(10)
    backlog.offer(95)
    backlog.handled(10)
    assert backlog.has_memory
    backlog.offer(5)
    assert not backlog.has_memory
    assert (backlog.messages(), backlog.bytes()) == (2, 100)


def test_a_backlog_that_is_handled_is_empty_and_not_stalled() -> None:
    backlog = Backlog(capacity=1, capacity_bytes=10)
    assert backlog.is_empty
    backlog.offer(3)
    assert not backlog.is_empty
    backlog.handled(3)
    assert (backlog.is_empty, backlog.stalled_s) == (True, 0.0)


@pytest.mark.parametrize("stops", [False, True])
def test_waiting_for_room_ends_when_a_message_is_handled_or_the_consumer_stops(*, stops: bool) -> None:
    backlog, stopping = Backlog(capacity=1, capacity_bytes=10), threading.Event()
    backlog.offer(1)
    assert not backlog.wait_for_room(stopping, 0.0)
    found: list[bool] = []
    waiter = threading.Thread(target=lambda: found.append(backlog.wait_for_room(stopping, 30.0)))
    waiter.start()
    if stops:
        stopping.set()
    else:
        backlog.handled(1)
    backlog.notify_room()
    waiter.join(30.0)
    assert found == [True]

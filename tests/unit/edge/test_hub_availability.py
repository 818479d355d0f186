"""Whether events are held: when every hub that spoke has been closed for long, and never otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.hub_availability import Hubs
from shared.mqtt.topics import CLOSED, OPEN


def test_hubs_that_never_spoke_count_as_open() -> None:
    assert not Hubs(60.0).hold(1e9)


def test_events_are_held_when_every_hub_was_closed_for_long() -> None:
    hubs = Hubs(60.0)
    hubs.heard("one", OPEN, 0.0)
    hubs.heard("two", CLOSED, 0.0)
    assert not hubs.hold(1000.0), "one takes them"
    hubs.heard("one", CLOSED, 1000.0)
    assert not hubs.hold(1059.0)
    assert hubs.hold(1060.0)
    hubs.heard("two", OPEN, 1061.0)
    assert not hubs.hold(1061.0)


def test_a_reconnection_does_not_begin_the_wait_anew() -> None:
    hubs = Hubs(60.0)
    hubs.heard("one", CLOSED, 0.0)
    hubs.reconnected()
    hubs.heard("one", CLOSED, 50.0)
    assert hubs.hold(60.0)


def test_a_hub_that_comes_after_others_left_is_given_time() -> None:
    hubs = Hubs(60.0)
    hubs.heard("one", CLOSED, 0.0)
    hubs.heard("one", b"", 1.0)
    hubs.heard("two", CLOSED, 1_000.0)
    assert not hubs.hold(1_059.0)
    assert hubs.hold(1_060.0)


@pytest.mark.parametrize("payload", [b"", b"shut"])
def test_a_hub_that_left_or_says_what_is_not_known_holds_nothing(payload: bytes) -> None:
    hubs = Hubs(60.0)
    hubs.heard("one", CLOSED, 0.0)
    hubs.heard("one", payload, 1.0)
    assert not hubs.hold(1e9)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([OPEN, CLOSED, b""]), st.integers(0, 100))))
def test_events_are_held_only_while_a_hub_is_closed_and_none_is_open(said: list[tuple[str, bytes, int]]) -> None:
    hubs, now_s, last = Hubs(60.0), 0, dict[str, bytes]()
    for hub, payload, wait_s in said:
        now_s += wait_s
        hubs.heard(hub, payload, now_s)
        last[hub] = payload
    assert hubs.hold(now_s + 60.0) == (CLOSED in last.values() and OPEN not in last.values())

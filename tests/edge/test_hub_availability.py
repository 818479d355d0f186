"""Whether events are held: when every hub that spoke has been closed for long, and never otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.hub_availability import HubAvailability
from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN


def test_hubs_that_never_spoke_count_as_open() -> None:
    assert not HubAvailability(60.0).should_hold(1e9)


def test_events_are_held_when_every_hub_was_closed_for_long() -> None:
    hubs = HubAvailability(60.0)
    hubs.on_intake_message("one", INTAKE_OPEN, 0.0)
    hubs.on_intake_message("two", INTAKE_CLOSED, 0.0)
    assert not hubs.should_hold(1000.0), "one takes them"
    hubs.on_intake_message("one", INTAKE_CLOSED, 1000.0)
    assert not hubs.should_hold(1059.0)
    assert hubs.should_hold(1060.0)
    hubs.on_intake_message("two", INTAKE_OPEN, 1061.0)
    assert not hubs.should_hold(1061.0)


def test_a_reconnection_does_not_begin_the_wait_again() -> None:
    hubs = HubAvailability(60.0)
    hubs.on_intake_message("one", INTAKE_CLOSED, 0.0)
    hubs.reset()
    hubs.on_intake_message("one", INTAKE_CLOSED, 50.0)
    assert hubs.should_hold(60.0)


def test_a_hub_that_comes_after_others_left_is_given_time() -> None:
    hubs = HubAvailability(60.0)
    hubs.on_intake_message("one", INTAKE_CLOSED, 0.0)
    hubs.on_intake_message("one", b"", 1.0)
    hubs.on_intake_message("two", INTAKE_CLOSED, 1_000.0)
    assert not hubs.should_hold(1_059.0)
    assert hubs.should_hold(1_060.0)


@pytest.mark.parametrize("payload", [b"", b"shut"])
def test_a_hub_that_left_or_states_what_is_not_known_holds_nothing(payload: bytes) -> None:
    hubs = HubAvailability(60.0)
    hubs.on_intake_message("one", INTAKE_CLOSED, 0.0)
    hubs.on_intake_message("one", payload, 1.0)
    assert not hubs.should_hold(1e9)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([INTAKE_OPEN, INTAKE_CLOSED, b""]), st.integers(0, 100))
    )
)
def test_events_are_held_only_while_a_hub_is_closed_and_none_is_open(stated: list[tuple[str, bytes, int]]) -> None:
    hubs, now_s, last = HubAvailability(60.0), 0, dict[str, bytes]()
    for hub, payload, wait_s in stated:
        now_s += wait_s
        hubs.on_intake_message(hub, payload, now_s)
        last[hub] = payload
    assert hubs.should_hold(now_s + 60.0) == (INTAKE_CLOSED in last.values() and INTAKE_OPEN not in last.values())

"""Which times are believed, and what speaks against a hub's own clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.clocks import Doubts, believed_at, doubts, waited_s
from hub.domain.records import ClockReading, Sensor, StoredReport
from shared.events import Event
from shared.messages.sensor import STATE_EXPIRY_S
from tests.factories import NOON, event

TOLERANCE = timedelta(minutes=2)
HOUR = timedelta(hours=1)
RECEIPT = NOON - timedelta(seconds=10)
"""When a clip of 10 s that is received at noon began at the latest."""


def claiming(at: datetime, **changes: object) -> Event:
    return replace(event(), captured_at=at, **changes)  # type: ignore[arg-type]


def sensor(
    name: str = "s", skew_s: float | None = None, claimed: datetime | None = NOON, **changes: object
) -> Sensor:
    known = Sensor(
        place=f"demo/{name}",
        events=1,
        last_event="s.boot.1",
        last_captured_at=NOON,
        last_received_at=NOON,
        state="ready",
        boot="boot",
        last_claimed_at=claimed,
        clock=None if skew_s is None else ClockReading("boot", skew_s),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "claimed",
    [
        NOON + 2 * HOUR,
        datetime(2199, 12, 31, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("clock", ["synchronised", "unsynchronised", "unknown"])
@pytest.mark.parametrize("backfilled", [True, False])
def test_a_time_that_cannot_be_gives_way_to_that_of_the_receipt(
    claimed: datetime, clock: str, *, backfilled: bool
) -> None:
    sent = claiming(claimed, clock=clock, backfilled=backfilled)
    assert believed_at(sent, NOON, TOLERANCE, None) == RECEIPT


@given(age=st.timedeltas(timedelta(0), timedelta(days=3_000)), backfilled=st.booleans())
def test_a_backlog_and_a_replay_keep_their_time_however_old_they_are(age: timedelta, *, backfilled: bool) -> None:
    sent = claiming(RECEIPT - age, backfilled=backfilled)
    assert believed_at(sent, NOON, TOLERANCE, None) == sent.captured_at
    assert believed_at(sent, NOON, TOLERANCE, 0.5) == sent.captured_at


def test_clocks_may_differ_by_the_tolerance() -> None:
    sent = claiming(RECEIPT + TOLERANCE)
    assert believed_at(sent, NOON, TOLERANCE, None) == sent.captured_at
    assert believed_at(replace(sent, captured_at=sent.captured_at + HOUR / 3600), NOON, TOLERANCE, None) == RECEIPT


def test_a_clock_that_was_measured_to_be_behind_is_not_believed_unless_it_is_synchronised_or_a_replay() -> None:
    sent = claiming(NOON - 5 * HOUR)
    assert believed_at(sent, NOON, TOLERANCE, -18_000.0) == RECEIPT
    for sure in (replace(sent, clock="synchronised"), replace(sent, backfilled=True)):
        assert believed_at(sure, NOON, TOLERANCE, -18_000.0) == sent.captured_at


def test_a_hub_whose_own_clock_is_wrong_believes_its_sensors() -> None:
    for at in (NOON - 5 * HOUR, NOON + 5 * HOUR):
        assert believed_at(claiming(at), NOON, TOLERANCE, -18_000.0, trusted=False) == at
    assert believed_at(claiming(datetime(1970, 1, 2, tzinfo=UTC)), NOON, TOLERANCE, None, trusted=False) == RECEIPT


def test_the_broker_reports_how_long_a_state_waited() -> None:
    assert waited_s(STATE_EXPIRY_S, retained=False) == 0.0
    assert waited_s(STATE_EXPIRY_S - 18_000, retained=True) == 18_000.0
    assert waited_s(None, retained=False) is None, "a sensor of an earlier version"
    assert waited_s(STATE_EXPIRY_S, retained=True) is None, "a broker that takes nothing off"
    assert waited_s(STATE_EXPIRY_S + 1, retained=False) is None


def test_a_clock_that_agrees_with_all_others_is_not_in_doubt() -> None:
    known = [sensor("a", 0.4), sensor("b", -1.0), sensor("c")]
    assert doubts(NOON + timedelta(seconds=3), NOON, known, TOLERANCE) == Doubts()
    assert doubts(NOON, NOON, [], TOLERANCE) == Doubts(), "an archive that nothing was put in"


def test_a_hub_whose_clock_differs_from_the_stores_removes_nothing() -> None:
    found = doubts(NOON + 2_400 * HOUR, NOON, [sensor()], TOLERANCE)
    assert "100.0 days ahead of the store's" in found.clock
    assert found.retention == found.clock


def test_a_hub_and_store_whose_clock_is_ahead_of_every_sensors_remove_nothing() -> None:
    later = NOON + 2_400 * HOUR
    found = doubts(later, later, [sensor()], TOLERANCE)
    assert "2026-06-01 12:00" in found.retention
    report = StoredReport(NOON, 0, 0.0, 0, None)
    assert doubts(later, later, [sensor(claimed=None, report=report)], TOLERANCE).retention
    assert not doubts(later, later, [sensor(), sensor("b", claimed=later)], TOLERANCE).retention


def test_sensors_that_agree_are_believed_rather_than_the_hub() -> None:
    later = NOON + 2_400 * HOUR
    many = [sensor(name, -8_640_000.0 + number) for number, name in enumerate("abc")]
    found = doubts(later, later, many, TOLERANCE)
    assert "3 of 3 sensors" in found.clock
    assert found.measures, "else it would never know that its clock was set right"
    assert doubts(NOON, NOON, [sensor("a", -7_200.0), sensor("b", 0.1)], TOLERANCE) == Doubts(), "one is not many"
    assert doubts(NOON, NOON, [sensor("a", -7_200.0), sensor("b", 9e6), sensor("c")], TOLERANCE) == Doubts()


def test_a_hub_whose_clock_went_back_removes_nothing() -> None:
    early = datetime(1970, 1, 1, tzinfo=UTC)
    found = doubts(early, early, [sensor()], TOLERANCE)
    assert "later than this hub's clock" in found.clock
    assert not found.measures


def test_a_hub_that_begins_in_1970_knows_that_its_clock_is_wrong_even_with_an_empty_archive() -> None:
    early = datetime(1970, 1, 1, tzinfo=UTC)
    assert "before this program was written" in doubts(early, early, [], TOLERANCE).clock


def test_a_claim_that_cannot_be_is_no_evidence() -> None:
    later = NOON + 2_400 * HOUR
    known = [sensor(), sensor("b", claimed=datetime(2199, 1, 1, tzinfo=UTC))]
    assert doubts(later, later, known, TOLERANCE).retention


def test_the_skew_of_a_sensor_is_what_was_measured_or_at_least_what_its_last_event_shows() -> None:
    assert sensor().clock_skew_s is None
    assert sensor(skew_s=-7_200.0).clock_skew_s == -7_200.0
    assert sensor(skew_s=-7_200.0, boot="another").clock_skew_s is None
    assert sensor(claimed=NOON + 2 * HOUR).clock_skew_s == 7_200.0
    assert sensor(skew_s=7_205.0, claimed=NOON + 2 * HOUR).clock_skew_s == 7_205.0

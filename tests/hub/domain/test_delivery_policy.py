"""Which channel is sent what and when, whatever the hour, the zone and the rules."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.domain.delivery_policy import (
    HEAD_OF_LINE_RETRIES,
    SEVERITIES,
    DeliveryPolicy,
    TimeOfDayRange,
    failures_allowed,
    is_expired,
    is_news,
    parse_time_of_day,
)
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, Severity
from tests.factories import NOON, alert

BERLIN = ZoneInfo("Europe/Berlin")
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]).map(
    ZoneInfo
)
times = st.times(time(0, 0), time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0, fold=0))
hours = st.tuples(times, times).filter(lambda both: both[0] != both[1]).map(lambda both: TimeOfDayRange(*both))
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001
severities = st.sampled_from(SEVERITIES)


@st.composite
def rules(draw: st.DrawFn) -> DeliveryPolicy:
    quiet = draw(st.none() | hours)
    digest_time = draw(st.none() | times)
    if quiet is not None and digest_time is not None and digest_time in quiet:
        digest_time = None
    return DeliveryPolicy(
        zone=draw(zones), quiet=quiet, digest_time=digest_time, max_per_day=draw(st.none() | st.integers(0, 50))
    )


def of(severity: Severity, site: str = "demo") -> AlertMessage:
    return alert().model_copy(update={"severity": severity, "site": site})


@given(rules(), moments, st.integers(0, 100))
def test_an_urgent_alert_is_never_held(one: DeliveryPolicy, now: datetime, reported: int) -> None:
    assert not one.should_defer([of("urgent")], now, reported)
    assert not one.should_defer([of("notice"), of("urgent")], now, reported)


@given(rules(), moments, st.integers(0, 100), st.sampled_from(["notice", "recurring"]))
def test_another_alert_is_held_exactly_in_quiet_hours_and_beyond_the_most_a_day(
    one: DeliveryPolicy, now: datetime, reported: int, severity: Severity
) -> None:
    full = one.max_per_day is not None and reported >= one.max_per_day
    assert one.should_defer([of(severity)], now, reported) == (one.quiet_at(now) or full)
    assert one.should_defer([of(severity)], now, reported, digest=True) == one.quiet_at(now)


@given(rules(), moments)
def test_what_is_held_goes_out_within_a_day_or_so_and_never_in_quiet_hours(
    one: DeliveryPolicy, held: datetime
) -> None:
    at = one.next_digest(held)
    assert held < at <= held + timedelta(hours=26)
    assert not one.quiet_at(at)
    assert one.digest_due(held, at)
    assert not one.digest_due(held, at - timedelta(seconds=1))
    assert not one.digest_due(None, at)


@given(rules(), moments, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_digest_once_due_is_due_until_it_is_sent_except_in_quiet_hours(
    one: DeliveryPolicy, held: datetime, later: timedelta
) -> None:
    now = one.next_digest(held) + later
    assert one.digest_due(held, now) != one.quiet_at(now)


@given(hours, times)
def test_a_time_is_in_hours_or_in_the_rest_of_the_day(part: TimeOfDayRange, at: time) -> None:
    assert (at in part) != (at in TimeOfDayRange(part.end, part.start))
    assert part.start in part
    assert part.end not in part


@given(hours)
def test_hours_are_read_as_they_are_written(part: TimeOfDayRange) -> None:
    assert TimeOfDayRange.parse(f"{part.start:%H:%M}-{part.end:%H:%M}") == part


@pytest.mark.parametrize("text", ["", "22:00", "22-6", "22:00-22:00", "25:00-06:00", "22:00-06:00-07:00", "a-b"])
def test_other_texts_are_no_hours(text: str) -> None:
    with pytest.raises(InvalidError, match=r"22:00-06:00|08:00"):
        TimeOfDayRange.parse(text)


@given(rules(), severities, severities)
def test_a_channel_gets_what_is_severe_enough(one: DeliveryPolicy, least: Severity, severity: Severity) -> None:
    asked = DeliveryPolicy(zone=one.zone, least=least)
    assert asked.accepts(of(severity)) == (SEVERITIES.index(severity) >= SEVERITIES.index(least))


def test_a_channel_gets_alerts_of_its_sites() -> None:
    asked = DeliveryPolicy(zone=BERLIN, sites=frozenset({"north"}))
    assert asked.accepts(of("notice", "north"))
    assert not asked.accepts(of("urgent", "south"))
    assert DeliveryPolicy(zone=BERLIN).accepts(of("notice", "south"))


def test_quiet_hours_and_digests_keep_the_sites_time_when_clocks_change() -> None:
    one = DeliveryPolicy(zone=BERLIN, quiet=TimeOfDayRange(time(22), time(6)))
    winter, summer = datetime(2026, 1, 10, 23, tzinfo=BERLIN), datetime(2026, 3, 28, 23, tzinfo=BERLIN)
    assert one.next_digest(winter) == datetime(2026, 1, 11, 5, tzinfo=UTC)
    assert one.next_digest(summer) == datetime(2026, 3, 29, 4, tzinfo=UTC), "that night the clocks are set forward"


def test_an_alert_held_in_the_hour_that_comes_twice_goes_out_that_night() -> None:
    one = DeliveryPolicy(zone=BERLIN, quiet=TimeOfDayRange(time(22), time(2, 30)))
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert one.quiet_at(second)
    assert one.next_digest(second) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_digests_come_at_the_end_of_quiet_hours_and_at_their_hour_or_else_at_eight() -> None:
    quiet = TimeOfDayRange(time(22), time(6))
    assert DeliveryPolicy(zone=BERLIN).digest_times == (time(8),)
    assert DeliveryPolicy(zone=BERLIN, quiet=quiet).digest_times == (time(6),)
    assert DeliveryPolicy(zone=BERLIN, quiet=quiet, digest_time=time(12)).digest_times == (time(6), time(12))


def test_a_digest_in_quiet_hours_is_refused() -> None:
    with pytest.raises(InvalidError, match="quiet"):
        DeliveryPolicy(zone=BERLIN, quiet=TimeOfDayRange(time(22), time(6)), digest_time=time(5))


def test_one_message_may_fail_until_patience_ends_then_ever_more() -> None:
    assert [
        failures_allowed(n) for n in (1, HEAD_OF_LINE_RETRIES, HEAD_OF_LINE_RETRIES + 1, HEAD_OF_LINE_RETRIES + 5)
    ] == [1, 1, 2, 6]


@given(st.floats(1, 1e6))
@example(86_400.0)
def test_a_message_is_abandoned_after_its_time(after_s: float) -> None:
    assert is_expired(NOON, NOON + timedelta(seconds=after_s + 1), after_s)
    assert not is_expired(NOON, NOON + timedelta(seconds=after_s * 0.9), after_s)


def test_a_time_of_day_is_read() -> None:
    assert parse_time_of_day(" 08:05") == time(8, 5)


@pytest.mark.parametrize(
    ("backfilled", "delay_s", "news"),
    [(False, 0.0, True), (False, 3_600.0, True), (False, 3_601.0, False), (True, 0.0, False), (True, 1e9, False)],
)
def test_a_replay_and_what_comes_too_late_are_no_news(delay_s: float, *, backfilled: bool, news: bool) -> None:
    reported = alert().model_copy(update={"backfilled": backfilled, "delay_s": delay_s})
    assert is_news(reported, 3_600.0) is news

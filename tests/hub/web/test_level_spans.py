"""Spans of time of a page of levels: where they begin and end, also when clocks change."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.level_spans import SPANS, SpanName, span_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_S = 3_600


@pytest.mark.parametrize(
    ("name", "begin", "hours"),
    [
        ("hour", "2026-06-03T14:00+02:00", 1),
        ("day", "2026-06-03T00:00+02:00", 24),
        ("week", "2026-06-01T00:00+02:00", 7 * 24),
        ("year", "2026-01-01T00:00+01:00", 365 * 24),
    ],
)
def test_a_span_contains_its_date(name: SpanName, begin: str, hours: int) -> None:
    begin_s, end_s = span_of(name, date(2026, 6, 3), 14, BERLIN).bounds_s
    assert datetime.fromtimestamp(begin_s, UTC) == datetime.fromisoformat(begin)
    assert end_s - begin_s == hours * HOUR_S


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_on_which_clocks_change_has_23_or_25_hours(day: date, hours: int) -> None:
    begin_s, end_s = span_of("day", day, 0, BERLIN).bounds_s
    assert end_s - begin_s == hours * HOUR_S
    (twice_s, after_s) = span_of("hour", date(2026, 10, 25), 2, BERLIN).bounds_s
    assert after_s - twice_s == 2 * HOUR_S
    (never_s, later_s) = span_of("hour", date(2026, 3, 29), 2, BERLIN).bounds_s
    assert later_s - never_s == HOUR_S


@given(st.sampled_from(SPANS), st.dates(date(1972, 1, 1), date(2190, 1, 1)), st.integers(0, 23))
def test_spans_follow_each_other(name: SpanName, day: date, hour: int) -> None:
    span = span_of(name, day, hour, ZoneInfo("UTC"))
    assert span.moved(1).bounds_s[0] == span.bounds_s[1]
    assert span.moved(-1).bounds_s[1] == span.bounds_s[0]
    assert span.moved(1).moved(-1) == span
    ticks = list(span.ticks())
    assert ticks[0].at_s == span.bounds_s[0]
    assert [tick.at_s for tick in ticks] == sorted(tick.at_s for tick in ticks)
    assert ticks[-1].at_s < span.bounds_s[1]
    assert span.query.startswith(f"span={name}&day={span.day}")

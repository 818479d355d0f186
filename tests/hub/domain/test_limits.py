"""Rules of limits: when they apply, also where clocks change, and what exceeds them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.domain.limit_summary import describe_rule
from hub.domain.limits import LimitRule, day_bounds, local_minutes, periods_between, year_bounds
from tests.factories import limit_rule

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NIGHT = (22 * 60, 7 * 60)
HOUR_S = 3_600


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def hours_of(rule: LimitRule, begin: str, hours: int, zone: ZoneInfo) -> list[int]:
    """The hours, counted from the begin, that a rule judges as a whole."""
    applies = rule.applies(local_minutes(seconds(begin) // HOUR_S, hours, zone))
    return np.flatnonzero(applies.all(axis=1)).tolist()


def test_hours_are_local_and_a_night_has_an_hour_less_or_more_where_clocks_change() -> None:
    rule = limit_rule(hours=NIGHT)
    assert hours_of(rule, "2026-06-01T12:00", 24, BERLIN) == [*range(8, 17)], "20:00 to 05:00 UTC"
    assert len(hours_of(rule, "2026-03-28T12:00", 24, BERLIN)) == 8, "to summer time"
    assert len(hours_of(rule, "2026-10-24T12:00", 24, BERLIN)) == 10, "from summer time"


def test_where_a_zone_is_half_an_hour_off_only_hours_that_are_wholly_within_count() -> None:
    rule = limit_rule(hours=NIGHT)
    assert hours_of(rule, "2026-06-01T16:00", 12, KOLKATA) == [*range(1, 9)], "from 22:30 to 06:30 local time"
    assert rule.applies(local_minutes(seconds("2026-06-01T16:00") // HOUR_S, 1, KOLKATA)).sum() == 30


def test_the_hours_after_midnight_belong_to_the_day_on_which_the_night_began() -> None:
    rule = limit_rule(hours=NIGHT, days=(5,))
    assert hours_of(rule, "2026-06-06T00:00", 48, ZoneInfo("UTC")) == [*range(22, 31)], "Saturday, 6 June"
    assert hours_of(limit_rule(days=(6,)), "2026-06-06T00:00", 48, ZoneInfo("UTC")) == [*range(24, 48)]


def test_days_and_windows_have_their_length_where_clocks_change() -> None:
    night = limit_rule(quantity="lnight", period="day")
    window = limit_rule(period="window", hours=NIGHT)
    for on, hours in ((date(2026, 3, 28), 7), (date(2026, 6, 1), 8), (date(2026, 10, 24), 9)):
        begin, end = day_bounds(night, on, BERLIN)
        assert (end - begin) / HOUR_S == hours
        begin, end = day_bounds(window, on, BERLIN)
        assert (end - begin) / HOUR_S == hours + 1
    assert year_bounds(2026, BERLIN) == (seconds("2026-01-01T06:00"), seconds("2027-01-01T06:00"))


@pytest.mark.parametrize(
    ("rule", "periods"),
    [
        (limit_rule(), 7 * 24),
        (limit_rule(period="minute", hours=NIGHT), 7 * 9 * 60),
        (limit_rule(hours=NIGHT, days=(0, 1)), 2 * 9),
        (limit_rule(quantity="lden", period="day"), 6),
        (limit_rule(quantity="lday", period="day", days=(6,)), 1),
        (limit_rule(quantity="lden", period="year"), 0),
    ],
)
def test_the_periods_of_a_week_are_counted(rule: LimitRule, periods: int) -> None:
    week = seconds("2026-06-01T00:00"), seconds("2026-06-08T00:00")
    assert periods_between(rule, *week, ZoneInfo("UTC")) == periods
    assert periods_between(rule, week[1], week[0], ZoneInfo("UTC")) == 0


def test_a_level_exceeds_its_limit_above_it_and_with_inclusive_at_it() -> None:
    levels, limits = np.array([50.2, 50.1, 50.0, np.nan]), np.array([44.1, 44.1, 43.9, 40.0]) + 6.0
    assert limit_rule().exceeded_by(levels, limits).tolist() == [True, False, True, False]
    assert limit_rule(inclusive=True).exceeded_by(levels, limits).tolist() == [True, True, True, False]
    assert limit_rule(tolerance_db=0.1).exceeded_by(levels, limits).tolist() == [False] * 4


def test_a_rule_is_for_its_places_and_has_a_digest_of_what_it_judges() -> None:
    rule = limit_rule(places=("harbour", "school/yard"))
    assert [rule.is_for(place) for place in ("harbour/a", "school/yard", "school/roof")] == [True, True, False]
    digests = {one.digest(BERLIN) for one in (limit_rule(), limit_rule(notify=True), limit_rule(limit_db=56.0))}
    assert len(digests) == 2
    assert limit_rule().digest(BERLIN) != limit_rule().digest(KOLKATA)


def test_rules_are_described_in_words() -> None:
    rule = limit_rule(limit_db=None, above_ambient_db=7.0, inclusive=True, hours=NIGHT, days=(5, 6))
    assert describe_rule(rule) == "LAeq of an hour at least 7 dB over ambient (L90), 22:00 to 07:00, Sat, Sun"
    assert describe_rule(limit_rule(tolerance_db=1.5)) == "LAeq of an hour above 55 dB + 1.5 dB"
    assert describe_rule(limit_rule(quantity="lnight", period="day")) == "Lnight above 55 dB"

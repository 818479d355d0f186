"""Judgements of levels: what exceeds a limit, and what is not judged."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.domain.day_levels import DayLevels, PeriodLevel
from hub.domain.exceedances import Judgement, days_of, judge_day, judge_hours, judge_year
from hub.domain.level_rows import Codes, codes_of, summarised
from shared.events import LevelUnit
from tests.factories import limit_rule

PLACE = "demo/street-1"
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
DAY = 20_605
"""1 June 2026."""
DAY_S = 86_400 * DAY


def hour(*parts: tuple[float, int], unit: LevelUnit = "dB") -> Codes:
    """The statistics of an hour, uint16 [61, 7], of levels that last for some seconds each; LAFmax is 10 dB more."""
    seconds = np.zeros((3_600, 3), dtype=np.uint16)
    at = 0
    for level, length in parts:
        tenths = np.tile(np.array([level, level + 10, level + 3]) * 10, (length, 1)).round().astype(np.int16)
        seconds[at : at + length] = codes_of(tenths, unit)
        at += length
    return summarised(seconds)


def day(hours: dict[int, Codes]) -> Codes:
    """The statistics of a day, uint16 [1464, 7]."""
    every = [hours.get(number, np.zeros((61, 7), dtype=np.uint16)) for number in range(24)]
    return np.concatenate([*(one[:1] for one in every), *(one[1:] for one in every)])


def judged(found: list[Judgement], at: int) -> tuple[int, int, int]:
    one = found[at]
    return one.judged, one.exceeded, one.uncalibrated


def test_an_hour_above_the_limit_is_an_exceedance_and_one_below_it_is_not() -> None:
    found = judge_hours(
        limit_rule(limit_db=60.0), PLACE, DAY, day({5: hour((60.1, 3_600)), 6: hour((60.0, 3_600))}), UTC_ZONE
    )
    assert [judged(found, at) for at in (4, 5, 6)] == [(0, 0, 0), (1, 1, 0), (1, 0, 0)]
    (one,) = [judgement.exceedance for judgement in found if judgement.exceedance]
    begin_s = DAY_S + 5 * 3_600
    assert one.id == f"limit.demo.street-1.{begin_s}"
    assert (one.start_s, one.end_s, one.level, one.limit, one.excess, one.valid) == (
        begin_s,
        begin_s + 3_600,
        60.1,
        60.0,
        0.1,
        1.0,
    )


def test_incomplete_hours_and_those_in_dbfs_are_not_judged() -> None:
    codes = day(
        {1: hour((70.0, 2_699)), 2: hour((70.0, 2_700)), 3: hour((70.0, 3_600), unit="dBFS"), 4: hour((40.0, 3_600))}
    )
    found = judge_hours(limit_rule(limit_db=60.0), PLACE, DAY, codes, UTC_ZONE)
    assert [judged(found, at) for at in range(1, 5)] == [(0, 0, 0), (1, 1, 0), (0, 0, 1), (1, 0, 0)]


def test_a_margin_is_over_the_l90_of_the_same_hour() -> None:
    rule = limit_rule(limit_db=None, above_ambient_db=7.0, inclusive=True)
    codes = day({1: hour((50.0, 2_400), (58.7, 1_200)), 2: hour((50.0, 3_600)), 3: hour((50.0, 2_000), (68.7, 600))})
    found = judge_hours(rule, PLACE, DAY, codes, UTC_ZONE)
    assert [judged(found, at) for at in (1, 2, 3)] == [(1, 0, 0), (1, 0, 0), (0, 0, 0)]
    codes = day({1: hour((50.0, 2_400), (62.0, 1_200))})
    codes[1, 5] = 0
    assert judged(judge_hours(rule, PLACE, DAY, codes, UTC_ZONE), 1) == (0, 0, 0), "an hour without L90"
    one = judge_hours(rule, PLACE, DAY, day({1: hour((50.0, 2_400), (62.0, 1_200))}), UTC_ZONE)[1].exceedance
    assert one is not None
    assert (one.level, one.limit, one.ambient) == (57.7, 57.0, 50.0)


def test_the_minutes_of_an_hour_are_one_exceedance_that_states_their_number_and_the_worst() -> None:
    rule = limit_rule(period="minute", limit_db=60.0, hours=(60, 90))
    codes = day({1: hour((50.0, 600), (61.0, 60), (65.0, 60), (61.0, 60), (50.0, 44)), 2: hour((70.0, 3_600))})
    found = judge_hours(rule, PLACE, DAY, codes, UTC_ZONE)
    assert [judged(found, at) for at in (1, 2)] == [(13, 3, 0), (0, 0, 0)]
    one = found[1].exceedance
    assert one is not None
    assert (one.exceeded, one.judged, one.worst_s - one.start_s, one.level) == (3, 13, 11 * 60, 65.0)


def test_lafmax_is_compared_too() -> None:
    found = judge_hours(
        limit_rule(quantity="lafmax", limit_db=75.0), PLACE, DAY, day({1: hour((50.0, 3_000), (66.0, 600))}), UTC_ZONE
    )
    assert found[1].exceedance is not None
    assert found[1].exceedance.level == 76.0


def test_a_night_of_nine_hours_is_judged_as_a_whole() -> None:
    rule = limit_rule(quantity="lnight", period="day", limit_db=55.0)
    first = (datetime(2026, 10, 24, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    loud = {number: hour((60.0, 3_600)) for number in range(24)}
    spans = days_of(rule, first, BERLIN)
    assert [on for on, _, _ in spans] == [date(2026, 10, 23), date(2026, 10, 24)]
    blocks = [day(loud), day({number: loud[number] for number in range(6)}), day({})]
    one = judge_day(rule, PLACE, date(2026, 10, 24), blocks, first, BERLIN).exceedance
    assert one is not None
    assert ((one.end_s - one.start_s) // 3_600, one.level, one.valid) == (9, 60.0, 1.0)
    short = judge_day(rule, PLACE, date(2026, 10, 24), [day(loud), day({0: loud[0]}), day({})], first, BERLIN)
    assert (short.judged, short.exceedance) == (0, None)


def test_a_window_is_judged_by_the_mean_of_its_hours() -> None:
    rule = limit_rule(period="window", hours=(22 * 60, 60), limit_db=55.0)
    blocks = [day({}), day({22: hour((50.0, 3_600)), 23: hour((60.0, 3_600))}), day({0: hour((50.0, 3_600))})]
    found = judge_day(rule, PLACE, date(2026, 6, 1), blocks, DAY - 1, UTC_ZONE)
    assert (found.start_s, found.exceedance and found.exceedance.level) == (DAY_S + 22 * 3_600, 56.0)
    dbfs = [day({}), day({number: hour((-20.0, 3_600), unit="dBFS") for number in (22, 23)}), day({})]
    found = judge_day(rule, PLACE, date(2026, 6, 1), dbfs, DAY - 1, UTC_ZONE)
    assert (found.judged, found.uncalibrated) == (0, 1)


@pytest.mark.parametrize(("known", "judged_years"), [(273, 0), (274, 1)])
def test_a_year_needs_three_quarters_of_its_days(known: int, judged_years: int) -> None:
    period = PeriodLevel(0, 8, 51.0, 60.0, 8)
    none = PeriodLevel(0, 8, None, None, 0)
    days = [DayLevels(date(2026, 1, 1), one, one, one, one) for one in [period] * known + [none] * (365 - known)]
    found = judge_year(limit_rule(quantity="lnight", period="year", limit_db=50.0), PLACE, 2026, days, UTC_ZONE)
    assert (found.judged, found.exceeded) == (judged_years, judged_years)
    if found.exceedance:
        assert (found.exceedance.level, found.exceedance.valid) == (51.0, 0.751)

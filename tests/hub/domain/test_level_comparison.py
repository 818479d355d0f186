"""Comparison of two periods: differences, what prevents them, what else explains them, and the local clock."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.domain.day_levels import bounds, day_levels
from hub.domain.level_comparison import QUANTITIES, PeriodLevels, clock_levels, compare, period_levels
from hub.domain.level_rows import HOUR_S, LevelTable
from shared.events import LevelUnit

BERLIN = ZoneInfo("Europe/Berlin")
PLAIN, SPRING, AUTUMN = date(2026, 6, 1), date(2026, 3, 28), date(2026, 10, 24)


def period(
    laeq: float = 60.0,
    *,
    first: date = PLAIN,
    days: int = 1,
    valid: float = 1.0,
    unit: LevelUnit = "dB",
    place: str = "demo/street-1",
    calibrations: Sequence[str] = ("c1",),
) -> PeriodLevels:
    """A period whose hours all have the same level, L10 3 dB above it and L90 5 dB below it."""
    dates = [first + timedelta(days=number) for number in range(days)]
    start_s, end_s = bounds(dates[0], BERLIN)[0], bounds(dates[-1], BERLIN)[-1]
    count = (end_s - start_s) // HOUR_S
    levels = np.tile(laeq + np.array([0.0, 9.0, 4.0, 3.0, -1.0, -5.0]), (count, 1))
    seconds = np.full(count, int(valid * HOUR_S))
    levels[seconds == 0] = np.nan
    table = LevelTable(levels, seconds, unit, np.zeros(len(levels), dtype=bool))
    own = [day_levels(day, BERLIN, table, start_s, HOUR_S) for day in dates]
    return period_levels(place, own, table, unit, calibrations)


@pytest.mark.parametrize(("first", "hours"), [(PLAIN, 24), (SPRING, 23), (AUTUMN, 25)])
def test_a_period_has_its_levels_whatever_the_clock_does(first: date, hours: int) -> None:
    found = period(60.0, first=first)
    assert found.whole.end_s - found.whole.start_s == hours * HOUR_S == found.whole.valid_s
    levels = {name: round(level, 6) for name, level in found.levels.items() if level is not None}
    lden = 60.0 + 10.0 * np.log10((12 + 4 * 10**0.5 + 8 * 10) / 24)
    expected = {"laeq": 60.0, "l10": 63.0, "l90": 55.0, "lday": 60.0, "levening": 60.0, "lnight": 60.0}
    assert levels == {**expected, "lden": round(float(lden), 6)}


def test_the_difference_is_that_of_each_level_and_stated_in_words() -> None:
    found = compare(period(66.0), period(60.0, place="demo/court-1"))
    assert found.differences == {name: pytest.approx(6.0) for name in QUANTITIES}
    assert (found.reasons, found.cautions) == ((), [])
    assert found.summary == (
        "The first is 6.0 dB louder than the second by LAeq: 4.0 times the sound energy in the same time. "
        "People readily notice such a difference."
    )


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.94, "Both are about equally loud: the LAeq differ by 0.9 dB."),
        (0.96, "The first is 1.0 dB louder than the second by LAeq: 1.3 times"),
        (-0.96, "The first is 1.0 dB quieter than the second by LAeq: 1/1.3 of the sound energy"),
        (2.9, "Most people do not notice"),
        (3.0, "People barely notice"),
        (5.0, "People readily notice"),
        (10.0, "10 times the sound energy in the same time. People perceive about twice the loudness"),
        (-25.0, "1/316 of the sound energy in the same time. People perceive more than four times"),
    ],
)
def test_the_sentence_follows_the_rounded_difference(difference: float, expected: str) -> None:
    assert expected in compare(period(60.0 + difference), period(60.0)).summary


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        (period(valid=0.74), period(), "The first has levels for 74 % of its time; a comparison needs 75 %."),
        (period(), period(valid=0.0), "The second has levels for 0 % of its time"),
        (period(), period(-40.0, unit="dBFS", calibrations=()), "The first is in dB, the second in dBFS"),
        (
            period(-40.0, unit="dBFS", calibrations=()),
            period(-40.0, unit="dBFS", calibrations=(), place="demo/court-1"),
            "Neither sensor is calibrated",
        ),
    ],
)
def test_what_cannot_be_compared_has_no_difference_and_a_reason(
    one: PeriodLevels, two: PeriodLevels, reason: str
) -> None:
    found = compare(one, two)
    assert set(found.differences.values()) == {None}
    assert found.summary == "The two cannot be compared."
    assert [text for text in found.reasons if reason in text] == list(found.reasons)


@pytest.mark.parametrize(
    ("one", "two", "caution"),
    [
        (period(days=7), period(), "The first has 7 days, the second 1 day"),
        (period(-40.0, unit="dBFS", calibrations=()), period(-43.0, unit="dBFS", calibrations=()), "not calibrated"),
        (period(), period(calibrations=("c2",)), "The calibrations differ"),
        (period(), period(calibrations=("c1", "c2"), place="demo/court-1"), "The second has 2 calibrations"),
    ],
)
def test_what_else_explains_a_difference_is_stated(one: PeriodLevels, two: PeriodLevels, caution: str) -> None:
    found = compare(one, two)
    assert found.differences["laeq"] is not None
    assert [text for text in found.cautions if caution in text] == list(found.cautions)


def test_a_level_of_no_complete_day_has_no_difference() -> None:
    whole = period(days=2)
    without = replace(whole, levels={**whole.levels, "lden": None})
    assert compare(whole, without).differences == {**dict.fromkeys(QUANTITIES, 0.0), "lden": None}


def test_an_hour_that_the_clock_has_twice_is_one_and_one_that_it_leaves_out_is_no_gap() -> None:
    levels = np.array([[50.0], [60.0], [70.0], [np.nan]])
    table = LevelTable(levels, np.array([3_600, 3_600, 1_800, 0]), "dB", np.zeros(4, dtype=bool))
    laeq, exists = clock_levels(table, [0, 0, 2 * HOUR_S, 3 * HOUR_S], 5 * HOUR_S, HOUR_S)
    assert laeq[0] == pytest.approx(10 * np.log10((10**5 + 10**6) / 2))
    assert (laeq[1:], exists) == ([None, pytest.approx(70.0), None, None], [True, False, True, True, False])

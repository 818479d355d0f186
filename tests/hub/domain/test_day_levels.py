"""Levels of day, evening and night, compared with an independent library, on days of 23, 24 and 25 hours."""

import math
import runpy
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import files
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.day_levels import DayLevels, bounds, day_levels, in_whole_hours, lden, long_term
from hub.domain.level_rows import HOUR_S, Floats, codes_of, summarised, table_of_statistics
from shared.level_series import NO_LEVEL

BERLIN = ZoneInfo("Europe/Berlin")
PLAIN = date(2026, 6, 1)
SPRING, AUTUMN = date(2026, 3, 28), date(2026, 10, 24)
"""The nights that begin on these dates have 7 and 9 hours in Berlin."""


def standard(name: str) -> dict[str, Any]:
    """A module of python-acoustics, without the package itself, which takes seconds to import."""
    file = next(file for file in files("acoustics") or () if file.name == f"{name}.py")
    return runpy.run_path(str(file.locate()))


ISO_25417, ISO_1996 = standard("iso_tr_25417_2007"), standard("iso_1996_1_2003")


def library_leq(levels: Floats) -> float:
    """The equivalent level of levels of equally long times, by the library, from sound pressures."""
    return float(ISO_25417["equivalent_sound_pressure_level"](ISO_25417["REFERENCE_PRESSURE"] * 10 ** (levels / 20)))


def library_lden(*levels: float) -> float:
    """The rating level of day, evening and night, by the library."""
    return float(ISO_1996["composite_rating_level"](levels, (12, 4, 8), (0, 5, 10)))


def made(day: date, zone: ZoneInfo, seconds: Floats, *, resolution_s: int = HOUR_S) -> DayLevels:
    """The levels of a day from its seconds (float64 [seconds] in dB, NaN without), through the codes of the store."""
    start_s, *_, end_s = bounds(day, zone)
    first_s = start_s // HOUR_S * HOUR_S
    padded = np.full((-(-end_s // HOUR_S) * HOUR_S - first_s, 3), NO_LEVEL, dtype=np.int16)
    rows = np.where(np.isnan(seconds)[:, None], NO_LEVEL, np.rint(10 * np.nan_to_num(seconds))[:, None] + [0, 90, 30])
    padded[start_s - first_s : end_s - first_s] = rows
    blocks = [summarised(codes_of(hour, "dB")) for hour in padded.reshape(-1, HOUR_S, 3)]
    codes = np.concatenate([block[:1] if resolution_s == HOUR_S else block[1:] for block in blocks])
    return day_levels(day, zone, table_of_statistics(codes), first_s, resolution_s)


def street(day: date, zone: ZoneInfo, seed: int = 1) -> Floats:
    """LAeq of each second of a day with traffic, in whole tenths of a decibel."""
    start_s, *_, end_s = bounds(day, zone)
    along = np.arange(end_s - start_s)
    noise = np.random.default_rng(seed).normal(0.0, 4.0, along.size)
    return np.asarray(np.round(58.0 - 8.0 * np.sin(along / 14_000.0) + noise, 1))


@pytest.mark.parametrize(("day", "hours"), [(PLAIN, 24), (SPRING, 23), (AUTUMN, 25)])
def test_levels_of_a_day_are_those_of_an_independent_library(day: date, hours: int) -> None:
    seconds = street(day, BERLIN)
    seconds[40_000:41_000] = np.nan
    found = made(day, BERLIN, seconds)
    parts = [seconds[: 12 * HOUR_S], seconds[12 * HOUR_S : 16 * HOUR_S], seconds[16 * HOUR_S :], seconds]
    assert len(parts[2]) == (hours - 16) * HOUR_S
    for part, got in zip(parts, (found.lday, found.levening, found.lnight, found.whole), strict=True):
        known = part[~np.isnan(part)]
        assert got.level == pytest.approx(library_leq(known), abs=0.05)
        assert got.lafmax == pytest.approx(known.max() + 9.0)
        assert (got.valid_s, got.end_s - got.start_s) == (known.size, len(part))
        assert got.complete
    exact = [library_leq(part[~np.isnan(part)]) for part in parts[:3]]
    assert found.lden == pytest.approx(library_lden(*exact), abs=0.05)


@settings(max_examples=15)
@given(
    st.dictionaries(st.integers(0, 24 * HOUR_S - 1), st.integers(-400, 1_200), min_size=1, max_size=40),
    st.sampled_from([60, HOUR_S]),
)
def test_levels_of_any_seconds_are_those_of_a_naive_computation(tenths: dict[int, int], resolution_s: int) -> None:
    seconds = np.full(24 * HOUR_S, np.nan)
    seconds[list(tenths)] = np.array(list(tenths.values())) / 10.0
    found = made(PLAIN, BERLIN, seconds, resolution_s=resolution_s)
    limits = {"lday": (0, 12), "levening": (12, 16), "lnight": (16, 24), "whole": (0, 24)}
    for name, (first, last) in limits.items():
        own = [level / 10.0 for at, level in tenths.items() if first * HOUR_S <= at < last * HOUR_S]
        got = getattr(found, name)
        assert got.valid_s == len(own)
        assert (got.complete, got.stated) == (False, None)
        if own:
            assert got.level == pytest.approx(10 * np.log10(np.mean(10 ** (np.array(own) / 10))), abs=0.05 + 1e-9)
            assert got.lafmax == pytest.approx(max(own) + 9.0)
        else:
            assert (got.level, got.lafmax) == (None, None)
    assert found.lden is None


@pytest.mark.parametrize(("missing", "complete"), [(0.25, True), (0.2501, False)])
def test_a_level_needs_three_quarters_of_its_time(missing: float, complete: bool) -> None:
    seconds = street(PLAIN, BERLIN)
    seconds[: math.ceil(missing * 12 * HOUR_S)] = np.nan
    found = made(PLAIN, BERLIN, seconds)
    assert found.lday.complete is complete
    assert (found.lday.stated is None) is not complete
    assert (found.lden is None) is not complete
    assert found.lnight.complete


def test_a_night_belongs_to_the_date_on_which_it_begins() -> None:
    begins = [datetime.fromtimestamp(at, BERLIN) for at in bounds(PLAIN, BERLIN)]
    assert [(at.date() - PLAIN, at.hour) for at in begins] == [
        (timedelta(0), 7),
        (timedelta(0), 19),
        (timedelta(0), 23),
        (timedelta(days=1), 7),
    ]
    assert [bounds(day, BERLIN)[3] - bounds(day, BERLIN)[2] for day in (SPRING, PLAIN, AUTUMN)] == [
        7 * HOUR_S,
        8 * HOUR_S,
        9 * HOUR_S,
    ]


@given(st.dates(date(1971, 1, 2), date(2198, 12, 30)), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]))
def test_each_day_begins_where_the_one_before_ended(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    at = bounds(day, zone)
    assert sorted(at) == list(at)
    assert bounds(day + timedelta(days=1), zone)[0] == at[3]


def test_a_zone_with_half_an_hour_needs_minutes() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    assert in_whole_hours(PLAIN, BERLIN)
    assert not in_whole_hours(PLAIN, kolkata)
    seconds = street(PLAIN, kolkata)
    found = made(PLAIN, kolkata, seconds, resolution_s=60)
    assert datetime.fromtimestamp(found.lday.start_s, UTC).minute == 30
    assert found.lday.level == pytest.approx(library_leq(seconds[: 12 * HOUR_S]), abs=0.05)


@given(st.tuples(*[st.floats(-50, 150)] * 3))
def test_lden_is_that_of_an_independent_library(levels: tuple[float, float, float]) -> None:
    assert lden(*levels) == pytest.approx(library_lden(*levels), abs=1e-9)


def test_a_level_of_many_days_is_their_energetic_mean_without_the_missing() -> None:
    assert long_term([60.0, None, 63.0]) == pytest.approx(library_leq(np.array([60.0, 63.0])))
    assert long_term([None]) is None

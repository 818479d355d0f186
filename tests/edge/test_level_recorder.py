"""The seconds of clips become one series per minute, whatever the clock and the source do."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.level_recorder import AHEAD_S, LevelRecorder, is_ahead
from shared.events import EARLIEST, LATEST, Levels
from shared.level_bands import band_levels
from shared.level_series import NO_LEVEL, LevelSeries
from shared.levels.meter import Measurement
from shared.levels.values import SecondLevels

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def clip(level: float = -40.0, seconds: int = 10) -> Measurement:
    return Measurement(Levels(level, level), (SecondLevels(level, level + 5.0, level + 1.0),) * seconds)


def recorded(*clips: tuple[datetime, Measurement], **context: Any) -> list[LevelSeries]:
    recorder = LevelRecorder("demo", "street-1", "boot")
    usual: dict[str, Any] = {"clock": "unknown", "backfilled": False, "calibration": None}
    made = [one for at, measured in clips for one in recorder.add(measured, at, **{**usual, **context})]
    return [*made, *recorder.flush()]


def spans(series: list[LevelSeries]) -> list[tuple[str, int]]:
    return [(one.captured_at.strftime("%H:%M:%S"), len(one.tenths)) for one in series]


def test_clips_of_a_minute_are_one_series_that_ends_with_the_minute() -> None:
    made = recorded(*((NOON + timedelta(seconds=7 + 10 * n), clip(-40.0 - n)) for n in range(8)))
    assert spans(made) == [("12:00:07", 53), ("12:01:00", 27)]
    assert made[0].tenths[9].tolist() == [-400, -350, -390]
    assert made[0].tenths[10].tolist() == [-410, -360, -400]


@given(st.lists(st.floats(-0.45, 0.45), min_size=30, max_size=30))
def test_jitter_of_time_stamps_neither_skips_nor_repeats_a_second(jitter: list[float]) -> None:
    starts = [NOON + timedelta(seconds=10 * n + 0.5 + late) for n, late in enumerate(jitter)]
    made = recorded(*((at, clip()) for at in starts))
    assert all(one.present.all() for one in made)
    steps = [later.start_s - one.start_s - len(one.tenths) for one, later in itertools.pairwise(made)]
    assert set(steps) == {0}
    assert sum(len(one.tenths) for one in made) == 300
    assert abs(made[0].start_s - starts[0].timestamp()) <= 1.0


def test_a_gap_has_no_levels() -> None:
    (made,) = recorded((NOON, clip()), (NOON + timedelta(seconds=25), clip()))
    assert len(made.tenths) == 35
    assert made.tenths[10:25].tolist() == [[NO_LEVEL] * 3] * 15
    assert made.present.sum() == 20


@pytest.mark.parametrize("jump_s", [-86_400, -5, 86_400])
def test_a_clock_that_jumps_loses_no_second(jump_s: int) -> None:
    made = recorded((NOON, clip(-40.0)), (NOON + timedelta(seconds=10 + jump_s), clip(-50.0)))
    assert [one.tenths[0, 0] for one in made] == [-400, -500]
    assert [one.start_s for one in made] == [int(NOON.timestamp()), int(NOON.timestamp()) + 10 + jump_s]


def test_a_change_of_the_clocks_status_begins_a_series() -> None:
    recorder = LevelRecorder("demo", "street-1", "boot")
    assert recorder.add(clip(), NOON, clock="unknown", backfilled=False, calibration=None) == []
    at = NOON + timedelta(seconds=10)
    (before,) = recorder.add(clip(), at, clock="synchronised", backfilled=False, calibration=None)
    assert (before.clock, len(before.tenths)) == ("unknown", 10)
    assert [one.clock for one in recorder.flush()] == ["synchronised"]
    assert recorder.flush() == []


@pytest.mark.parametrize("at", [EARLIEST - timedelta(days=1), LATEST - timedelta(microseconds=1), LATEST])
def test_times_at_the_ends_of_the_wires_range_are_sent(at: datetime) -> None:
    made = recorded((at, clip()), (at + timedelta(seconds=10), clip()))
    assert made
    assert all(EARLIEST <= one.captured_at < LATEST for one in made)


def test_a_clip_below_a_second_has_no_series() -> None:
    assert recorded((NOON, clip(seconds=0))) == []


def test_a_series_is_ahead_if_it_ends_after_the_time_and_what_clocks_may_differ() -> None:
    (made,) = recorded((NOON, clip()))
    end_s = NOON.timestamp() + 10.0
    assert not is_ahead(made, end_s - AHEAD_S)
    assert is_ahead(made, end_s - AHEAD_S - 0.1)


def test_bands_are_recorded_if_they_are_wanted_and_a_gap_has_none() -> None:
    recorder = LevelRecorder("demo", "street-1", "boot", bands=True)
    second = SecondLevels(-40.0, -35.0, -39.0, (-60.2, -50.0))
    measured = Measurement(Levels(-40.0, -40.0), (second,) * 10)
    for at in (NOON, NOON + timedelta(seconds=12)):
        assert recorder.add(measured, at, clock="unknown", backfilled=False, calibration=None) == []
    (made,) = recorder.flush()
    assert made.bands is not None
    levels = band_levels(made.bands)
    assert levels[[0, 21], :2].tolist() == [[-60.0, -50.0]] * 2
    assert np.isnan(levels[10:12]).all()
    assert recorded((NOON, measured))[0].bands is None

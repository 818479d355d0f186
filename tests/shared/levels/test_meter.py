"""Levels against the tables of IEC 61672-1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.levels.meter import FLOOR_DBFS, LevelMeter, measure
from shared.levels.values import LevelDetails
from shared.levels.weighting import a_weighting_db

RATE_HZ = 48_000

# Source: IEC 61672-1:2013, table 3: nominal frequency, A weighting, class 1 limits (below, above).
TABLE = [
    (31.5, -39.4, 1.5, 1.5),
    (63.0, -26.2, 1.0, 1.0),
    (100.0, -19.1, 1.0, 1.0),
    (250.0, -8.6, 1.0, 1.0),
    (500.0, -3.2, 1.0, 1.0),
    (1_000.0, 0.0, 0.7, 0.7),
    (2_000.0, 1.2, 1.0, 1.0),
    (4_000.0, 1.0, 1.0, 1.0),
    (8_000.0, -1.1, 2.5, 1.5),
    (16_000.0, -6.6, 16.0, 2.5),
]


def sine(frequency_hz: float, duration_s: float = 4.0, amplitude: float = 1.0) -> Waveform:
    time = np.arange(int(RATE_HZ * duration_s)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


@pytest.mark.parametrize(("frequency_hz", "gain_db", "below", "above"), TABLE)
def test_a_curve_agrees_with_the_standard(frequency_hz: float, gain_db: float, below: float, above: float) -> None:
    exact_hz = 1_000.0 * 10 ** (round(10 * np.log10(frequency_hz / 1_000.0)) / 10)
    assert a_weighting_db(np.array([exact_hz]))[0] == pytest.approx(gain_db, abs=0.1)
    measured = measure(sine(exact_hz), RATE_HZ).laeq
    assert gain_db - below <= measured <= gain_db + above


def test_full_scale_sine_at_1_khz_reads_0_dbfs() -> None:
    levels = measure(sine(1_000.0), RATE_HZ)
    assert levels.laeq == pytest.approx(0.0, abs=0.05)
    assert levels.lafmax == pytest.approx(0.0, abs=0.1)
    assert levels.unit == "dBFS"


def test_level_is_an_energy_mean_not_a_mean_of_decibels() -> None:
    loud, quiet = sine(1_000.0, 2.0), sine(1_000.0, 2.0, amplitude=0.001)
    assert measure(np.concatenate([loud, quiet]), RATE_HZ).laeq == pytest.approx(-3.01, abs=0.05)


# Source: IEC 61672-1:2013, table 4: burst length, LAFmax relative to the steady 4 kHz tone, class 1 limits.
@pytest.mark.parametrize(
    ("burst_s", "below_steady_db", "tolerance_db"),
    [(1.0, 0.0, 0.5), (0.2, -1.0, 0.8), (0.05, -4.8, 1.0), (0.01, -11.1, 1.0)],
)
def test_fast_weighting_follows_tone_bursts(burst_s: float, below_steady_db: float, tolerance_db: float) -> None:
    tone = sine(4_000.0)
    burst = np.zeros_like(tone)
    burst[RATE_HZ : RATE_HZ + int(burst_s * RATE_HZ)] = tone[: int(burst_s * RATE_HZ)]
    relative_db = measure(burst, RATE_HZ).lafmax - measure(tone, RATE_HZ).lafmax
    assert relative_db == pytest.approx(below_steady_db, abs=tolerance_db)


def test_digital_silence_reads_the_floor() -> None:
    levels = measure(np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
    assert (levels.laeq, levels.lafmax) == (FLOOR_DBFS, FLOOR_DBFS)


def test_calibration_shifts_both_levels_and_names_the_unit() -> None:
    raw, calibrated = measure(sine(1_000.0), RATE_HZ), measure(sine(1_000.0), RATE_HZ, full_scale_db_spl=114.0)
    assert calibrated.unit == "dB"
    assert calibrated.laeq - raw.laeq == pytest.approx(114.0)
    assert calibrated.lafmax - raw.lafmax == pytest.approx(114.0)


@pytest.mark.parametrize("waveform", [np.zeros(0, np.float32), np.full(100, np.nan, np.float32)])
def test_a_clip_without_finite_samples_is_refused(waveform: Waveform) -> None:
    with pytest.raises(InvalidError):
        measure(waveform, RATE_HZ)


@given(gain_db=st.floats(-60.0, 0.0), samples=st.integers(1, 5_000), seed=st.integers(0, 99))
def test_levels_follow_the_gain_and_never_sink_below_the_floor(gain_db: float, samples: int, seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    full, turned_down = measure(noise, RATE_HZ), measure(noise * np.float32(10 ** (gain_db / 20)), RATE_HZ)
    assert turned_down.laeq == pytest.approx(max(FLOOR_DBFS, full.laeq + gain_db), abs=0.01)
    assert turned_down.lafmax >= FLOOR_DBFS


def details(waveform: Waveform, rate_hz: int = RATE_HZ) -> LevelDetails:
    found = measure(waveform, rate_hz).details
    assert found is not None
    return found


def test_a_steady_tone_reads_the_same_on_every_detector() -> None:
    meter, tone = LevelMeter(RATE_HZ), sine(1_000.0, 10.0, amplitude=0.1)
    meter.measure(tone)
    levels = meter.measure(tone).levels
    one = levels.details
    assert one is not None
    for value in (
        levels.laeq,
        levels.lafmax,
        one.lceq,
        one.lzeq,
        one.lasmax,
        one.laimax,
        one.l10,
        one.l90,
        one.lafmin,
    ):
        assert value == pytest.approx(-20.0, abs=0.15)
    assert one.lcpeak == pytest.approx(-20.0 + 3.01, abs=0.05)
    assert one.lae == pytest.approx(levels.laeq + 10.0)
    assert one.bands[17] == pytest.approx(-20.0, abs=0.05)
    assert one.ambient == pytest.approx(-20.0, abs=0.2)


def test_cutting_a_signal_into_clips_changes_no_energy() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.1, 4 * RATE_HZ).astype(np.float32)
    whole = LevelMeter(RATE_HZ).measure(noise)
    meter = LevelMeter(RATE_HZ)
    parts = [*meter.measure(noise[:RATE_HZ]).seconds, *meter.measure(noise[RATE_HZ:]).seconds]
    for mine, own in zip(parts, whole.seconds, strict=True):
        assert (mine.laeq, mine.lafmax, mine.lceq) == pytest.approx((own.laeq, own.lafmax, own.lceq), abs=1e-9)
        assert mine.bands == pytest.approx(own.bands, abs=1e-9)
    energy = np.mean([10.0 ** (second.laeq / 10.0) for second in whole.seconds])
    assert whole.levels.laeq == pytest.approx(10.0 * np.log10(energy))


def test_percentiles_fall_from_l1_to_l95() -> None:
    gain = np.repeat(np.geomspace(1.0, 0.001, 10), RATE_HZ)
    noise = np.random.default_rng(2).normal(0.0, 0.1, gain.size) * gain
    one = details(noise.astype(np.float32))
    falling = (one.l1, one.l5, one.l10, one.l50, one.l90, one.l95)
    assert list(falling) == sorted(falling, reverse=True)
    assert one.lafmin <= one.l95
    assert one.l1 <= measure(noise.astype(np.float32), RATE_HZ).lafmax


def test_full_scale_samples_are_an_overload_and_silence_is_under_range() -> None:
    assert details(np.clip(sine(1_000.0, amplitude=1.2), -1.0, 32_767 / 32_768)).overload
    assert not details(sine(1_000.0, amplitude=0.9)).overload
    assert details(np.zeros(RATE_HZ, dtype=np.float32)).under_range
    assert not details(sine(1_000.0, amplitude=1e-3)).under_range


def test_a_restarted_meter_measures_as_a_new_one_and_keeps_the_ambient_level() -> None:
    quiet, loud = sine(1_000.0, 4.0, amplitude=0.01), sine(1_000.0, 2.0)
    meter = LevelMeter(RATE_HZ)
    meter.measure(quiet)
    meter.restart()
    again, fresh = meter.measure(loud, last=True).levels, measure(loud, RATE_HZ)
    assert (again.laeq, again.lafmax) == (fresh.laeq, fresh.lafmax)
    assert again.details is not None
    assert fresh.details is not None
    assert again.details.bands == fresh.details.bands
    assert again.details.ambient != fresh.details.ambient


@pytest.mark.parametrize(("rate_hz", "bands"), [(48_000, 31), (44_100, 30), (32_000, 29), (22_050, 27), (16_000, 26)])
def test_bands_above_the_range_of_the_rate_are_left_out(rate_hz: int, bands: int) -> None:
    assert len(details(np.ones(rate_hz, dtype=np.float32), rate_hz).bands) == bands


def test_only_whole_seconds_are_in_the_series() -> None:
    assert len(LevelMeter(RATE_HZ).measure(sine(1_000.0, 2.5)).seconds) == 2
    assert LevelMeter(RATE_HZ).measure(sine(1_000.0, 0.5)).seconds == ()


@pytest.mark.parametrize("rate_hz", [10, 1_000, 1_500, 2_000, 8_000, 11_025, 16_000, 96_000, 192_000, 384_000])
def test_every_rate_of_a_recording_is_measured(rate_hz: int) -> None:
    tone_hz = min(1_000.0, rate_hz / 4)
    tone = np.sin(2 * np.pi * tone_hz * np.arange(4 * rate_hz) / rate_hz).astype(np.float32)
    expected = float(a_weighting_db(np.array([tone_hz]))[0])
    if expected > -60.0:
        assert measure(tone, rate_hz).laeq == pytest.approx(expected, abs=0.3)
    else:
        assert np.isfinite(measure(tone, rate_hz).laeq)

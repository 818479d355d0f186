"""Levels against the tables of IEC 61672-1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.levels import FLOOR_DBFS, a_weighting_db, measure

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

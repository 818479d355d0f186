"""Correction files: what they hold, and that a filter applies them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calibration.correction import (
    MAX_BYTES,
    Correction,
    CorrectionFilter,
    minimum_phase_fir,
    read_correction,
)
from edge.calibration.in_force import LevelCalibration
from edge.encode import encode
from edge.sources import AudioClip
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId
from shared.levels.meter import LevelMeter
from tests.edge.calibration.tones import RATE_HZ, tone
from tests.factories import NOON

THIRDS_HZ = 1_000.0 * 10.0 ** (np.arange(-17, 14) / 10.0)
"""Centres of third-octave bands from 20 Hz to 20 kHz. Source: IEC 61260-1:2014, 5.4."""
HOUSING = Correction(
    "housing.csv",
    np.array([20.0, 63.0, 250.0, 1_000.0, 3_150.0, 8_000.0, 16_000.0]),
    np.array([6.0, 2.5, 0.5, 1.0, -1.5, 3.0, 9.0]),
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mic.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_between_points_the_correction_is_linear_over_the_logarithm_and_relative_to_1_khz() -> None:
    np.testing.assert_allclose(HOUSING.at(HOUSING.frequencies_hz), HOUSING.gains_db - 1.0)
    assert HOUSING.at(np.sqrt(63.0 * 250.0)) == pytest.approx(1.5 - 1.0)
    np.testing.assert_allclose(HOUSING.at([[0.0, 5.0], [20_000.0, 90_000.0]]), [[5.0, 5.0], [8.0, 8.0]])


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 96_000])
def test_the_filter_has_the_response_of_the_table(rate_hz: int) -> None:
    impulse = minimum_phase_fir(HOUSING, rate_hz)
    wanted = THIRDS_HZ[0.45 * rate_hz > THIRDS_HZ]
    phases = np.exp(-2j * np.pi * np.outer(wanted, np.arange(impulse.size)) / rate_hz)
    np.testing.assert_allclose(20 * np.log10(np.abs(phases @ impulse)), HOUSING.at(wanted), atol=0.1)


def test_the_filter_delays_nothing() -> None:
    impulse = minimum_phase_fir(HOUSING, RATE_HZ)
    energy = np.cumsum(np.square(impulse)) / np.square(impulse).sum()
    assert energy[round(0.001 * RATE_HZ)] > 0.95


@given(cuts=st.lists(st.integers(0, 3_000), max_size=6))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_size_are_filtered_like_one(cuts: list[int]) -> None:
    sound = np.random.default_rng(1).normal(0.0, 0.1, 3_000).astype(np.float32)
    impulse = minimum_phase_fir(HOUSING, 8_000)
    stream = CorrectionFilter(HOUSING, 8_000)
    parts = [stream.process(part) for part in np.split(sound, sorted(cuts))]
    np.testing.assert_allclose(np.concatenate(parts), np.convolve(sound, impulse)[: sound.size], atol=1e-6)


def test_a_reset_forgets_the_sound_before_a_gap() -> None:
    sound = np.random.default_rng(1).normal(0.0, 0.1, 800).astype(np.float32)
    stream = CorrectionFilter(HOUSING, 8_000)
    first = stream.process(sound)
    stream.reset()
    np.testing.assert_allclose(stream.process(sound), first, atol=1e-7)


@pytest.mark.parametrize(("frequency_hz", "gain_db"), [(63.0, 1.5), (1_000.0, 0.0), (8_000.0, 2.0)])
def test_levels_of_events_are_corrected_and_their_sound_is_not(frequency_hz: float, gain_db: float) -> None:
    wave = tone(frequency_hz=frequency_hz, seconds=10.0, noise_dbfs=None)
    clip, event_id = AudioClip(wave, RATE_HZ), EventId("demo", "s", "b", 3)
    plain = encode(clip, event_id, captured_at=NOON)
    corrected = encode(clip, event_id, captured_at=NOON, calibration=LevelCalibration(correction=HOUSING))
    assert corrected.levels.laeq - plain.levels.laeq == pytest.approx(gain_db, abs=0.1)
    assert corrected.body == plain.body


def test_samples_that_are_not_finite_do_not_reach_the_clips_after_them() -> None:
    calibration, wave = LevelCalibration(correction=HOUSING), tone(seconds=1.0)
    wanted = calibration.corrected(wave, RATE_HZ)
    with pytest.raises(InvalidError):
        LevelMeter(RATE_HZ).measure(calibration.corrected(np.full(48_000, np.nan, dtype=np.float32), RATE_HZ))
    np.testing.assert_allclose(calibration.corrected(wave, RATE_HZ), wanted, atol=1e-6)


def test_a_microphones_response_is_subtracted_and_a_correction_is_added(tmp_path: Path) -> None:
    table = "frequency_hz,response_db\n20,-3\n1000,0.5\n20000,2\n"
    response = read_correction(written(tmp_path, table))
    np.testing.assert_allclose(response.at([20, 1_000, 20_000]), [3.5, 0.0, -1.5])
    correction = read_correction(written(tmp_path, table.replace("response", "correction")))
    np.testing.assert_allclose(correction.at([20, 1_000, 20_000]), [-3.5, 0.0, 1.5])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("frequency_hz,correction_db\n1000,0\n", "has 1 points: a correction has 2 to 10,000"),
        ("frequency_hz,correction_db\n1000,0\n500,1\n", "line 3: its frequency is not above that of the row before"),
        ("frequency_hz,correction_db\n500,0\n500,1\n", "line 3: its frequency is not above that of the row before"),
        ("frequency_hz,correction_db\n500,0\n2000,nan\n", "line 3: correction_db is 'nan', not a finite number"),
        ("frequency_hz,correction_db\n500,0\ninf,1\n", "line 3: frequency_hz is 'inf', not a finite number"),
        ("frequency_hz,correction_db\n500,0\n2000,loud\n", "line 3: correction_db is 'loud', not a finite number"),
        ("frequency_hz,correction_db\n0,0\n2000,1\n", r"line 2: 0 Hz is not in \(0, 200,000\]"),
        ("frequency_hz,correction_db\n500,0\n2000,41\n", "line 3: 41 dB is outside -40 to 40 dB"),
        ("frequency_hz,correction_db\n2000,0\n4000,1\n", "covers 2000 to 4000 Hz: it must include 1000 Hz"),
        ("frequency_hz,db\n500,0\n2000,1\n", "line 1: next to frequency_hz it needs either correction_db"),
        ("hz;db\n500;0\n2000;1\n", "line 1: its columns are separated by semicolons"),
        ("frequency_hz,correction_db\n", "has no rows"),
        ("frequency_hz,correction_db\n" + "1,1\n" * 300_000, f"a correction file has at most {MAX_BYTES:,}"),
    ],
)
def test_a_file_that_is_no_correction_is_refused_with_its_line(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        read_correction(written(tmp_path, table))


def test_a_missing_correction_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"cannot read the correction file .*nothing\.csv"):
        read_correction(tmp_path / "nothing.csv")

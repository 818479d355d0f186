"""Which sound is a calibrator: level, frequency, steadiness and noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calibration.calibrator import BLOCKS, CalibratorDetector, Expected, Recognition, recognise
from edge.calibration.tone import BLOCK_S, ToneBlock, measure_tone
from shared.audio import Waveform
from tests.edge.calibration.tones import FULL_SCALE_DB, RATE_HZ, tone

KNOWN = Expected(FULL_SCALE_DB)


def search(waveform: Waveform, expected: Expected = KNOWN, rate_hz: int = RATE_HZ) -> Recognition | tuple[str, ...]:
    """What a detector finds in a stream of blocks of 0.1 s: the calibrator, or why there is none."""
    detector = CalibratorDetector(rate_hz, expected)
    for start in range(0, waveform.size, rate_hz // 10):
        found = detector.add(waveform[start : start + rate_hz // 10])
        if found is not None:
            return found
    return detector.refusal().reasons


@given(
    frequency_hz=st.floats(30.0, 7_000.0),
    level_dbfs=st.floats(-60.0, -1.0),
    rate_hz=st.sampled_from([16_000, 44_100, 48_000]),
)
@settings(max_examples=50, deadline=None)
def test_a_tones_frequency_and_level_are_measured(frequency_hz: float, level_dbfs: float, rate_hz: int) -> None:
    wave = tone(level_dbfs, frequency_hz=frequency_hz, seconds=BLOCK_S, noise_dbfs=None, rate_hz=rate_hz)
    block = measure_tone(wave, rate_hz)
    assert block.frequency_hz == pytest.approx(frequency_hz, abs=0.2)
    assert block.level_dbfs == pytest.approx(level_dbfs, abs=0.02)
    assert block.noise_dbfs < level_dbfs - 40.0


def test_silence_is_measured_as_the_floor() -> None:
    block = measure_tone(np.zeros(24_000, dtype=np.float32), RATE_HZ)
    assert (block.level_dbfs, block.noise_dbfs, block.peak) == (-120.0, -120.0, 0.0)


@pytest.mark.parametrize(("level_dbfs", "level_db"), [(-26.0, 94.0), (-6.0, 114.0), (-24.3, 94.0)])
def test_both_calibrators_are_recognised_in_noise(level_dbfs: float, level_db: float) -> None:
    found = search(tone(level_dbfs, noise_dbfs=level_dbfs - 25.0))
    assert isinstance(found, Recognition)
    assert found.level_db == level_db
    assert found.measured_dbfs == pytest.approx(level_dbfs, abs=0.05)
    assert found.full_scale_db_spl == pytest.approx(level_db - level_dbfs, abs=0.05)
    assert found.frequency_hz == pytest.approx(1_000.0, abs=0.2)
    assert found.snr_db == pytest.approx(25.0, abs=1.0)


@pytest.mark.parametrize(
    ("frequency_hz", "recognised"), [(981.0, True), (1_019.0, True), (979.0, False), (250.0, False)]
)
def test_a_tone_off_its_frequency_by_more_than_two_percent_is_refused(frequency_hz: float, recognised: bool) -> None:
    found = search(tone(frequency_hz=frequency_hz))
    assert isinstance(found, Recognition) is recognised
    if isinstance(found, tuple):
        assert len(found) == 1
        assert f"the strongest tone is at {frequency_hz:.1f} Hz, not at 1000 Hz within 2%" in found[0]


@pytest.mark.parametrize(("drift_db", "recognised"), [(0.3, True), (-0.3, True), (0.6, False), (-1.0, False)])
def test_a_tone_whose_level_drifts_is_refused(drift_db: float, recognised: bool) -> None:
    found = search(tone(seconds=10.5, drift_db=drift_db))
    assert isinstance(found, Recognition) is recognised
    if isinstance(found, tuple):
        assert len(found) == 1
        assert "its level varies by ±" in found[0]


def test_a_tone_in_too_much_noise_is_refused() -> None:
    found = search(tone(noise_dbfs=-40.0))
    assert isinstance(found, tuple)
    assert "it is 14 dB above the other sound, less than 20 dB" in found[0]


def test_a_clipped_tone_is_refused() -> None:
    found = search(np.clip(tone(3.0), -1.0, 1.0).astype(np.float32), Expected(level_db=114.0))
    assert isinstance(found, tuple)
    assert "samples reach full scale" in found[-1]


def test_noise_and_silence_are_refused() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.05, 12 * RATE_HZ).astype(np.float32)
    for sound in (noise, np.zeros(12 * RATE_HZ, dtype=np.float32)):
        assert isinstance(search(sound), tuple)


def test_too_little_sound_is_refused_with_what_is_needed() -> None:
    assert search(tone(seconds=7.3)) == ("7.0 s of sound are too short: 10 s are needed",)
    assert search(np.empty(0, dtype=np.float32)) == ("0.0 s of sound are too short: 10 s are needed",)


def test_a_calibrator_that_is_put_on_later_is_recognised_once_it_is_steady() -> None:
    before = np.random.default_rng(0).normal(0.0, 0.01, 4 * RATE_HZ).astype(np.float32)
    found = search(np.concatenate([before, tone(seconds=3.0, drift_db=2.0, level_dbfs=-28.0), tone(seconds=11.0)]))
    assert isinstance(found, Recognition)
    assert found.measured_dbfs == pytest.approx(-26.0, abs=0.03)


@pytest.mark.parametrize(
    ("level_dbfs", "expected", "level_db"),
    [
        (-26.0, Expected(), 94.0),
        (-8.0, Expected(), 114.0),
        (-15.0, Expected(level_db=94.0), 94.0),
        (-15.0, Expected(full_scale_db_spl=109.4), 94.0),
        (-15.0, Expected(full_scale_db_spl=129.4), 114.0),
        (-26.0, Expected(full_scale_db_spl=120.0, level_db=93.9), 93.9),
    ],
)
def test_the_nominal_level_follows_from_what_is_known(level_dbfs: float, expected: Expected, level_db: float) -> None:
    found = search(tone(level_dbfs), expected)
    assert isinstance(found, Recognition)
    assert found.level_db == level_db


@pytest.mark.parametrize(
    ("level_dbfs", "expected", "reason"),
    [
        (-15.0, Expected(), "at -15.0 dBFS both 94 and 114 dB fit a microphone that was never calibrated"),
        (-50.0, Expected(), "at -50.0 dBFS neither 94 nor 114 dB fits a microphone that was never calibrated"),
        (-34.0, Expected(120.0), "its level is 86.0 dB by the last calibration, more than 5 dB from 94 and 114 dB"),
        (-26.0, Expected(130.0), "its level is 104.0 dB by the last calibration"),
        (-80.0, Expected(level_db=94.0), "a full scale of 174 dB SPL is outside 80 to 160 dB SPL"),
    ],
)
def test_an_implausible_level_is_refused(level_dbfs: float, expected: Expected, reason: str) -> None:
    found = search(tone(level_dbfs, noise_dbfs=None), expected)
    assert isinstance(found, tuple)
    assert found[0].startswith(reason)
    assert len(found) == 1


def test_all_rules_that_fail_are_named() -> None:
    blocks = [ToneBlock(250.0, -50.0 - number / 4, -55.0, 1.0) for number in range(BLOCKS)]
    found = recognise(blocks, KNOWN)
    assert not isinstance(found, Recognition)
    assert len(found.reasons) == 5

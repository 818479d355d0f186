import numpy as np
import pytest

from hub.features.logmel import LogMel
from hub.features.mel import hertz_to_mel, mel_bank
from shared.errors import InvalidError
from shared.extractor import resample_clip
from shared.feature_space import LOGMEL


def sine(hertz: float, rate_hz: int, seconds: float = 10.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32)


def test_ten_seconds_give_108_frames_of_128_bands() -> None:
    features = LogMel().extract(sine(440.0, 22_050), 22_050)
    assert LogMel().space is LOGMEL
    assert features.shape == (108, 128)
    assert features.dtype == np.uint8


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_a_tone_is_loudest_in_its_own_band_at_any_sample_rate(rate_hz: int) -> None:
    features = LogMel().extract(sine(1_000.0, rate_hz), rate_hz)
    edges = np.linspace(0.0, float(hertz_to_mel(np.array(11_025.0))), 130)
    band = int(np.abs(edges[1:-1] - hertz_to_mel(np.array([1_000.0]))).argmin())
    assert (features[2:-2].argmax(axis=1) == band).all()


def test_a_full_scale_sine_reaches_the_top_of_the_space_and_silence_the_bottom() -> None:
    loud = LOGMEL.dequantise(LogMel().extract(sine(1_000.0, 22_050), 22_050)).max()
    assert loud == pytest.approx(28.0, abs=1.0)
    assert LogMel().extract(np.zeros(22_050, np.float32), 22_050).max() == 0


def test_white_noise_of_rms_1_has_the_power_of_its_bands() -> None:
    noise = np.random.default_rng(0).standard_normal(220_500).astype(np.float32)
    bank = mel_bank(rate_hz=22_050, fft=4096, bands=128, low_hz=0.0, high_hz=11_025.0)
    found = (10 ** (LogMel().decibels(noise) / 10)).mean(axis=0)
    np.testing.assert_allclose(found[60:], bank.sum(axis=0)[60:], rtol=0.1)


def test_ten_decibels_more_are_ten_decibels_more() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(220_500).astype(np.float32)
    louder = LogMel().decibels(noise * np.float32(10**0.5)) - LogMel().decibels(noise)
    np.testing.assert_allclose(louder, 10.0, atol=0.01)


def test_a_short_clip_repeats_and_a_long_one_is_cut() -> None:
    assert resample_clip(np.arange(3, dtype=np.float32), 16_000, 16_000)[:7].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert resample_clip(np.ones(480_000 * 2, np.float32), 48_000, 16_000).shape == (160_000,)


@pytest.mark.parametrize(
    ("waveform", "rate_hz"),
    [
        (np.empty(0, np.float32), 16_000),
        (np.array([0.0, np.nan], np.float32), 16_000),
        (np.zeros((2, 100), np.float32), 16_000),
        (np.zeros(100, np.float32), 10),
    ],
)
def test_what_is_no_clip_is_refused(waveform: np.ndarray, rate_hz: int) -> None:
    with pytest.raises(InvalidError):
        LogMel().extract(waveform, rate_hz)

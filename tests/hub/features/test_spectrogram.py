"""Pictures of events."""

import io

import numpy as np
from PIL import Image

from hub.features.spectrogram import BANDS, RATE_HZ, fingerprint, png, spectrogram
from shared.feature_space import LOGMEL, VGGISH


def tone(hertz: float, rate_hz: int, seconds: float = 2.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate_hz * seconds)) / rate_hz).astype(np.float32)


def test_a_tone_is_brightest_at_its_pitch_and_a_higher_one_lies_higher() -> None:
    low, high = (spectrogram(tone(hertz, 48_000), 48_000).mean(axis=1).argmax() for hertz in (300.0, 4_000.0))
    assert 0 < low < high < BANDS


def test_values_lie_between_nothing_and_the_loudest() -> None:
    for rate_hz in (1_000, 8_000, RATE_HZ, 96_000):
        values = spectrogram(tone(100.0, rate_hz), rate_hz)
        assert values.min() >= 0.0
        assert values.max() == 1.0
        assert np.isfinite(values).all()


def test_silence_and_the_shortest_sound_can_be_drawn() -> None:
    for waveform in (np.zeros(1, dtype=np.float32), np.zeros(RATE_HZ, dtype=np.float32)):
        drawn = Image.open(io.BytesIO(png(spectrogram(waveform, RATE_HZ), width=80, height=40, smooth=True)))
        assert drawn.size == (80, 40)


def test_numbers_are_drawn_in_every_feature_space() -> None:
    rng = np.random.default_rng(1)
    for space in (VGGISH, LOGMEL):
        values = fingerprint(space.id, rng.integers(0, 256, space.shape, dtype=np.uint8))
        assert values.shape == space.shape[::-1]
        assert Image.open(io.BytesIO(png(values, width=100, height=64, smooth=False))).format == "PNG"


def test_the_lowest_band_is_at_the_bottom() -> None:
    values = np.zeros((4, 4), dtype=np.float32)
    values[0] = 1.0
    image = Image.open(io.BytesIO(png(values, width=4, height=4, smooth=False))).convert("L")
    assert image.getpixel((1, 3)) > image.getpixel((1, 0))  # type: ignore[operator]

"""Draw events as PNG: the spectrogram of the kept audio, else the features that the hub compares.

A spectrogram shows log-mel power, at most the loudest 70 dB, with low frequencies at the bottom and one column per
20 ms. Features are drawn with time to the right and one row per value of the feature space.
"""

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from hub.features.mel import mel_bank
from shared.audio import Waveform, resample
from shared.feature_space import LOGMEL, Features

Values = npt.NDArray[np.float32]
"""[bands, columns], the lowest band first, in [0, 1]."""

VERSION: Final = "1"
"""Change this with the drawing, so that no browser shows a cached old picture."""
RATE_HZ: Final = 22_050
WINDOW: Final = 1_024
HOP: Final = 441
BANDS: Final = 96
SHOWN_DB: Final = 70.0
_LOWEST_HZ: Final = 50.0
_FLOOR: Final = 1e-10
_LEAST_DB: Final = 25.0
_OVER_MEDIAN: Final = 1.25
_STOPS: Final = (
    (0.00, (14, 22, 27)),
    (0.30, (21, 62, 75)),
    (0.55, (31, 122, 124)),
    (0.75, (143, 178, 120)),
    (0.90, (238, 203, 121)),
    (1.00, (255, 244, 214)),
)
"""Colour map from silence to the loudest: dark blue, green, yellow, with increasing lightness."""


def spectrogram(waveform: Waveform, rate_hz: int) -> Values:
    """Return the log-mel power of a waveform, its loudest 70 dB scaled to [0, 1].

    Args:
        waveform: float32 [samples], full scale = 1.0, not empty.
        rate_hz: its sample rate in Hz.
    """
    sound = torch.from_numpy(np.ascontiguousarray(resample(waveform, rate_hz, RATE_HZ)))
    top_hz = min(rate_hz, RATE_HZ) / 2
    bank = mel_bank(rate_hz=RATE_HZ, fft=WINDOW, bands=BANDS, low_hz=min(_LOWEST_HZ, top_hz / 2), high_hz=top_hz)
    with torch.inference_mode():
        spectrum = torch.stft(
            torch.nn.functional.pad(sound, (WINDOW // 2, WINDOW // 2)),
            WINDOW,
            HOP,
            window=torch.hann_window(WINDOW),
            center=False,
            return_complex=True,
        )
        power = torch.from_numpy(bank).float().T @ spectrum.abs().square()
        decibels = (10.0 * torch.log10(power + _FLOOR)).numpy()
    return _scaled(decibels)


def fingerprint(space: str, features: Features) -> Values:
    """Return an event's features as values in [0, 1]: log-mel power scaled as a spectrogram, others divided by 255.

    Args:
        space: id of the feature space.
        features: uint8 [frames, dimension].
    """
    if space == LOGMEL.id:
        return _scaled(LOGMEL.dequantise(features).T)
    return np.asarray(features.T / np.float32(255.0), dtype=np.float32) * np.float32(0.8)


def png(values: Values, *, width: int, height: int, smooth: bool) -> bytes:
    """Encode values as a PNG of width x height pixels, the lowest band at the bottom; smoothed, or in sharp cells."""
    pixels = colours(values[::-1])
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    image = Image.fromarray(pixels).resize((width, height), method).quantize(128)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _scaled(decibels: npt.NDArray[np.float32]) -> Values:
    """Scale decibels to [0, 1], the loudest being 1; values between the median and the loudest take most of it."""
    top = float(decibels.max())
    room = min(SHOWN_DB, max(_LEAST_DB, _OVER_MEDIAN * (top - float(np.median(decibels)))))
    return np.asarray(np.clip((decibels - top) / room + 1.0, 0.0, 1.0), dtype=np.float32)


def colours(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Return the colours of values in [0, 1], uint8 [..., 3]."""
    at = [stop for stop, _ in _STOPS]
    channels = [np.interp(values, at, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    return np.asarray(np.round(np.stack(channels, axis=-1)), dtype=np.uint8)

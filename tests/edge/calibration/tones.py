"""Tones of calibrators, as a microphone delivers them."""

import numpy as np

from shared.audio import Waveform

RATE_HZ = 48_000
FULL_SCALE_DB = 120.0
"""dB SPL of 0 dBFS of a microphone with 94 dB at -26 dBFS."""


def tone(
    level_dbfs: float = -26.0,
    *,
    frequency_hz: float = 1_000.0,
    seconds: float = 12.0,
    drift_db: float = 0.0,
    noise_dbfs: float | None = -70.0,
    rate_hz: int = RATE_HZ,
) -> Waveform:
    """Return a sine whose level changes evenly by `drift_db`, with white noise."""
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    amplitude = 10.0 ** ((level_dbfs + drift_db * at_s / seconds) / 20.0)
    wave = amplitude * np.sin(2 * np.pi * frequency_hz * at_s)
    if noise_dbfs is not None:
        rms = 10.0 ** (noise_dbfs / 20.0) / np.sqrt(2.0)
        wave += np.random.default_rng(3).normal(0.0, rms, wave.size)
    return wave.astype(np.float32)

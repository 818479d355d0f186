"""Mel filter banks: HTK scale, triangles drawn in mel space.

Source: AudioSet release of VGGish (`mel_features.py`); HTK book, 5.4.
"""

import numpy as np
import numpy.typing as npt


def hertz_to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert frequencies in Hz (any shape) to HTK mel."""
    return np.asarray(1127.0 * np.log1p(hertz / 700.0), dtype=np.float64)


def mel_bank(*, rate_hz: int, fft: int, bands: int, low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Compute the weights from spectrum bins to mel bands; the DC bin has weight 0.

    Args:
        rate_hz: sample rate in Hz.
        fft: FFT length in samples.
        bands: number of triangles.
        low_hz: lower edge of the lowest triangle, in Hz.
        high_hz: upper edge of the highest triangle, in Hz.

    Returns:
        float64 [fft // 2 + 1, bands], in [0, 1].
    """
    mels = hertz_to_mel(np.linspace(0.0, rate_hz / 2.0, fft // 2 + 1))[:, None]
    low_mel, high_mel = hertz_to_mel(np.array([low_hz, high_hz])).tolist()
    edges = np.linspace(low_mel, high_mel, bands + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mels - low) / (centre - low), (high - mels) / (high - centre)
    weights: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights

"""The log-mel feature space: the paper's variant without a pre-trained network.

10 s at 22,050 Hz; window 4096, hop 2048, centred: 108 frames of 128 bands, in dB.
Source: the paper, section 5.1.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from hub.features.mel import mel_bank
from shared.audio import Waveform
from shared.extractor import Sound, resample_clip
from shared.feature_space import LOGMEL, Features, FeatureSpace, Floats

RATE_HZ: Final = 22_050
WINDOW: Final = 4096
HOP: Final = 2048
BANDS: Final = 128
_FLOOR: Final = 1e-12


class LogMel:
    """Extractor of `logmel-22k-128/1`; see `shared.extractor.Extractor`."""

    def __init__(self) -> None:
        self._window = torch.hann_window(WINDOW)
        self._energy = float(self._window.square().sum())
        bank = mel_bank(rate_hz=RATE_HZ, fft=WINDOW, bands=BANDS, low_hz=0.0, high_hz=RATE_HZ / 2)
        self._bank = torch.from_numpy(bank).float()

    @property
    def space(self) -> FeatureSpace:
        """Return `LOGMEL`."""
        return LOGMEL

    def extract(self, waveform: Waveform, rate_hz: int) -> Features:
        """Compute the features of one clip: uint8 [108, 128]; arguments and errors as in the interface."""
        return LOGMEL.quantise(self.decibels(resample_clip(waveform, rate_hz, RATE_HZ)))

    def extract_many(self, clips: Sequence[Sound]) -> Features:
        """Compute the features of several clips: uint8 [n, 108, 128], one after the other."""
        features = [self.extract(waveform, rate_hz) for waveform, rate_hz in clips]
        return np.array(features, dtype=np.uint8).reshape(-1, *LOGMEL.shape)

    def decibels(self, clip: Waveform) -> Floats:
        """Compute the log-mel power of a clip.

        Power is divided by the window's energy: white noise of RMS 1 has 0 dB in each FFT bin, and a sine
        of full scale reaches about 28 dB, the top of the feature space.

        Args:
            clip: float32 [samples] at 22,050 Hz.

        Returns:
            float32 [1 + samples // 2048, 128] in dB, not below -120.
        """
        with torch.inference_mode():
            spectrum = torch.stft(
                torch.from_numpy(clip), WINDOW, HOP, window=self._window, center=True, return_complex=True
            )
            power = (spectrum.real.square() + spectrum.imag.square()).T / self._energy
            decibels: Floats = (10.0 * torch.log10(power @ self._bank + _FLOOR)).numpy()
        return decibels.astype(np.float32, copy=False)

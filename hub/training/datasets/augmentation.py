"""Augmented versions of a recording for training: shifted in time, louder or quieter, filtered, with noise.

They imitate a different sensor at a different wall. A version has the labels of its recording.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform

GAIN_DB: Final = (-25.0, 8.0)
EQUALISER_DB: Final = 3.0
"""Deviation of an equaliser's gain at its six points."""
NOISE_ODDS: Final = 0.5
NOISE_DBFS: Final = (-85.0, -50.0)
NOISE_SLOPE_DB: Final = (-6.0, 0.0)
"""Range of the noise's fall per octave."""
CEILING: Final = 0.99
_LOWEST_HZ: Final = 60.0


@dataclass(frozen=True, slots=True)
class Versions:
    """Number and sample rate of the versions of each recording.

    Attributes:
        count: at most this many versions of a recording; 0 makes none.
        rate_hz: sample rate of the versions, Hz.
        total: at most this many versions in a folder: many recordings vary enough by themselves.
    """

    count: int = 0
    rate_hz: int = 16_000
    total: int = 4_096

    def of(self, recordings: int) -> int:
        """Return the number of versions of each of `recordings` recordings."""
        return min(self.count, self.total // max(1, recordings))


def version(clip: Waveform, rate_hz: int, rng: np.random.Generator) -> Waveform:
    """Draw one version of a clip.

    Args:
        clip: float32 [samples], full scale = 1.0; at least one.
        rate_hz: its sample rate.
        rng: random generator.

    Returns:
        float32 [samples], in [-1, 1].
    """
    octaves = np.log2(np.maximum(np.fft.rfftfreq(clip.size, 1.0 / rate_hz), _LOWEST_HZ) / _LOWEST_HZ)
    spectrum = np.fft.rfft(np.roll(clip, rng.integers(clip.size)))
    points = np.linspace(0.0, max(float(octaves[-1]), 1.0), 6)
    gain_db = rng.uniform(*GAIN_DB) + np.interp(octaves, points, rng.normal(0.0, EQUALISER_DB, 6))
    sound = np.fft.irfft(spectrum * 10.0 ** (gain_db / 20.0), clip.size)
    if rng.random() < NOISE_ODDS:
        sound += _noise(octaves, clip.size, rng)
    peak = float(np.abs(sound).max())
    return np.asarray(sound * (CEILING / max(peak, CEILING)), dtype=np.float32)


def _noise(octaves: npt.NDArray[np.float64], samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Coloured noise at a random level, float64 [samples]."""
    slope = 10.0 ** (rng.uniform(*NOISE_SLOPE_DB) * octaves / 20.0)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * slope, samples)
    level = 10.0 ** (rng.uniform(*NOISE_DBFS) / 20.0)
    return np.asarray(noise * level / max(float(np.sqrt(np.square(noise).mean())), 1e-12))

"""Mixtures without end: patches of a bank, each changed at random, added up as magnitudes.

Adding mel magnitudes instead of waveforms neglects phase, as sounds that have nothing to do with each other allow,
and needs no spectrogram: two cores mix some thousand patches a second.

What is drawn for each source: where it begins, its length (time stretch), its pitch (shift of bands), an equaliser,
its level, reverberation. What is drawn for each mixture: one to three sources, a bed of coloured noise. A gain is
given by the caller.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.features.vggish.extractor import BANDS, PATCH
from hub.training.distillation.spectrogram_bank import OFFSET, WINDOW, SpectrogramBank

Patches = npt.NDArray[np.float32]

SOURCES: Final = 3
SOURCES_ODDS: Final = (0.4, 0.4, 0.2)
"""Odds that a mixture has one, two or three sources."""
STRETCH: Final = (0.85, 1.15)
SHIFT_BANDS: Final = 3
EQUALISER_NEPER: Final = 0.5
LEVEL_NEPER: Final = 1.2
REVERBERATION_ODDS: Final = 0.4
BED_ODDS: Final = 0.6
LOUDEST: Final = 5.0
"""Cap of a patch's values: the teacher's range."""


def mix(
    bank: SpectrogramBank,
    chosen: npt.NDArray[np.int64],
    rng: np.random.Generator,
    frames: int = PATCH,
    gain_db: npt.NDArray[np.floating] | None = None,
) -> Patches:
    """Mix one patch, or a longer clip, from each row of moments.

    Args:
        bank: the recordings.
        chosen: int64 [n, 3]: moments of the bank.
        rng: source of all other randomness.
        frames: length; beyond a patch a source may run on into the next recording.
        gain_db: floating [n], of each whole mixture in dB; None: 0.

    Returns:
        float32 [n, frames, 64]: log(mel magnitude + 0.001), as YAMNet's front end gives it.
    """
    n = len(chosen)
    total = np.zeros((n, frames, BANDS), np.float32)
    count = rng.choice(SOURCES, size=n, p=SOURCES_ODDS)
    for source in range(SOURCES):
        sounding = np.flatnonzero(count >= source)
        magnitude = np.exp(_changed(bank, chosen[sounding, source], rng, frames)) - OFFSET
        total[sounding] += _reverberated(np.maximum(magnitude, 0.0), rng)
    lying = np.flatnonzero(rng.random(n) < BED_ODDS)
    total[lying] += _bed(len(lying), rng, frames)
    return _log_magnitude(total, gain_db)


def background(n: int, rng: np.random.Generator, frames: int, gain_db: npt.NDArray[np.floating]) -> Patches:
    """Coloured noise without any source, float32 [n, frames, 64], as `mix` gives it; gain_db floating [n]."""
    return _log_magnitude(_bed(n, rng, frames), gain_db)


def _log_magnitude(magnitude: Patches, gain_db: npt.NDArray[np.floating] | None) -> Patches:
    if gain_db is not None:
        magnitude = magnitude * 10.0 ** (gain_db / 20.0)[:, None, None]
    return np.asarray(np.minimum(np.log(magnitude + OFFSET), LOUDEST), dtype=np.float32)


def _changed(bank: SpectrogramBank, moments: npt.NDArray[np.int64], rng: np.random.Generator, frames: int) -> Patches:
    """One source each: stretched, shifted, equalised, at its level; float32 [n, frames, 64], log magnitudes."""
    n = len(moments)
    length = rng.uniform(*STRETCH, n) * frames
    first = rng.uniform(0.0, WINDOW / PATCH * frames - length)
    when = (first[:, None] + np.linspace(0.0, 1.0, frames) * (length - 1)[:, None]).astype(np.int64)
    bands = np.clip(np.arange(BANDS) + rng.integers(-SHIFT_BANDS, SHIFT_BANDS + 1, n)[:, None], 0, BANDS - 1)
    rows = np.minimum(bank.starts[moments][:, None] + when, len(bank.frames) - 1)[:, :, None]
    found = bank.frames[rows, bands[:, None, :]].astype(np.float32)
    tone = _smooth(rng.normal(0.0, EQUALISER_NEPER, (n, 5)))
    changed = tone + rng.normal(0.0, LEVEL_NEPER, (n, 1))
    return np.asarray(found + changed[:, None, :], dtype=np.float32)


def _reverberated(magnitude: Patches, rng: np.random.Generator) -> Patches:
    """Add a room of 0.2 to 1.5 s reverberation time to some sources, at random level."""
    chosen = np.flatnonzero(rng.random(len(magnitude)) < REVERBERATION_ODDS)
    time_s = np.exp(rng.uniform(np.log(0.2), np.log(1.5), len(chosen)))
    decay = (10.0 ** (-3.0 * 0.01 / time_s))[:, None].astype(np.float32)  # 60 dB in that time, frames of 10 ms
    level = rng.uniform(0.02, 0.3, (len(chosen), 1)).astype(np.float32)
    room = np.zeros((len(chosen), BANDS), np.float32)
    for frame in range(magnitude.shape[1]):
        sound = magnitude[chosen, frame]
        magnitude[chosen, frame] += room
        room = np.hypot(room * decay, sound * level)
    return magnitude


def _bed(n: int, rng: np.random.Generator, frames: int) -> Patches:
    """Coloured noise that breathes, as traffic and ventilation far away: magnitudes, float32 [n, frames, 64]."""
    slope = np.linspace(0.0, 1.0, BANDS) * rng.uniform(-4.5, 0.5, (n, 1))
    colour = slope + _smooth(rng.normal(0.0, 0.6, (n, 7))) + rng.normal(-1.5, 1.5, (n, 1))
    breath = _smooth(rng.normal(0.0, 0.25, (n, 4)), frames)
    grain = rng.gamma(4.0, 0.25, (n, frames, BANDS))
    return np.asarray(np.exp(colour[:, None, :] + breath[:, :, None]) * grain, dtype=np.float32)


def _smooth(points: npt.NDArray[np.float64], to: int = BANDS) -> npt.NDArray[np.float64]:
    """Lines through points [n, k], drawn out to [n, to]."""
    at = np.linspace(0.0, points.shape[1] - 1.0, to)
    left = np.minimum(at.astype(np.int64), points.shape[1] - 2)
    share = at - left
    return np.asarray(points[:, left] * (1.0 - share) + points[:, left + 1] * share, dtype=np.float64)

"""Mixtures without end, of sound: as `mixtures` makes patches, for a teacher that takes sound at its own rate.

What is drawn for each source: where it begins, its speed (length and pitch), an equaliser, its level, reverberation.
What is drawn for each mixture: one to three sources, a bed of coloured noise. Equaliser and reverberation are
products of spectra, so that each source takes one Fourier transform and back.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.training.distillation.mixtures import (
    BED_ODDS,
    EQUALISER_NEPER,
    LEVEL_NEPER,
    REVERBERATION_ODDS,
    SOURCES,
    SOURCES_ODDS,
    STRETCH,
)
from hub.training.distillation.spectrogram_bank import SpectrogramBank

Floats = npt.NDArray[np.float32]
Gains = npt.NDArray[np.floating]
Spectrum = npt.NDArray[np.complexfloating]

BED_DBFS: Final = (-44.0, 13.0)
"""Mean and deviation of a bed's level."""
SLOPE_DB: Final = (-39.0, 4.0)
"""Range of a bed's fall from the lowest to the highest frequencies."""
LOWEST_HZ: Final = 60.0
_REVERBERATION_S: Final = (0.2, 1.5)


def mix(
    bank: SpectrogramBank,
    chosen: npt.NDArray[np.int64],
    rng: np.random.Generator,
    samples: int,
    gain_db: Gains | None = None,
) -> Floats:
    """Mix a clip from each row of moments.

    Args:
        bank: of sound; a row of its frames is 10 ms.
        chosen: int64 [n, 3]: moments of the bank.
        rng: source of all other randomness.
        samples: length; beyond a second a source may run on into the next recording.
        gain_db: floating [n], of each whole mixture in dB; None: 0.

    Returns:
        float32 [n, samples], in [-1, 1].
    """
    rate_hz = 100 * bank.frames.shape[1]
    count = 1 + rng.choice(SOURCES, size=len(chosen), p=SOURCES_ODDS)
    mixed = np.zeros((len(chosen), samples))
    for row, moments in enumerate(chosen):
        for moment in moments[: count[row]]:
            mixed[row] += _changed(_source(bank, int(moment), rng, samples), rng, rate_hz)
        if rng.random() < BED_ODDS:
            mixed[row] += _bed(rng, samples, rate_hz)
    return _played(mixed, gain_db)


def background(n: int, rng: np.random.Generator, samples: int, rate_hz: int, gain_db: Gains) -> Floats:
    """Coloured noise without any source, float32 [n, samples]; gain_db floating [n]."""
    return _played(np.stack([_bed(rng, samples, rate_hz) for _ in range(n)]), gain_db)


def _played(sound: npt.NDArray[np.float64], gain_db: Gains | None) -> Floats:
    """Sound at a gain; what would clip is turned down."""
    if gain_db is not None:
        sound = sound * 10.0 ** (gain_db / 20.0)[:, None]
    peaks = np.abs(sound).max(axis=1, keepdims=True)
    return np.asarray(sound / np.maximum(peaks, 1.0), dtype=np.float32)


def _source(bank: SpectrogramBank, moment: int, rng: np.random.Generator, samples: int) -> npt.NDArray[np.float64]:
    """Sound from a moment on, faster or slower: float64 [samples]."""
    at = np.arange(samples) * rng.uniform(*STRETCH)
    rows = bank.starts[moment] + np.arange(int(at[-1]) // bank.frames.shape[1] + 2)
    sound = bank.frames[np.minimum(rows, len(bank.frames) - 1)].astype(np.float64).ravel()
    return np.asarray(np.interp(at, np.arange(sound.size), sound))


def _changed(sound: npt.NDArray[np.float64], rng: np.random.Generator, rate_hz: int) -> npt.NDArray[np.float64]:
    """Sound through an equaliser, at a level, in a room: float64 [samples]."""
    length = 2 * sound.size  # so that a room's end does not come back at the beginning
    octaves = _octaves(length, rate_hz)
    nepers = rng.normal(0.0, LEVEL_NEPER) + np.interp(
        octaves, np.linspace(0.0, octaves[-1], 5), rng.normal(0.0, EQUALISER_NEPER, 5)
    )
    spectrum: Spectrum = np.fft.rfft(sound, length) * np.exp(nepers)
    if rng.random() < REVERBERATION_ODDS:
        spectrum = spectrum * (1.0 + np.fft.rfft(_room(rng, sound.size, rate_hz), length))
    return np.fft.irfft(spectrum, length)[: sound.size]


def _room(rng: np.random.Generator, samples: int, rate_hz: int) -> npt.NDArray[np.float64]:
    """Decaying noise: an impulse response without the direct sound, float64 [samples]."""
    time_s = np.exp(rng.uniform(*np.log(_REVERBERATION_S)))
    decay = 10.0 ** (-3.0 * np.arange(samples) / (time_s * rate_hz))  # 60 dB in that time
    response = rng.standard_normal(samples) * decay
    return np.asarray(rng.uniform(0.1, 1.0) * response / np.sqrt(np.square(response).sum()))


def _bed(rng: np.random.Generator, samples: int, rate_hz: int) -> npt.NDArray[np.float64]:
    """Coloured noise that breathes, as traffic and ventilation far away: float64 [samples]."""
    octaves = _octaves(samples, rate_hz)
    colour_db = rng.uniform(*SLOPE_DB) * octaves / octaves[-1]
    colour_db += np.interp(octaves, np.linspace(0.0, octaves[-1], 7), rng.normal(0.0, 5.0, 7))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * 10.0 ** (colour_db / 20.0), samples)
    breath = np.interp(np.arange(samples), np.linspace(0, samples - 1, 4), np.exp(rng.normal(0.0, 0.25, 4)))
    noise *= breath
    level = 10.0 ** (rng.normal(*BED_DBFS) / 20.0)
    return np.asarray(noise * level / np.sqrt(np.square(noise).mean()))


def _octaves(samples: int, rate_hz: int) -> npt.NDArray[np.float64]:
    """Octaves above `LOWEST_HZ` of each bin of a spectrum; 0 below."""
    frequencies = np.fft.rfftfreq(samples, 1.0 / rate_hz)
    return np.asarray(np.log2(np.maximum(frequencies, LOWEST_HZ) / LOWEST_HZ))

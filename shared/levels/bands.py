"""One-third-octave bands from 20 Hz to 20 kHz: Butterworth band filters of order 6 at halved sample rates.

1. Each stage halves the sample rate with a linear-phase half-band filter.
2. A band is filtered at the lowest rate at which its upper edge is below `HIGHEST_SHARE` of the rate.
3. The poles are those of the analogue filter (z = exp(s T)). Six zeros are fitted to its magnitude up to half of
   the rate. The bilinear transform makes skirts too steep: with an upper edge at 0.37 of the rate by 8 dB where the
   attenuation is 20 dB, so that a tone beside the band gives the band a level that is tenths of a decibel too low.

A band whose upper edge exceeds `TOP_SHARE` of the sample rate is left out: at 44.1 kHz the band of 20 kHz.
Source: IEC 61260-1:2014, 5.2 to 5.4 (exact frequencies, base ten) and 5.10 (acceptance limits).
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from shared.levels.block_filter import BlockFilter, Floats

NOMINAL_HZ: Final = (
    *(20.0, 25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0, 800.0),
    *(1_000.0, 1_250.0, 1_600.0, 2_000.0, 2_500.0, 3_150.0, 4_000.0, 5_000.0, 6_300.0, 8_000.0, 10_000.0, 12_500.0),
    *(16_000.0, 20_000.0),
)
"""Nominal mid-band frequencies. Source: IEC 61260-1:2014, annex E."""
EXACT_HZ: Final = tuple(1_000.0 * 10.0 ** (number / 10.0) for number in range(-17, 14))
HALF_BAND: Final = 10.0**0.05
"""The edges of a band are its exact mid-band frequency divided and multiplied by this."""
HIGHEST_SHARE: Final = 0.372
TOP_SHARE: Final = 0.47
STAGES: Final = 7
"""Sample rates: each is half of the one before."""
_ORDER: Final = 6
_FITTED_POINTS: Final = 512
_FITTED_TO: Final = 1e-4
"""Share of the power that passes (-40 dB) below which all frequencies count alike in the fit of the zeros."""
_HALF_BAND_TAPS: Final = 47
_KAISER_BETA: Final = 9.0
"""The half-band filter passes up to 0.186 of its input rate within 0.001 dB and attenuates images by 90 dB."""


@lru_cache(maxsize=8)
def band_stages(rate_hz: int) -> tuple[tuple[float, Floats], ...]:
    """Return the sample rate in Hz and the filters of each stage: float64 [bands, 6, 6] (read-only), low bands first.

    The bands of later stages are below those of earlier ones.
    """
    edges_hz = [centre * HALF_BAND for centre in EXACT_HZ]
    limits_hz = [TOP_SHARE * rate_hz, *(HIGHEST_SHARE * rate_hz / 2**stage for stage in range(1, STAGES)), 0.0]
    stages = []
    for stage, (upper_hz, lower_hz) in enumerate(pairwise(limits_hz)):
        rate = rate_hz / 2**stage
        chosen = [c for c, edge in zip(EXACT_HZ, edges_hz, strict=True) if lower_hz < edge <= upper_hz]
        filters = np.array([band_sections(centre_hz, rate) for centre_hz in chosen]).reshape(-1, _ORDER, 6)
        filters.setflags(write=False)
        stages.append((rate, filters))
    return tuple(stages)


def band_sections(centre_hz: float, rate_hz: float) -> Floats:
    """Return a band filter, float64 [6, 6], rows (b0, b1, b2, a0, a1, a2): a Butterworth band pass."""
    low, high = 2.0 * np.pi * centre_hz * np.array([1.0 / HALF_BAND, HALF_BAND]) / rate_hz
    angles = np.pi * (2.0 * np.arange(_ORDER // 2) + _ORDER + 1.0) / (2.0 * _ORDER)
    prototype = np.exp(1j * angles) * (high - low) / 2.0
    root = np.sqrt(prototype**2 - low * high)
    poles = np.exp(np.concatenate([prototype + root, prototype - root]))
    sections = np.zeros((_ORDER, 6))
    sections[:, 3], sections[:, 4], sections[:, 5] = 1.0, -2.0 * poles.real, np.abs(poles) ** 2
    sections[: _ORDER // 2, :3] = (1.0, -2.0, 1.0)
    sections[_ORDER // 2 :, :3] = _fitted_zeros(sections[:, 3:], low, high)
    middle = np.exp(-1j * np.sqrt(low * high) * np.arange(3))
    sections[:, :3] /= np.abs((sections[:, :3] @ middle) / (sections[:, 3:] @ middle))[:, None]
    return sections


def _fitted_zeros(denominators: Floats, low: float, high: float) -> Floats:
    """Fit six zeros so that they, six zeros at 0 Hz and the poles have the magnitude of the analogue band pass.

    Args:
        denominators: rows (a0, a1, a2), float64 [6, 3].
        low: lower edge in radians per sample.
        high: upper edge in radians per sample.

    Returns:
        Numerators (b0, b1, b2), float64 [3, 3], up to a factor.
    """
    angles = np.pi * (np.arange(_FITTED_POINTS) + 0.5) / _FITTED_POINTS
    passed = 1.0 / (1.0 + ((angles**2 - low * high) / (angles * (high - low))) ** (2 * _ORDER))
    delays = np.exp(-1j * np.outer(np.arange(3), angles))
    poles = np.abs(np.prod(denominators @ delays, axis=0))
    wanted = passed * np.square(poles / (2.0 * np.sin(angles / 2.0)) ** _ORDER)
    terms = np.cos(np.outer(angles, np.arange(_ORDER + 1)))
    weights = np.sqrt(np.maximum(passed, _FITTED_TO)) / wanted
    cosines = np.linalg.lstsq(terms * weights[:, None], wanted * weights, rcond=None)[0]
    roots = np.roots([*cosines[:0:-1], 2.0 * cosines[0], *cosines[1:]])
    inside = roots[np.argsort(np.abs(roots))][:_ORDER]
    upper, real = inside[inside.imag > 0.0], np.sort(inside[inside.imag == 0.0].real)
    pairs = [(zero, np.conj(zero)) for zero in upper] + [(zero, other) for zero, other in real.reshape(-1, 2)]
    return np.array([np.real(np.poly(pair)) for pair in pairs])


@lru_cache(maxsize=1)
def _half_band_taps() -> Floats:
    """Return every second tap of the half-band filter, float64 [24]; of the others only the middle one is not 0."""
    places = np.arange(_HALF_BAND_TAPS)[::2] - _HALF_BAND_TAPS // 2
    taps = np.sinc(0.5 * places) * np.kaiser(_HALF_BAND_TAPS, _KAISER_BETA)[::2]
    return np.asarray(0.5 * taps / np.sum(taps))


def half_rate_db(frequencies_hz: Floats, rate_hz: float) -> Floats:
    """Return the gain in dB (float64, same shape) of the half-band filter at its input rate in Hz."""
    places = np.arange(_HALF_BAND_TAPS)[::2] - _HALF_BAND_TAPS // 2
    angles = 2.0 * np.pi * np.asarray(frequencies_hz)[..., None] * places / rate_hz
    gains = 0.5 + np.cos(angles) @ _half_band_taps()
    return np.asarray(20.0 * np.log10(np.maximum(np.abs(gains), 1e-30)))


class HalfRate:
    """Halve the sample rate; the samples that the filter still needs carry over between calls.

    The output is delayed by 23 samples of the input.
    """

    def __init__(self) -> None:
        self._taps = _half_band_taps()
        self._kept = np.zeros(_HALF_BAND_TAPS - 1)

    def process(self, samples: Floats) -> Floats:
        """Return every second filtered sample, float64 [about n / 2], of the next samples, float64 [n]."""
        joined = np.concatenate([self._kept, samples])
        count = max(0, (joined.size - _HALF_BAND_TAPS) // 2 + 1)
        self._kept = joined[2 * count :]
        if count == 0:
            return np.zeros(0)
        even = joined[: 2 * count + _HALF_BAND_TAPS - 1 : 2]
        middle = joined[_HALF_BAND_TAPS // 2 :: 2][:count]
        return np.asarray(np.correlate(even, self._taps, "valid") + 0.5 * middle)

    def finish(self) -> Floats:
        """Return the delayed outputs after the last sample, float64 [11 or 12], as if silence followed."""
        return self.process(np.zeros(_HALF_BAND_TAPS // 2))


class ThirdOctaves:
    """The band powers of one signal, from rest; the state carries over between calls.

    At 48 kHz the sums of the lowest bands are delayed by 30 ms.

    Args:
        rate_hz: sample rate in Hz.
    """

    def __init__(self, rate_hz: int) -> None:
        designs = [filters for _, filters in band_stages(rate_hz)]
        self._filters = [BlockFilter(filters) if len(filters) else None for filters in designs]
        self._halves = [HalfRate() for _ in designs[1:]]
        self.bands: int = sum(len(filters) for filters in designs)
        """Number of bands, counted from 20 Hz."""

    def process(self, samples: Floats, *, last: bool = False) -> tuple[Floats, Floats]:
        """Filter the next samples.

        Args:
            samples: float64 [n].
            last: whether the signal ends with them.

        Returns:
            Sums of the squared output and the number of samples that it stands for, each float64 [bands] from 20 Hz.
        """
        size = float(samples.size)
        sums: list[Floats] = []
        counts: list[Floats] = []
        for stage, filters in enumerate(self._filters):
            if stage:
                half = self._halves[stage - 1]
                samples = np.concatenate([half.process(samples), half.finish()]) if last else half.process(samples)
            if filters is not None:
                filtered = filters.process(samples)
                sums.insert(0, np.einsum("ij,ij->i", filtered, filtered))
                counts.insert(0, np.full(len(filtered), size / 2**stage))
        return np.concatenate([np.zeros(0), *sums]), np.concatenate([np.zeros(0), *counts])

"""The A and C frequency weightings as digital filters for any sample rate; Z passes everything.

1. The poles at low frequencies and the zeros at 0 Hz are mapped by z = exp(s T) (matched z-transform).
2. The double pole at 12.2 kHz is a second-order section whose poles and zeros are fitted to the magnitude up to
   20 kHz. The bilinear transform would attenuate too much there: at 48 kHz it leaves the class 1 limits.

Source: IEC 61672-1:2013, 5.5 and annex E.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from shared.levels.block_filter import Floats, response_db

_F1_HZ: Final = 20.598997
_F2_HZ: Final = 107.65265
_F3_HZ: Final = 737.86223
_F4_HZ: Final = 12194.217
"""Source: IEC 61672-1:2013, annex E, equations E.1 to E.8."""
_REFERENCE_HZ: Final = 1_000.0
_FITTED_TO_HZ: Final = 20_000.0
_FITTED_SHARE: Final = 0.47
"""The fit ends at this share of the sample rate if that is below 20 kHz."""
_LOOSE_FROM_HZ: Final = 14_000.0
_LOOSE_WEIGHT: Final = 0.15
"""Errors above 14 kHz count less: the class 1 limits are wide there (-16 dB at 16 kHz), and A passes little."""


def a_weighting_db(frequencies_hz: Floats) -> Floats:
    """Return the A-weighting gain in dB (float64, same shape) at frequencies in Hz; 0 at 1 kHz, -inf at 0 Hz.

    Source: IEC 61672-1:2013, annex E.
    """
    return _normalised_db(frequencies_hz, (_F2_HZ, _F3_HZ))


def c_weighting_db(frequencies_hz: Floats) -> Floats:
    """Return the C-weighting gain in dB (float64, same shape) at frequencies in Hz; 0 at 1 kHz, -inf at 0 Hz.

    Source: IEC 61672-1:2013, annex E.
    """
    return _normalised_db(frequencies_hz, ())


@lru_cache(maxsize=8)
def weighting_sections(rate_hz: int) -> Floats:
    """Return the filters of A and C (read-only), in this order: float64 [2, 3, 6], rows (b0, b1, b2, a0, a1, a2)."""
    low = _real_section(rate_hz, (_F1_HZ, _F1_HZ))
    high = _high_section(rate_hz)
    middle = _real_section(rate_hz, (_F2_HZ, _F3_HZ))
    flat = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    filters = np.stack([np.stack([low, middle, high]), np.stack([low, flat, high])])
    reference_hz = np.array([min(_REFERENCE_HZ, rate_hz / 4.0)])
    for cascade, goal in zip(filters, (a_weighting_db, c_weighting_db), strict=True):
        excess_db = response_db(cascade, reference_hz, rate_hz) - goal(reference_hz)
        cascade[0, :3] *= 10.0 ** (-excess_db[0] / 20.0)
    filters.setflags(write=False)
    return filters


def _normalised_db(frequencies_hz: Floats, middle_hz: tuple[float, ...]) -> Floats:
    def gain(frequency_hz: Floats) -> Floats:
        square = np.square(frequency_hz)
        value = square / ((square + _F1_HZ**2) * (square + _F4_HZ**2))
        for pole_hz in middle_hz:
            value = value * frequency_hz / np.sqrt(square + pole_hz**2)
        return np.asarray(value)

    with np.errstate(divide="ignore"):
        ratio = gain(np.asarray(frequencies_hz, dtype=np.float64)) / gain(np.asarray(_REFERENCE_HZ))
        return np.asarray(20.0 * np.log10(ratio))


def _real_section(rate_hz: int, poles_hz: tuple[float, float]) -> Floats:
    """Return a section with two real poles and two zeros at 0 Hz, by the matched z-transform."""
    first, second = np.exp(-2.0 * np.pi * np.array(poles_hz) / rate_hz)
    return np.array([1.0, -2.0, 1.0, 1.0, -(first + second), first * second])


def _high_section(rate_hz: int) -> Floats:
    """Fit a section to the double pole at 12.2 kHz: for several digital poles find the best zeros, keep the best."""
    top_hz = min(_FITTED_TO_HZ, _FITTED_SHARE * rate_hz)
    frequencies_hz = np.linspace(0.0, top_hz, 800)
    wanted = 1.0 / np.square(1.0 + np.square(frequencies_hz / _F4_HZ))
    fits = [_fit(rate_hz, frequencies_hz, wanted, scale) for scale in np.linspace(0.4, 1.1, 71)]
    return min((fit for fit in fits if fit is not None), key=_error)[1]


def _error(fit: tuple[float, Floats]) -> float:
    return fit[0]


def _fit(rate_hz: int, frequencies_hz: Floats, wanted: Floats, scale: float) -> tuple[float, Floats] | None:
    """Return the largest weighted error in dB and the section with the poles at `scale` * 12.2 kHz, or None."""
    pole = float(np.exp(-2.0 * np.pi * _F4_HZ * scale / rate_hz))
    angle = 2.0 * np.pi * frequencies_hz / rate_hz
    denominator = np.square(1.0 - 2.0 * pole * np.cos(angle) + pole**2)
    target = wanted * denominator
    terms = np.stack([np.ones_like(angle), 2.0 * np.cos(angle), 2.0 * np.cos(2.0 * angle)], axis=1)
    weights = np.where(frequencies_hz < _LOOSE_FROM_HZ, 1.0, _LOOSE_WEIGHT)
    squared = np.linalg.lstsq(terms * (weights / target)[:, None], weights, rcond=None)[0]
    roots = np.roots([squared[2], squared[1], squared[0], squared[1], squared[2]])
    inside = roots[np.abs(roots) < 1.0]
    if inside.size != 2 or np.min(terms @ squared) <= 0.0:
        return None
    over = np.real(np.poly(inside))
    over *= np.sqrt(squared[0] + 2.0 * squared[1] + 2.0 * squared[2]) / np.sum(over)
    errors_db = 10.0 * np.log10((terms @ squared) / target)
    reference_db = np.interp(_REFERENCE_HZ, frequencies_hz, errors_db)
    error_db = float(np.max(weights * np.abs(errors_db - reference_db)))
    return error_db, np.array([*over, 1.0, -2.0 * pole, pole**2])

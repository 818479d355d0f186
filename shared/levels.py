"""Sound levels of a clip: LAeq and LAFmax, measured at the clip's full rate.

1. Weight the clip with the A curve in the frequency domain (zero phase; the clip is treated as periodic).
2. LAeq is the energy mean of the weighted clip.
3. LAFmax smooths the weighted power with 125 ms, in steps of 1 ms, from rest, and takes the maximum.

0 dBFS is the RMS of a full-scale sine (AES17), so a full-scale 1 kHz sine reads 0 dBFS. A calibrated
sensor adds one offset: the sound pressure level that drives its converter to 0 dBFS.
Source: IEC 61672-1:2013, 3.8 (Fast), 5.5 and annex E (A weighting); AES17-2020, 3.12.1.
"""

from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.events import Levels

Floats = npt.NDArray[np.float64]

FLOOR_DBFS: Final = -120.0
"""Level of digital silence, instead of minus infinity; below the noise of every 16-bit converter."""
FAST_S: Final = 0.125
"""Time constant of the Fast weighting. Source: IEC 61672-1:2013, 3.8."""
_STEP_S: Final = 0.001
_FULL_SCALE_POWER: Final = 0.5
_POLES_HZ: Final = (20.598997, 107.65265, 737.86223, 12194.217)
"""Source: IEC 61672-1:2013, annex E, equations E.1 to E.8."""


def a_weighting_db(frequencies_hz: Floats) -> Floats:
    """Return the A-weighting gain in dB (float64, same shape) at frequencies in Hz; 0 at 1 kHz, -inf at 0 Hz.

    Source: IEC 61672-1:2013, annex E.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(20.0 * np.log10(_a_gain(np.asarray(frequencies_hz, dtype=np.float64))))


def measure(waveform: Waveform, rate_hz: int, full_scale_db_spl: float | None = None) -> Levels:
    """Measure the sound levels of one clip.

    Args:
        waveform: float32 [samples], full scale = 1.0.
        rate_hz: sample rate in Hz.
        full_scale_db_spl: dB SPL of 0 dBFS; None reports dBFS.

    Raises:
        InvalidError: no samples, or samples that are not finite.
    """
    if waveform.size == 0 or not np.isfinite(waveform).all():
        raise InvalidError("a clip needs samples, and all of them finite")
    power = np.square(_weighted(waveform, rate_hz))
    laeq = _dbfs(float(power.mean()))
    lafmax = _dbfs(_fast_maximum(power, rate_hz))
    if full_scale_db_spl is None:
        return Levels(laeq=laeq, lafmax=lafmax, unit="dBFS")
    return Levels(laeq=laeq + full_scale_db_spl, lafmax=lafmax + full_scale_db_spl, unit="dB")


def _a_gain(f: Floats) -> Floats:
    f1, f2, f3, f4 = (pole**2 for pole in _POLES_HZ)

    def response(square: Floats) -> Floats:
        return np.asarray(f4 * square**2 / ((square + f1) * np.sqrt((square + f2) * (square + f3)) * (square + f4)))

    return response(np.square(f)) / response(np.asarray(1_000.0**2))


@lru_cache(maxsize=4)
def _gain_bins(samples: int, rate_hz: int) -> Floats:
    gain = _a_gain(np.asarray(np.fft.rfftfreq(samples, 1.0 / rate_hz), dtype=np.float64))
    gain.setflags(write=False)
    return gain


def _weighted(waveform: Waveform, rate_hz: int) -> Floats:
    spectrum = np.fft.rfft(waveform) * _gain_bins(waveform.size, rate_hz)
    return np.asarray(np.fft.irfft(spectrum, waveform.size), dtype=np.float64)


def _fast_maximum(power: Floats, rate_hz: int) -> float:
    """Highest Fast-weighted power: an exponential average over 1 ms means of the squared samples."""
    step = max(1, round(_STEP_S * rate_hz))
    starts = np.arange(0, power.size, step)
    means = np.add.reduceat(power, starts) / np.diff(np.append(starts, power.size))
    share = -float(np.expm1(-step / rate_hz / FAST_S))
    return max(accumulate(means.tolist(), lambda held, new: held + share * (new - held), initial=0.0))


def _dbfs(power: float) -> float:
    return max(FLOOR_DBFS, 10.0 * float(np.log10(max(power, 1e-30) / _FULL_SCALE_POWER)))

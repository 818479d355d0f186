"""The level meter: A, C and Z levels, time weightings, percentiles and third-octave bands, clip after clip.

1. Each second of a clip is weighted (A, C), squared, averaged in time (Fast, Slow, Impulse) and filtered in bands.
2. The state of all filters carries over to the next second and the next clip, so cutting into clips changes nothing.
3. A meter that starts is at rest. Until Fast has risen, `lafmin` and the percentiles leave out its levels.

0 dBFS is the RMS of a full-scale sine (AES17), so a full-scale 1 kHz sine reads 0 dBFS. A calibrated sensor adds one
offset: the sound pressure level that drives its converter to 0 dBFS.
Source: IEC 61672-1:2013, 3 and 5; AES17-2020, 3.12.1.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.events import Levels
from shared.levels.ambient import AmbientLevel
from shared.levels.bands import ThirdOctaves
from shared.levels.block_filter import BlockFilter, Floats
from shared.levels.detectors import FAST_S, TimeWeightings
from shared.levels.values import PERCENTAGES, LevelDetails, SecondLevels
from shared.levels.weighting import weighting_sections

FLOOR_DBFS: Final = -120.0
"""Level of digital silence, instead of minus infinity; below the noise of every 16-bit converter."""
OVERLOAD: Final = 0.9999
"""Absolute sample value, full scale = 1.0, from which a clip is overloaded; the largest 16-bit sample is 0.99997."""
UNDER_RANGE_DBFS: Final = -90.0
"""A Fast level below this is under range: rounding to 16 bits makes noise of -98 dBFS, an error of 0.7 dB."""
PERCENTILE_STEP_S: Final = 0.01
"""The percentiles are those of the Fast level at this interval."""
SETTLING_S: Final = 5.0 * FAST_S
"""A meter that starts leaves out the Fast level for this long: then a steady sound reads 0.03 dB too low."""
_FULL_SCALE_POWER: Final = 0.5


@dataclass(frozen=True, slots=True)
class Measurement:
    """The levels of a clip, and those of its whole seconds."""

    levels: Levels
    seconds: tuple[SecondLevels, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Powers (re full scale squared) of at most one second.

    Attributes:
        samples: number of samples.
        energies: sums of squared A, C, Z and Impulse samples, float64 [4].
        highest: highest Fast, Slow and Impulse power, float64 [3].
        lowest_fast: lowest Fast power; infinite if the meter was settling.
        peak: highest absolute C-weighted sample.
        fast: Fast power every 10 ms, float64 [about 100].
        band_sums: sums of the squared band signals, float64 [bands].
        band_counts: numbers of summed samples, float64 [bands].
    """

    samples: int
    energies: Floats
    highest: Floats
    lowest_fast: float
    peak: float
    fast: Floats
    band_sums: Floats
    band_counts: Floats


class LevelMeter:
    """A sound level meter for one signal.

    Args:
        rate_hz: sample rate in Hz.
        full_scale_db_spl: dB SPL of 0 dBFS; None reports dBFS.
    """

    def __init__(self, rate_hz: int, full_scale_db_spl: float | None = None) -> None:
        self.rate_hz: Final = rate_hz
        self._offset_db = full_scale_db_spl or 0.0
        self._calibrated = full_scale_db_spl is not None
        self._ambient = AmbientLevel()
        self.restart()

    def restart(self) -> None:
        """Set all filters to rest, because the next clip does not follow the previous one; keep the ambient level."""
        self._weightings = BlockFilter(weighting_sections(self.rate_hz))
        self._times = TimeWeightings(self.rate_hz)
        self._bands = ThirdOctaves(self.rate_hz)
        self._settling = round(SETTLING_S * self.rate_hz)

    def measure(self, waveform: Waveform, *, last: bool = False) -> Measurement:
        """Measure the next clip.

        Args:
            waveform: float32 [samples], full scale = 1.0.
            last: whether the sound ends with this clip, so that its bands include its last 30 ms.

        Raises:
            InvalidError: no samples, or samples that are not finite.
        """
        if waveform.size == 0 or not np.isfinite(waveform).all():
            raise InvalidError("a clip needs samples, and all of them finite")
        signal = waveform.astype(np.float64)
        starts = range(0, signal.size, self.rate_hz)
        pieces = [self._piece(signal[at : at + self.rate_hz], last=last and at == starts[-1]) for at in starts]
        overload = bool(np.max(np.abs(waveform)) >= OVERLOAD)
        whole = [piece for piece in pieces if piece.samples == self.rate_hz]
        return Measurement(self._clip(pieces, overload), tuple(self._second(piece) for piece in whole))

    def _piece(self, signal: Floats, *, last: bool) -> _Piece:
        a_weighted, c_weighted = self._weightings.process(signal)
        power = np.square(a_weighted)
        weighted = self._times.process(power)
        settled = weighted[0, min(self._settling, power.size) :]
        self._settling -= power.size - settled.size
        fast = settled[:: max(1, round(PERCENTILE_STEP_S * self.rate_hz))]
        if fast.size:
            self._ambient.add(_dbfs_of(fast), signal.size / self.rate_hz)
        sums, counts = self._bands.process(signal, last=last)
        return _Piece(
            samples=signal.size,
            energies=np.array([power.sum(), c_weighted @ c_weighted, signal @ signal, weighted[2].sum()]),
            highest=weighted.max(axis=1),
            lowest_fast=float(settled.min(initial=np.inf)),
            peak=float(np.max(np.abs(c_weighted))),
            fast=fast,
            band_sums=sums,
            band_counts=counts,
        )

    def _clip(self, pieces: list[_Piece], overload: bool) -> Levels:
        samples = sum(piece.samples for piece in pieces)
        a, c, z, impulse = np.sum([piece.energies for piece in pieces], axis=0) / samples
        highest = np.max([piece.highest for piece in pieces], axis=0)
        fast = np.concatenate([piece.fast for piece in pieces])
        lowest = min(piece.lowest_fast for piece in pieces)
        if fast.size == 0:  # shorter than the settling time
            fast, lowest = highest[:1], float(highest[0])
        exceeded = _dbfs_of(np.quantile(fast, [1.0 - percent / 100.0 for percent in PERCENTAGES])) + self._offset_db
        l1, l5, l10, l50, l90, l95 = exceeded.tolist()
        sums = np.sum([piece.band_sums for piece in pieces], axis=0)
        counts = np.sum([piece.band_counts for piece in pieces], axis=0)
        ambient_dbfs = self._ambient.level_db()
        laeq = self._level(a)
        return Levels(
            laeq=laeq,
            lafmax=self._level(highest[0]),
            unit="dB" if self._calibrated else "dBFS",
            details=LevelDetails(
                lceq=self._level(c),
                lzeq=self._level(z),
                lafmin=self._level(lowest),
                lasmax=self._level(highest[1]),
                laimax=self._level(highest[2]),
                laieq=self._level(impulse),
                lcpeak=self._level(max(piece.peak for piece in pieces) ** 2),
                lae=laeq + 10.0 * math.log10(samples / self.rate_hz),
                l1=l1,
                l5=l5,
                l10=l10,
                l50=l50,
                l90=l90,
                l95=l95,
                bands=self._band_levels(sums, counts),
                overload=overload,
                under_range=bool(lowest < _FULL_SCALE_POWER * 10.0 ** (UNDER_RANGE_DBFS / 10.0)),
                ambient=None if ambient_dbfs is None else max(FLOOR_DBFS, ambient_dbfs) + self._offset_db,
            ),
        )

    def _second(self, piece: _Piece) -> SecondLevels:
        return SecondLevels(
            laeq=self._level(piece.energies[0] / piece.samples),
            lafmax=self._level(piece.highest[0]),
            lceq=self._level(piece.energies[1] / piece.samples),
            bands=self._band_levels(piece.band_sums, piece.band_counts),
        )

    def _band_levels(self, sums: Floats, counts: Floats) -> tuple[float, ...]:
        levels = _dbfs_of(sums / np.maximum(counts, 1.0)) + self._offset_db
        return tuple(levels.tolist())

    def _level(self, power: float) -> float:
        return float(_dbfs_of(np.asarray(power))) + self._offset_db


def measure(waveform: Waveform, rate_hz: int, full_scale_db_spl: float | None = None) -> Levels:
    """Measure the sound levels of one clip with a new meter.

    Args:
        waveform: float32 [samples], full scale = 1.0.
        rate_hz: sample rate in Hz.
        full_scale_db_spl: dB SPL of 0 dBFS; None reports dBFS.

    Raises:
        InvalidError: no samples, or samples that are not finite.
    """
    return LevelMeter(rate_hz, full_scale_db_spl).measure(waveform, last=True).levels


def _dbfs_of(power: Floats) -> Floats:
    """Return levels in dB re full scale of powers, at least `FLOOR_DBFS`."""
    return np.asarray(np.maximum(FLOOR_DBFS, 10.0 * np.log10(np.maximum(power, 1e-30) / _FULL_SCALE_POWER)))

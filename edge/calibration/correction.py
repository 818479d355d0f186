"""Correct the frequency response of a microphone or its housing with a table of frequencies and decibels.

The table is a CSV file with the column `frequency_hz` and one of two others:

- `correction_db` is added to what the microphone delivers.
- `response_db` is the measured response of the microphone, as laboratories give it. It is subtracted.

Between two points the correction is linear in dB over the logarithm of the frequency; outside the table it is that of
the nearest point. It is relative to 1 kHz, where the calibrator fixes the level. So a calibration stays valid when a
correction is added.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable
from shared.text_files import Row, read_table

Floats = npt.NDArray[np.float64]

MAX_BYTES: Final = 1024 * 1024
MAX_POINTS: Final = 10_000
MAX_DB: Final = 40.0
"""Largest correction. A housing that takes away more than this leaves nothing to correct."""
MAX_HZ: Final = 200_000.0
REFERENCE_HZ: Final = 1_000.0
FILTER_S: Final = 0.17
"""Length of the impulse response in seconds: 8,160 samples at 48 kHz, a resolution of 6 Hz."""
_OVERSAMPLED: Final = 8
"""Length of the spectra from which the filter is designed, in lengths of the filter; more reduces aliasing."""


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """A correction of levels by frequency.

    Attributes:
        name: name of its file, for logs.
        frequencies_hz: float64 [points], strictly rising.
        gains_db: float64 [points], dB to add, as in the table.
    """

    name: str
    frequencies_hz: Floats
    gains_db: Floats

    def at(self, frequencies_hz: npt.ArrayLike) -> Floats:
        """Return the dB to add at frequencies, relative to 1 kHz.

        Args:
            frequencies_hz: float [any shape], in Hz, at least 0.

        Returns:
            float64 of the same shape.
        """
        wanted = np.log(np.maximum(np.asarray(frequencies_hz, dtype=np.float64), 1e-3))
        known = np.log(self.frequencies_hz)
        reference = np.interp(math.log(REFERENCE_HZ), known, self.gains_db)
        return np.asarray(np.interp(wanted, known, self.gains_db) - reference)


def minimum_phase_fir(correction: Correction, rate_hz: int) -> Floats:
    """Design the filter that applies a correction to a waveform.

    The filter has minimum phase, so that it delays and smears no blow: its cepstrum is folded onto positive times.

    Args:
        correction: the correction.
        rate_hz: sample rate in Hz.

    Returns:
        float64 [taps], `FILTER_S` long.

    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd ed., section 13.5 (cepstrum of minimum-phase
    sequences).
    """
    taps = max(8, round(FILTER_S * rate_hz))
    size = 1 << math.ceil(math.log2(_OVERSAMPLED * taps))
    logarithms = correction.at(np.fft.rfftfreq(size, 1.0 / rate_hz)) * (math.log(10.0) / 20.0)
    cepstrum = np.fft.irfft(logarithms, size)
    cepstrum[1 : size // 2] *= 2.0
    cepstrum[size // 2 + 1 :] = 0.0
    impulse = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), size)[:taps]
    fade = taps // 4
    impulse[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / (fade + 1))
    return np.asarray(impulse, dtype=np.float64)


class CorrectionFilter:
    """Apply a correction to a stream of blocks; the state carries over from block to block.

    Args:
        correction: the correction.
        rate_hz: sample rate in Hz.
    """

    def __init__(self, correction: Correction, rate_hz: int) -> None:
        self._impulse = minimum_phase_fir(correction, rate_hz)
        self._before = np.zeros(self._impulse.size - 1)
        self._spectrum: npt.NDArray[np.complex128] = np.empty(0, dtype=np.complex128)
        self._size = 0

    def process(self, block: Waveform) -> Waveform:
        """Return the corrected block (float32 [samples]) of a block (float32 [samples])."""
        joined = np.concatenate([self._before, block])
        size = 1 << math.ceil(math.log2(max(2, joined.size)))
        if size != self._size:
            self._size, self._spectrum = size, np.fft.rfft(self._impulse, size)
        out = np.fft.irfft(np.fft.rfft(joined, size) * self._spectrum, size)[self._before.size : joined.size]
        self._before = joined[joined.size - self._before.size :]
        return np.asarray(out, dtype=np.float32)

    def reset(self) -> None:
        """Forget the sound before a gap."""
        self._before[:] = 0.0


def read_correction(path: Path) -> Correction:
    """Read a correction file.

    Raises:
        UnavailableError: it cannot be read.
        InvalidError: it is too large or no such table; the message names the line.
    """
    name = printable(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnavailableError(f"cannot read the correction file {name}: {error.strerror or error}") from error
    if size > MAX_BYTES:
        raise InvalidError(f"{name} has {size:,} bytes: a correction file has at most {MAX_BYTES:,}")
    rows = read_table(path, ["frequency_hz"])
    columns = [column for column in ("correction_db", "response_db") if column in rows[0].cells]
    if len(columns) != 1:
        raise InvalidError(
            f"{name}, line 1: next to frequency_hz it needs either correction_db (added to levels) or response_db"
            " (the microphone's response, subtracted)"
        )
    return _correction(name, rows, columns[0])


def _correction(name: str, rows: list[Row], column: str) -> Correction:
    if not 2 <= len(rows) <= MAX_POINTS:
        raise InvalidError(f"{name} has {len(rows)} points: a correction has 2 to {MAX_POINTS:,}")
    points = np.array([(_number(name, row, "frequency_hz"), _number(name, row, column)) for row in rows])
    frequencies, gains = points[:, 0], points[:, 1]
    for row, frequency, gain in zip(rows, frequencies, gains, strict=True):
        if not 0.0 < frequency <= MAX_HZ:
            raise InvalidError(f"{name}, line {row.line}: {frequency:g} Hz is not in (0, {MAX_HZ:,.0f}]")
        if abs(gain) > MAX_DB:
            raise InvalidError(f"{name}, line {row.line}: {gain:g} dB is outside -{MAX_DB:.0f} to {MAX_DB:.0f} dB")
    if (falls := np.flatnonzero(np.diff(frequencies) <= 0.0)).size:
        row = rows[int(falls[0]) + 1]
        raise InvalidError(
            f"{name}, line {row.line}: its frequency is not above that of the row before: sort the rows"
        )
    if not frequencies[0] <= REFERENCE_HZ <= frequencies[-1]:
        raise InvalidError(
            f"{name} covers {frequencies[0]:g} to {frequencies[-1]:g} Hz: it must include 1000 Hz, to which it is"
            " relative"
        )
    return Correction(name, frequencies, gains if column == "correction_db" else -gains)


def _number(name: str, row: Row, column: str) -> float:
    text = row.cells[column]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidError(f"{name}, line {row.line}: {column} is {text.strip()[:40]!r}, not a finite number")
    return number

"""Recognise a sound calibrator of 94 or 114 dB at 1 kHz, from sound alone. Pure rules; no clock and no device.

Sound is measured in blocks of 0.5 s. Twenty consecutive blocks are a calibrator if all of these hold:

1. The frequency of each is 1 kHz within 2 %. Source: IEC 60942:2003, table 3 (class 2).
2. Half the difference between the highest and the lowest level is at most 0.2 dB. Source: IEC 60942:2003, 5.2.3
   (short-term level fluctuation, class 2).
3. The tone is at least 20 dB above all other sound. Noise then changes the level by less than 0.05 dB.
4. No sample reaches full scale.
5. One nominal level fits: 94 or 114 dB within 5 dB by the last calibration of this microphone. Without one, the full
   scale must be in the range of microphones, 105 to 135 dB SPL, for exactly one of the two levels. A stated level is
   taken if the full scale is between 80 and 160 dB SPL.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.calibration.tone import BLOCK_S, ToneBlock, measure_tone
from shared.audio import Waveform

NOMINAL_DB: Final = (94.0, 114.0)
"""Levels of calibrators in dB SPL: 1 Pa and 10 Pa. Source: IEC 60942:2003, 5.2.1."""
FREQUENCY_HZ: Final = 1_000.0
FREQUENCY_TOLERANCE: Final = 0.02
MAX_FLUCTUATION_DB: Final = 0.2
MIN_SNR_DB: Final = 20.0
MEASURE_S: Final = 10.0
CLIPPED: Final = 0.99
"""A sample of this share of full scale counts as clipped."""
MAX_SHIFT_DB: Final = 5.0
"""Greatest plausible change since the last calibration. A greater one means a leak at the coupler, or another
microphone."""
TYPICAL_FULL_SCALE_DB: Final = (105.0, 135.0)
"""Full scale of measuring and MEMS microphones in dB SPL, with the preamplifier as shipped."""
POSSIBLE_FULL_SCALE_DB: Final = (80.0, 160.0)
WARNED_DRIFT_DB: Final = 0.5
"""A drift above this warns: the sound levels since the last calibration are in doubt."""
BLOCKS: Final = round(MEASURE_S / BLOCK_S)


@dataclass(frozen=True, slots=True)
class Expected:
    """Values known before a calibration.

    Attributes:
        full_scale_db_spl: dB SPL of 0 dBFS by the last calibration of this microphone; None without one.
        level_db: level of the calibrator as stated by the operator; None recognises 94 or 114 dB.
    """

    full_scale_db_spl: float | None = None
    level_db: float | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """A recognised calibrator.

    Attributes:
        level_db: its level in dB SPL.
        measured_dbfs: its level as measured, an energy mean over `MEASURE_S`.
        frequency_hz: its frequency, the median of the blocks.
        fluctuation_db: half the difference between the highest and the lowest level of a block.
        snr_db: level of the tone above all other sound.
    """

    level_db: float
    measured_dbfs: float
    frequency_hz: float
    fluctuation_db: float
    snr_db: float

    @property
    def full_scale_db_spl(self) -> float:
        """Return the dB SPL of 0 dBFS."""
        return self.level_db - self.measured_dbfs


@dataclass(frozen=True, slots=True)
class Refusal:
    """Sound that is no calibrator.

    Attributes:
        reasons: the rules that failed, each with its measured value and what to do.
    """

    reasons: tuple[str, ...]


def recognise(blocks: Sequence[ToneBlock], expected: Expected) -> Recognition | Refusal:
    """Decide whether `BLOCKS` consecutive blocks are a calibrator.

    Args:
        blocks: one measurement per block of `BLOCK_S`.
        expected: what is known before.
    """
    if len(blocks) < BLOCKS:
        sound_s = len(blocks) * BLOCK_S
        return Refusal((f"{sound_s:.1f} s of sound are too short: {MEASURE_S:.0f} s are needed",))
    levels = np.array([block.level_dbfs for block in blocks])
    frequencies = np.array([block.frequency_hz for block in blocks])
    measured_dbfs, noise_dbfs = _mean_db(levels), _mean_db(np.array([block.noise_dbfs for block in blocks]))
    fluctuation_db, snr_db = float(np.ptp(levels)) / 2.0, measured_dbfs - noise_dbfs
    reasons = []
    furthest = float(frequencies[np.argmax(np.abs(frequencies - FREQUENCY_HZ))])
    if abs(furthest / FREQUENCY_HZ - 1.0) > FREQUENCY_TOLERANCE:
        reasons.append(
            f"the strongest tone is at {furthest:.1f} Hz, not at 1000 Hz within {FREQUENCY_TOLERANCE:.0%}: switch the"
            " calibrator on and set it to 1 kHz"
        )
    if fluctuation_db > MAX_FLUCTUATION_DB:
        reasons.append(
            f"its level varies by ±{fluctuation_db:.2f} dB, more than ±{MAX_FLUCTUATION_DB} dB: hold the calibrator"
            " still, wait until its level has settled, or replace its battery"
        )
    if snr_db < MIN_SNR_DB:
        reasons.append(
            f"it is {snr_db:.0f} dB above the other sound, less than {MIN_SNR_DB:.0f} dB: seal the coupler, or go to"
            " a quieter place"
        )
    if max(block.peak for block in blocks) >= CLIPPED:
        reasons.append("samples reach full scale: lower the input gain, or use the calibrator's lower level")
    nominal = nominal_level(measured_dbfs, expected)
    if isinstance(nominal, str):
        reasons.append(nominal)
    if reasons or isinstance(nominal, str):
        return Refusal(tuple(reasons))
    return Recognition(nominal, measured_dbfs, float(np.median(frequencies)), fluctuation_db, snr_db)


def nominal_level(measured_dbfs: float, expected: Expected) -> float | str:
    """Return the calibrator's level in dB SPL, or the reason why it is not known.

    Args:
        measured_dbfs: level of its tone.
        expected: what is known before.
    """
    if expected.level_db is not None:
        full_scale = expected.level_db - measured_dbfs
        if _within(full_scale, POSSIBLE_FULL_SCALE_DB):
            return expected.level_db
        return (
            f"a full scale of {full_scale:.0f} dB SPL is outside {_range(POSSIBLE_FULL_SCALE_DB)} dB SPL: check the"
            " input gain and the stated level"
        )
    if expected.full_scale_db_spl is not None:
        level_db = measured_dbfs + expected.full_scale_db_spl
        distances = [abs(level_db - level) for level in NOMINAL_DB]
        nearest = NOMINAL_DB[distances.index(min(distances))]
        if abs(level_db - nearest) <= MAX_SHIFT_DB:
            return nearest
        return (
            f"its level is {level_db:.1f} dB by the last calibration, more than {MAX_SHIFT_DB:.0f} dB from 94 and 114"
            " dB: check the fit of the coupler and the input gain; after a repair or with another microphone state"
            " the calibrator's level"
        )
    fitting = [level for level in NOMINAL_DB if _within(level - measured_dbfs, TYPICAL_FULL_SCALE_DB)]
    if len(fitting) == 1:
        return fitting[0]
    either = "both 94 and 114 dB fit" if fitting else "neither 94 nor 114 dB fits"
    return (
        f"at {measured_dbfs:.1f} dBFS {either} a microphone that was never calibrated: state the calibrator's level"
    )


class CalibratorDetector:
    """Look for a calibrator in a stream of sound; the first `MEASURE_S` that pass all rules end the search.

    Args:
        rate_hz: sample rate in Hz.
        expected: what is known before.
    """

    def __init__(self, rate_hz: int, expected: Expected) -> None:
        self._rate_hz = rate_hz
        self._expected = expected
        self._samples = round(BLOCK_S * rate_hz)
        self._rest = np.empty(0, dtype=np.float32)
        self._blocks: deque[ToneBlock] = deque(maxlen=BLOCKS)
        self._closest: Refusal | None = None

    def add(self, samples: Waveform) -> Recognition | None:
        """Add sound; return the calibrator as soon as it is recognised.

        Args:
            samples: float32 [any], finite, full scale = 1.0.
        """
        joined = np.concatenate([self._rest, samples])
        whole = joined.size // self._samples
        self._rest = joined[whole * self._samples :]
        for number in range(whole):
            block = joined[number * self._samples : (number + 1) * self._samples]
            self._blocks.append(measure_tone(block, self._rate_hz))
            if len(self._blocks) < BLOCKS:
                continue
            found = recognise(self._blocks, self._expected)
            if isinstance(found, Recognition):
                return found
            if self._closest is None or len(found.reasons) <= len(self._closest.reasons):
                self._closest = found
        return None

    @property
    def latest(self) -> ToneBlock | None:
        """Return the latest block, for progress; None before the first."""
        return self._blocks[-1] if self._blocks else None

    def refusal(self) -> Refusal:
        """Return why no calibrator was recognised, for the stretch that failed the fewest rules."""
        if self._closest is not None:
            return self._closest
        found = recognise(self._blocks, self._expected)
        assert isinstance(found, Refusal)  # noqa: S101 - fewer than BLOCKS
        return found


def _mean_db(levels: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    return 10.0 * float(np.log10(np.mean(10.0 ** (levels / 10.0))))


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.0f} to {limits[1]:.0f}"

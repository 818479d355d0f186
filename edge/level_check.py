"""Judge the sound of a live source for `earwitness-edge check`: silent, stuck, deaf or clipping; its lowest level."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.audio import Waveform
from shared.errors import InvalidError, UnavailableError
from shared.levels.meter import OVERLOAD, measure

DEAF_DBFS: Final = -90.0
"""A working microphone in a quiet room measures more than this (LAeq); below, rounding to 16 bits is most of it."""
MAX_OFFSET: Final = 0.02
"""Mean of the samples, full scale = 1.0, above which the input has a fault."""
NOISY_DB: Final = 40.0
"""Lowest Fast level, dB SPL, above which the microphone's own noise may hide quiet sound."""
STUCK_SHARE: Final = 0.5
"""Share of samples with one and the same value other than 0 from which the converter is stuck."""


@dataclass(frozen=True, slots=True)
class Input:
    """Where a person adjusts an input.

    Attributes:
        controls: where its gain is set.
        setting: setting that selects it.
    """

    controls: str
    setting: str


MICROPHONE: Final = Input("`alsamixer`, F4, capture", "source.device")
STREAM: Final = Input("settings of the device that sends the stream", "stream.url")


def judge_level(waveform: Waveform, rate_hz: int, full_scale_db_spl: float | None, of: Input = MICROPHONE) -> str:
    """Return the level of a microphone's sound as text, with what to do about doubts.

    Args:
        waveform: float32 [samples], full scale = 1.0; 10 s of sound.
        rate_hz: sample rate in Hz.
        full_scale_db_spl: dB SPL of 0 dBFS; None without a calibration.
        of: the input, for what to do.

    Raises:
        UnavailableError: it is silent, stuck, deaf or clips; the message names what to do.
        InvalidError: samples that are not finite.
    """
    if not np.isfinite(waveform).all():
        raise InvalidError(
            "the microphone delivers samples that are not finite numbers: use another driver or device"
        )
    if not waveform.any():
        raise UnavailableError(
            f"silent: all samples are 0; unmute the input ({of.controls}), check cable and {of.setting}"
        )
    values, counts = np.unique(waveform, return_counts=True)
    if counts.max() > STUCK_SHARE * waveform.size and values[counts.argmax()] != 0.0:
        raise UnavailableError(
            f"stuck: {counts.max() / waveform.size:.0%} of the samples have the value {values[counts.argmax()]:.4f};"
            " reconnect the microphone, and replace it if that does not help"
        )
    dbfs = measure(waveform, rate_hz)
    if dbfs.laeq < DEAF_DBFS:
        raise UnavailableError(
            f"deaf: LAeq of 10 s is {dbfs.laeq:.0f} dBFS, less than {DEAF_DBFS:.0f}; raise the input gain"
            f" ({of.controls}), and check the cable and the windscreen"
        )
    clipped = int(np.count_nonzero(np.abs(waveform) >= OVERLOAD))
    if clipped:
        raise UnavailableError(
            f"clipping: {clipped} samples reach full scale; lower the input gain, then calibrate again"
        )
    return _described(waveform, rate_hz, full_scale_db_spl)


def _described(waveform: Waveform, rate_hz: int, full_scale_db_spl: float | None) -> str:
    levels = measure(waveform, rate_hz, full_scale_db_spl)
    lowest = levels.lafmax if levels.details is None else levels.details.lafmin
    words = (
        f"LAeq of 10 s is {levels.laeq:.0f} {levels.unit}; the lowest Fast level is {lowest:.0f} {levels.unit}, and"
        " the self-noise is at most that"
    )
    if full_scale_db_spl is not None and lowest > NOISY_DB:
        words += "; in a quiet place it would be too much: compare with the data sheet, or raise the input gain"
    if abs(offset := float(np.mean(waveform))) > MAX_OFFSET:
        words += f"; the samples have a mean of {offset:+.3f}: the input has a fault, or needs a high-pass filter"
    return words

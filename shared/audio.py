"""Decode, encode and resample audio with libsndfile and soxr.

A waveform is float32 [samples], mono, full scale = 1.0. Of several channels the loudest is used (`shared.downmix`).
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from shared.downmix import Waveform, check_samples, loudest
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable
from shared.recording import SUFFIXES, Recording, of_bytes, opened, read_at_most

__all__ = [
    "MAX_SAMPLES",
    "SUFFIXES",
    "Waveform",
    "decode_flac",
    "encode_flac",
    "flac_rate",
    "pad_or_trim",
    "read_file",
    "read_whole",
    "resample",
]

LONGEST_S: Final = 60.0
"""Longest clip of the wire contract, in seconds."""
LOWEST_HZ: Final = 1_000
HIGHEST_HZ: Final = 384_000
"""Lowest and highest sample rate of the wire contract."""
MAX_SAMPLES: Final = int(LONGEST_S) * HIGHEST_HZ
"""Most samples of a clip to decode: one minute at the highest rate of the wire contract."""
_FREE_HZ: Final = 65_535
"""FLAC states rates up to this in Hz, higher ones in steps of 10 Hz. Source: RFC 9639, 9.1.2 and 9.1.6."""


def read_file(path: Path, longest_s: float = LONGEST_S) -> tuple[Waveform, int]:
    """Read the beginning of a recording.

    Args:
        path: path of the file.
        longest_s: most seconds to read.

    Returns:
        The waveform, float32 [samples], and its sample rate in Hz.

    Raises:
        InvalidError: libsndfile cannot read the file, or it contains no audio; the message names the file.
        UnavailableError: the file cannot be opened; the message names the file.
    """
    try:
        with opened(path) as recording:
            waveform = loudest(read_at_most(recording, longest_s))
            check_samples(waveform)
            return waveform, recording.rate_hz
    except (InvalidError, UnavailableError) as error:
        raise type(error)(f"{printable(path)}: {error}") from error


def encode_flac(waveform: Waveform, rate_hz: int) -> bytes:
    """Encode a waveform as 16-bit FLAC; samples beyond full scale are clipped.

    Raises:
        InvalidError: a sample rate that FLAC cannot store; see `flac_rate`.
    """
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, np.clip(waveform, -1.0, 1.0), rate_hz, format="FLAC", subtype="PCM_16")
    except soundfile.SoundFileError as error:
        raise InvalidError(f"FLAC does not take {len(waveform)} samples at {rate_hz} Hz") from error
    return buffer.getvalue()


def flac_rate(rate_hz: int) -> int:
    """Return the highest sample rate in Hz, at most `rate_hz`, at which a clip can be sent."""
    return rate_hz if rate_hz <= _FREE_HZ else min(rate_hz, HIGHEST_HZ) // 10 * 10


def decode_flac(data: bytes) -> tuple[Waveform, int]:
    """Decode a FLAC clip. No memory is allocated for a length that only the header states.

    Returns:
        The waveform, float32 [samples], and its sample rate in Hz.

    Raises:
        InvalidError: not FLAC, longer than `LONGEST_S` or `MAX_SAMPLES`, of a rate outside the contract, empty,
            shorter than its header states, or damaged.
    """
    try:
        recording = of_bytes(data, ("FLAC",))
    except InvalidError as error:
        raise InvalidError(f"the FLAC clip cannot be decoded: {error}") from error
    if not LOWEST_HZ <= recording.rate_hz <= HIGHEST_HZ:
        raise InvalidError(f"the clip's rate of {recording.rate_hz} Hz is outside [{LOWEST_HZ}, {HIGHEST_HZ}]")
    most = min(MAX_SAMPLES // recording.channels, int(LONGEST_S * recording.rate_hz))
    waveform = read_whole(recording, most)
    if recording.faults:
        raise InvalidError(f"the FLAC clip is damaged: {recording.faults[0]}")
    return waveform, recording.rate_hz


def read_whole(recording: Recording, most_samples: int) -> Waveform:
    """Read all of a recording of limited length.

    Args:
        recording: a recording that was just opened.
        most_samples: maximum number of samples of each channel.

    Returns:
        float32 [samples].

    Raises:
        InvalidError: the recording is longer or empty, or its samples cannot be sound.
    """
    longest_s = most_samples / recording.rate_hz
    samples = read_at_most(recording, (most_samples + 1) / recording.rate_hz)
    if len(samples) > most_samples:
        raise InvalidError(f"it lasts more than {longest_s:.0f} s")
    waveform = loudest(samples)
    check_samples(waveform)
    return waveform


def resample(waveform: Waveform, rate_hz: int, to_hz: int) -> Waveform:
    """Resample a waveform (soxr, high quality); at the same rate return the waveform itself."""
    if rate_hz == to_hz:
        return waveform
    return np.asarray(soxr.resample(waveform, rate_hz, to_hz), dtype=np.float32)


def pad_or_trim(waveform: Waveform, samples: int) -> Waveform:
    """Cut or repeat a waveform to exactly this many samples.

    Raises:
        InvalidError: the waveform is empty.
    """
    if waveform.size == 0:
        raise InvalidError("cannot make a clip of no samples")
    return np.resize(waveform, samples).astype(np.float32, copy=False)

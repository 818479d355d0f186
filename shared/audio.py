"""Reading, writing and resampling sound: thin over libsndfile and soxr.

A waveform is float32 [samples], mono, full scale = 1.0.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from shared.errors import Invalid, Unavailable

Waveform = npt.NDArray[np.float32]

SUFFIXES: Final = (".wav", ".flac", ".ogg")
MAX_S: Final = 60
MIN_RATE_HZ: Final = 1_000
MAX_RATE_HZ: Final = 384_000
MAX_SAMPLES: Final = MAX_S * MAX_RATE_HZ
"""Longest clip that is decoded: one minute at the highest rate of the wire contract."""


def read_file(path: Path) -> tuple[Waveform, int]:
    """Read a whole recording, mixed down to mono.

    Returns:
        The waveform, float32 [samples], and its sample rate in Hz.

    Raises:
        Invalid: the file is not a recording libsndfile can read.
        Unavailable: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except OSError as error:
        raise Unavailable(f"cannot open {path}: {error.strerror}") from error
    except soundfile.SoundFileError as error:
        raise Invalid(f"{path} is not a readable recording: {error}") from error
    return samples.mean(axis=1, dtype=np.float32), int(rate_hz)


def encode_flac(waveform: Waveform, rate_hz: int) -> bytes:
    """Encode a waveform as 16-bit FLAC; samples beyond full scale are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform, -1.0, 1.0), rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(data: bytes) -> tuple[Waveform, int]:
    """Decode a FLAC clip, mixed down to mono; the header's length is checked before anything is allocated.

    Returns:
        The waveform, float32 [samples], and its sample rate in Hz.

    Raises:
        Invalid: not FLAC, longer than `MAX_S` or `MAX_SAMPLES`, of a rate outside the contract, empty, or damaged.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format != "FLAC":
                raise Invalid(f"the audio is {file.format}, not FLAC")
            rate_hz = int(file.samplerate)
            if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise Invalid(f"the clip's rate of {rate_hz} Hz is outside [{MIN_RATE_HZ}, {MAX_RATE_HZ}]")
            if not (0 < file.frames * file.channels <= MAX_SAMPLES and file.frames <= MAX_S * rate_hz):
                raise Invalid(f"the clip has {file.frames} samples of {rate_hz} Hz in {file.channels} channels")
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise Invalid(f"the FLAC clip cannot be decoded: {error}") from error
    if samples.shape[0] == 0:
        raise Invalid("the FLAC clip has no samples")
    return samples.mean(axis=1, dtype=np.float32), rate_hz


def resample(waveform: Waveform, rate_hz: int, to_hz: int) -> Waveform:
    """Change the sample rate (soxr, high quality); the same rate returns the waveform itself."""
    if rate_hz == to_hz:
        return waveform
    return np.asarray(soxr.resample(waveform, rate_hz, to_hz), dtype=np.float32)


def fit(waveform: Waveform, samples: int) -> Waveform:
    """Cut or repeat a waveform to exactly this many samples (a short clip loops).

    Raises:
        Invalid: the waveform is empty.
    """
    if waveform.size == 0:
        raise Invalid("cannot make a clip of no samples")
    return np.resize(waveform, samples).astype(np.float32, copy=False)

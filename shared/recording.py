"""Read recordings in blocks. All samples in the file are read, regardless of the length in its header.

The header's length is never trusted and never allocated: it may be unknown (a stream), too long (a cut file) or zero
(a recorder that lost power). The size of a block bounds the memory.
"""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import soundfile

from shared.downmix import Samples
from shared.errors import InvalidError, UnavailableError
from shared.wav_header import with_true_size

SUFFIXES: Final = (".wav", ".flac", ".ogg")
LOWEST_HZ: Final = 1_000
"""Lowest sample rate that is accepted; that of the wire contract."""
HIGHEST_HZ: Final = 1_000_000
"""Highest sample rate that is accepted; no recorder of sound in air has a higher one."""
MAX_SAMPLES_A_SECOND: Final = 4_000_000
"""Most samples in one second of all channels together, which bounds a block."""
MAX_CHANNELS: Final = 32
"""Most channels that are accepted: microphone arrays have fewer, and each costs time."""
_UNKNOWN: Final = 1 << 40
"""libsndfile states more frames than this if a stream's header has none."""


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read forward only.

    soundfile seeks to the current position after each read. That fails at the end of a FLAC file of unknown length,
    and Opus then decodes a few samples differently.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False


class Recording:
    """An open recording.

    Args:
        file: seekable file; the caller closes it.

    Attributes:
        rate_hz: sample rate in Hz, in [1,000, 1,000,000].
        channels: number of channels, at most 32.
        format: libsndfile's name of the container, such as `FLAC`.
        stated: samples of each channel according to the header; None if unknown.
        faults: faults of a readable file, as text; complete once all blocks were read.

    Raises:
        InvalidError: libsndfile cannot read the file, or its rate or number of channels is out of range.
    """

    def __init__(self, file: BinaryIO) -> None:
        repaired, words = with_true_size(file)
        self.faults: list[str] = [] if words is None else [words]
        try:
            self._file = _Forward(repaired)
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            raise InvalidError(f"no recording that can be read: {_reason(error)}") from error
        self.rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.format = str(self._file.format)
        self.stated: int | None = int(self._file.frames) if self._file.frames < _UNKNOWN else None
        if not LOWEST_HZ <= self.rate_hz <= HIGHEST_HZ:
            raise InvalidError(f"sample rate {self.rate_hz} Hz is outside [{LOWEST_HZ}, {HIGHEST_HZ}]")
        if self.channels > MAX_CHANNELS or self.rate_hz * self.channels > MAX_SAMPLES_A_SECOND:
            raise InvalidError(f"{self.channels} channels at {self.rate_hz} Hz are more than can be read")

    def blocks(self, samples: int) -> Iterator[Samples]:
        """Yield the audio from the beginning, each block float32 [samples, channels], the last one shorter.

        The blocks end where the file is damaged, and `faults` then reports the damage.

        Args:
            samples: samples of each channel in one block.
        """
        read = 0
        while True:
            block, error = self._next(samples)
            read += len(block)
            if len(block):
                yield block
            if len(block) < samples or error is not None:
                break
        if error is not None:
            self.faults.append(f"it is damaged after {read / self.rate_hz:.1f} s: {_reason(error)}")
        elif self.stated is not None and read < self.stated:
            self.faults.append(f"it holds {read / self.rate_hz:.1f} of {self.stated / self.rate_hz:.1f} s")

    def _next(self, samples: int) -> tuple[Samples, Exception | None]:
        """Read one block, or the part of it that the decoder had written before an error."""
        block = np.full((samples, self.channels), np.nan, dtype=np.float32)
        try:
            return self._file.read(out=block, always_2d=True), None
        except (soundfile.SoundFileError, RuntimeError) as error:
            written = np.flatnonzero(~np.isnan(block[:, 0]))
            return block[: int(written[-1]) + 1 if written.size else 0], error


@contextmanager
def opened(path: Path) -> Iterator[Recording]:
    """Open a recording for reading.

    Raises:
        InvalidError: the file is not a recording; the message does not name it.
        UnavailableError: the file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            yield Recording(file)
    except OSError as error:
        raise UnavailableError(f"cannot be opened or read: {error.strerror or error}") from error


def read_at_most(recording: Recording, seconds: float) -> Samples:
    """Read the beginning of a recording.

    Args:
        recording: a recording that was just opened.
        seconds: most seconds to read.

    Returns:
        float32 [samples, channels].
    """
    wanted = max(1, round(seconds * recording.rate_hz))
    parts: list[Samples] = []
    missing = wanted
    for block in recording.blocks(min(wanted, recording.rate_hz)):
        parts.append(block[:missing])
        missing -= len(parts[-1])
        if not missing:
            break
    return np.concatenate(parts) if parts else np.empty((0, recording.channels), dtype=np.float32)


def of_bytes(data: bytes, formats: Collection[str] | None = None) -> Recording:
    """Open a recording in memory.

    Args:
        data: content of the file.
        formats: libsndfile's names of the accepted formats; all if None.

    Raises:
        InvalidError: see `Recording`; or another format.
    """
    recording = Recording(io.BytesIO(data))
    if formats is not None and recording.format not in formats:
        raise InvalidError(f"it is {recording.format}, not {' or '.join(formats)}")
    return recording


def _reason(error: Exception) -> str:
    """Return libsndfile's error without the file object that soundfile includes."""
    return str(getattr(error, "error_string", "") or error)

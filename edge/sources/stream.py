"""A network stream as a source, such as the sound of a camera: ffmpeg decodes it (`edge.sources.ffmpeg_process`).

It is live: `clips` opens the stream. A stream that is unavailable, ends or delivers nothing is `UnavailableError`, as
a missing microphone is; the agent opens it again.
"""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Final

from edge.sources.ffmpeg_process import FfmpegProcess, public_address
from edge.sources.live_blocks import Block, stamped_clips
from edge.sources.protocol import SourceItem
from shared.errors import UnavailableError

AHEAD_S: Final = 60.0
"""Sound may arrive this many seconds before its time: servers begin with some seconds of the past."""
_TOLERANCE: Final = 0.01
"""Largest relative error of the sender's sample clock."""
_FIX: Final = "check stream.url (address, user name, password), and that this machine reaches the server"


class StreamSource:
    """The first channel of a network stream.

    Args:
        url: address of the stream; it may hold a password.
        ffmpeg: path or name of ffmpeg.
        rate_hz: sample rate of the clips, in Hz; a stream of another rate is resampled.
        silent_s: a stream that delivers nothing for this many seconds has failed.
    """

    live: Final = True
    payload_format: Final = "flac"

    def __init__(self, url: str, *, ffmpeg: Path, rate_hz: int, silent_s: float) -> None:
        self._url = url
        self._ffmpeg = ffmpeg
        self._silent_s = silent_s
        self.rate_hz: Final = rate_hz
        self._address = public_address(url)
        self.description = f"stream {self._address} at {rate_hz} Hz"

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield clips of 10 s as they arrive, stamped with the time of their first sample.

        Raises:
            UnavailableError: ffmpeg is missing, or the stream is unavailable, ended, delivers nothing, or is a
                recording.
        """
        with contextlib.closing(self._receive(stop)) as blocks:
            yield from stamped_clips(blocks, self.rate_hz)

    def _receive(self, stop: Flag) -> Generator[Block]:
        process = FfmpegProcess(self._ffmpeg, self._url, rate_hz=self.rate_hz, silent_s=self._silent_s)
        ahead_s, latest_s = 0.0, None
        try:
            while (block := process.blocks.next_block(stop)) is not None:
                passed_s = 0.0 if latest_s is None else (1.0 + _TOLERANCE) * (block.arrived_s - latest_s)
                ahead_s, latest_s = max(0.0, ahead_s - passed_s) + block.samples.size / self.rate_hz, block.arrived_s
                if ahead_s > AHEAD_S:
                    raise UnavailableError(
                        f"the stream {self._address} is faster than real time, so it is a recording: download it and"
                        " set source.kind to files"
                    )
                yield block
            if not stop.is_set():
                raise UnavailableError(self._failure(process.reason(), received=latest_s is not None))
        finally:
            process.stop()

    def _failure(self, reason: str, *, received: bool) -> str:
        """Return why no sound arrives any more, with what to do."""
        if received:
            return f"the stream {self._address} ended" + (f": {reason}" if reason else "")
        return f"the stream {self._address} cannot be received: {reason or 'it has no sound'}; {_FIX}"

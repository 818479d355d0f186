"""A microphone as a source: PortAudio through sounddevice, which is imported only when it is used.

1. `clips` opens the device, so a sensor whose microphone is missing runs and tries again.
2. PortAudio's callback copies blocks into a queue with the time of their arrival, and does nothing else.
3. `ClipAssembler` joins blocks into clips of 10 s without gaps.
4. A device that ends, fails or delivers nothing for `SILENT_S` is `UnavailableError`, once the sound before is taken;
   the agent opens it again. The list of devices is then read again, so a device may come back under another name.
"""

import contextlib
import importlib
import logging
import queue
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import Any, Final

import numpy as np

from edge.clock import elapsed_s
from edge.sources.protocol import AudioClip, SourceItem
from shared.audio import Waveform
from shared.errors import UnavailableError
from shared.events import CLIP_S

log = logging.getLogger(__name__)

DEFAULT_RATE_HZ: Final = 48_000
BLOCK_S: Final = 0.1
SILENT_S: Final = 5.0
"""A device that delivers no block for this many seconds has failed."""
QUEUE_S: Final = 60.0
"""Seconds of audio that may wait for a slow disk before blocks are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Samples (float32 [any]), the time at which the last of them arrived, and whether none was lost before.

    That time is in UTC, and in seconds since the machine started.
    """

    samples: Waveform
    arrived_at: datetime
    arrived_s: float
    continues: bool = True


class _Recorder:
    """The queue between PortAudio's thread and the capture thread.

    Args:
        device: name of the device, for logs.
    """

    def __init__(self, device: str | int | None) -> None:
        self._device = device
        self._blocks: queue.Queue[_Block | None] = queue.Queue(maxsize=int(QUEUE_S / BLOCK_S) + 1)
        self._lost = Flag()
        self._finished = Flag()

    def keep(self, samples: Any, _frames: int, _time: Any, status: Any) -> None:  # noqa: ANN401 - untyped library
        """Take a block from PortAudio."""
        try:
            self._blocks.put_nowait(_Block(np.array(samples[:, 0], dtype=np.float32), datetime.now(UTC), elapsed_s()))
        except queue.Full:
            self._lost.set()
        if status.input_overflow:
            self._lost.set()

    def finish(self) -> None:
        """Take PortAudio's notice that the stream has ended."""
        self._finished.set()
        with contextlib.suppress(queue.Full):  # the reader then finds the flag when the queue is empty
            self._blocks.put_nowait(None)

    def next_block(self) -> _Block:
        """Return the next block.

        Raises:
            UnavailableError: the stream has ended, or the device delivers nothing.
        """
        continues = not self._lost.is_set()
        if not continues:
            self._lost.clear()
            log.warning("microphone lost samples", extra={"device": self._device})
        try:
            block = None if self._finished.is_set() and self._blocks.empty() else self._blocks.get(timeout=SILENT_S)
        except queue.Empty:
            raise UnavailableError(f"the microphone delivered nothing for {SILENT_S:.0f} s") from None
        if block is None:
            raise UnavailableError("the microphone was removed, or its sound server has stopped")
        return replace(block, continues=continues)


class ClipAssembler:
    """Join blocks of any size into clips of exactly `samples`, without gaps."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._held: list[Waveform] = []
        self._size = 0

    @property
    def held(self) -> int:
        """Return the number of samples that wait for the rest of their clip."""
        return self._size

    def add(self, block: Waveform) -> list[Waveform]:
        """Add a block (float32 [any]); return the clips that it completes, each float32 [samples]."""
        self._held.append(block)
        self._size += block.size
        if self._size < self._samples:
            return []
        joined = np.concatenate(self._held)
        whole = joined.size // self._samples
        self._held = [joined[whole * self._samples :]]
        self._size = self._held[0].size
        return [joined[i * self._samples : (i + 1) * self._samples] for i in range(whole)]


class MicrophoneSource:
    """An input device, recorded in mono."""

    live: Final = True
    payload_format: Final = "flac"

    def __init__(self, *, device: str | None, rate_hz: int) -> None:
        self._device = int(device) if device is not None and device.isdecimal() else device
        self._opened = False
        self.rate_hz: Final = rate_hz
        self.description = f"microphone {device or '(default)'} at {rate_hz} Hz"

    def _open(self) -> Any:  # noqa: ANN401 - sounddevice ships no types
        """Check the device; PortAudio lists devices once, so it is initialised again after the first try."""
        portaudio = _portaudio()
        try:
            if self._opened:
                portaudio._terminate()  # noqa: SLF001 - sounddevice has no public way to list devices again
                portaudio._initialize()  # noqa: SLF001
            self._opened = True
            portaudio.check_input_settings(device=self._device, channels=1, dtype="float32", samplerate=self.rate_hz)
        except (portaudio.PortAudioError, ValueError) as error:
            raise UnavailableError(
                f"no input device {'(default)' if self._device is None else self._device} at {self.rate_hz} Hz:"
                f" {error}; `python -m sounddevice` lists the devices, set source.device and source.rate_hz"
            ) from error
        return portaudio

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield clips of 10 s as they are recorded, stamped with the time of their first sample.

        The stamp is the arrival time of the clip's last block minus the duration of the sound since the clip began.
        It follows the system's clock and not the drift of the sound card, and does not depend on when the clip is
        processed. It is late by the device's latency, about 0.1 s.

        Raises:
            UnavailableError: PortAudio is not installed, or the device is missing, refuses the rate, ended, failed,
                or delivers nothing.
        """
        clipper, continues = ClipAssembler(round(CLIP_S * self.rate_hz)), False
        for block in self._record(stop):
            continues = continues and block.continues
            clips = clipper.add(block.samples)
            held_s = clipper.held / self.rate_hz
            for number, clip in enumerate(clips):
                age_s = held_s + CLIP_S * (len(clips) - number)
                began, began_s = block.arrived_at - timedelta(seconds=age_s), block.arrived_s - age_s
                yield AudioClip(clip, self.rate_hz, began, continues=continues, began_s=began_s)
                continues = True

    def blocks(self, stop: Flag) -> Iterator[Waveform]:
        """Yield blocks of about `BLOCK_S` (float32 [samples]) as they are recorded.

        Raises:
            UnavailableError: see `clips`.
        """
        for block in self._record(stop):
            yield block.samples

    def _record(self, stop: Flag) -> Iterator[_Block]:
        portaudio = self._open()
        recorder = _Recorder(self._device)
        try:
            with portaudio.InputStream(
                device=self._device,
                channels=1,
                dtype="float32",
                samplerate=self.rate_hz,
                blocksize=round(BLOCK_S * self.rate_hz),
                callback=recorder.keep,
                finished_callback=recorder.finish,
            ):
                while not stop.is_set():
                    yield recorder.next_block()
        except portaudio.PortAudioError as error:
            raise UnavailableError(f"the microphone failed: {error}") from error


def _portaudio() -> Any:  # noqa: ANN401 - sounddevice ships no types
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise UnavailableError("sounddevice is not installed: pip install 'earwitness[edge]'") from error
    except OSError as error:
        raise UnavailableError(f"PortAudio is missing ({error}): apt install libportaudio2") from error

"""A microphone as a source: PortAudio through sounddevice, which is imported only when it is used.

1. `clips` opens the device, so a sensor whose microphone is missing runs and tries again.
2. PortAudio's callback copies blocks into a queue and does nothing else.
3. `ClipAssembler` joins blocks into clips of 10 s without gaps.
4. A device that fails or delivers nothing for `SILENT_S` is `UnavailableError`; the agent opens it again.
"""

import importlib
import logging
import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import Any, Final

import numpy as np

from edge.sources.protocol import AudioClip, SourceItem
from shared.audio import Waveform
from shared.errors import UnavailableError
from shared.events import CLIP_S

log = logging.getLogger(__name__)

BLOCK_S: Final = 0.1
SILENT_S: Final = 5.0
"""A device that delivers no block for this many seconds has failed."""
QUEUE_S: Final = 60.0
"""Seconds of audio that may wait for a slow disk before blocks are dropped."""


class ClipAssembler:
    """Join blocks of any size into clips of exactly `samples`, without gaps."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._held: list[Waveform] = []
        self._size = 0

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
        self._rate_hz = rate_hz
        self._opened = False
        self.description = f"microphone {device or '(default)'} at {rate_hz} Hz"

    def _open(self) -> Any:  # noqa: ANN401 - sounddevice ships no types
        """Check the device; PortAudio lists devices once, so it is initialised again after the first try."""
        portaudio = _portaudio()
        try:
            if self._opened:
                portaudio._terminate()  # noqa: SLF001 - sounddevice has no public way to list devices again
                portaudio._initialize()  # noqa: SLF001
            self._opened = True
            portaudio.check_input_settings(device=self._device, channels=1, dtype="float32", samplerate=self._rate_hz)
        except (portaudio.PortAudioError, ValueError) as error:
            raise UnavailableError(
                f"no input device {'(default)' if self._device is None else self._device} at {self._rate_hz} Hz:"
                f" {error}; `python -m sounddevice` lists the devices, set source.device and source.rate_hz"
            ) from error
        return portaudio

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield clips of 10 s as they are recorded, stamped with the time of their first sample.

        The stamp is the arrival time of the last block minus 10 s. It follows the system's clock and not the drift of
        the sound card. It is late by the device's latency, about 0.1 s.

        Raises:
            UnavailableError: PortAudio is not installed, or the device is missing, refuses the rate, failed, or
                delivers nothing.
        """
        portaudio = self._open()
        blocks: queue.Queue[Waveform] = queue.Queue(maxsize=int(QUEUE_S / BLOCK_S))
        lost = Flag()

        def keep(samples: Any, _frames: int, _time: Any, status: Any) -> None:  # noqa: ANN401 - untyped library
            try:
                blocks.put_nowait(np.array(samples[:, 0], dtype=np.float32))
            except queue.Full:
                lost.set()
            if status.input_overflow:
                lost.set()

        clipper = ClipAssembler(round(CLIP_S * self._rate_hz))
        try:
            with portaudio.InputStream(
                device=self._device,
                channels=1,
                dtype="float32",
                samplerate=self._rate_hz,
                blocksize=round(BLOCK_S * self._rate_hz),
                callback=keep,
            ):
                while not stop.is_set():
                    for clip in clipper.add(_next_block(blocks)):
                        began = datetime.now(UTC) - timedelta(seconds=CLIP_S)
                        yield AudioClip(clip, self._rate_hz, began)
                    if lost.is_set():
                        lost.clear()
                        log.warning("microphone lost samples", extra={"device": self._device})
        except portaudio.PortAudioError as error:
            raise UnavailableError(f"the microphone failed: {error}") from error


def _next_block(blocks: "queue.Queue[Waveform]") -> Waveform:
    try:
        return blocks.get(timeout=SILENT_S)
    except queue.Empty:
        raise UnavailableError(f"the microphone delivered nothing for {SILENT_S:.0f} s") from None


def _portaudio() -> Any:  # noqa: ANN401 - sounddevice ships no types
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise UnavailableError("sounddevice is not installed: pip install 'earwitness[edge]'") from error
    except OSError as error:
        raise UnavailableError(f"PortAudio is missing ({error}): apt install libportaudio2") from error

"""A microphone as a source: PortAudio through sounddevice, which is imported only when it is used.

1. `clips` opens the device, so a sensor whose microphone is missing runs and tries again.
2. PortAudio's callback copies blocks into a queue with the time of their arrival, and does nothing else.
3. `stamped_clips` joins blocks into clips of 10 s without gaps.
4. A device that ends, fails or delivers nothing for `SILENT_S` is `UnavailableError`, once the sound before is taken;
   the agent opens it again. The list of devices is then read again, so a device may come back under another name.
"""

import importlib
from collections.abc import Iterator
from threading import Event as Flag
from typing import Any, Final

import numpy as np

from edge.sources.live_blocks import BLOCK_S, Block, BlockQueue, stamped_clips
from edge.sources.protocol import SourceItem
from shared.audio import Waveform
from shared.errors import UnavailableError

SILENT_S: Final = 5.0
"""A device that delivers no block for this many seconds has failed."""


class _Recorder:
    """PortAudio's callbacks, which put its blocks into a queue."""

    def __init__(self) -> None:
        self.blocks: Final = BlockQueue("microphone", SILENT_S)

    def keep(self, samples: Any, _frames: int, _time: Any, status: Any) -> None:  # noqa: ANN401 - untyped library
        """Take a block from PortAudio."""
        self.blocks.put(np.array(samples[:, 0], dtype=np.float32), lost=bool(status.input_overflow))

    def finish(self) -> None:
        """Take PortAudio's notice that the stream has ended."""
        self.blocks.finish()


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

        Raises:
            UnavailableError: PortAudio is not installed, or the device is missing, refuses the rate, ended, failed,
                or delivers nothing.
        """
        yield from stamped_clips(self._record(stop), self.rate_hz)

    def blocks(self, stop: Flag) -> Iterator[Waveform]:
        """Yield blocks of about `BLOCK_S` (float32 [samples]) as they are recorded.

        Raises:
            UnavailableError: see `clips`.
        """
        for block in self._record(stop):
            yield block.samples

    def _record(self, stop: Flag) -> Iterator[Block]:
        portaudio = self._open()
        recorder = _Recorder()
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
                while (block := recorder.blocks.next_block(stop)) is not None:
                    yield block
                if not stop.is_set():
                    raise UnavailableError("the microphone was removed, or its sound server has stopped")
        except portaudio.PortAudioError as error:
            raise UnavailableError(f"the microphone failed: {error}") from error


def _portaudio() -> Any:  # noqa: ANN401 - sounddevice ships no types
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise UnavailableError("sounddevice is not installed: pip install 'earwitness[edge]'") from error
    except OSError as error:
        raise UnavailableError(f"PortAudio is missing ({error}): apt install libportaudio2") from error

"""Blocks of a live source: the queue between the thread that receives sound and capture, and clips made of blocks."""

import logging
import queue
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import Final

import numpy as np

from edge.clock import elapsed_s
from edge.sources.protocol import AudioClip
from shared.audio import Waveform
from shared.errors import UnavailableError
from shared.events import CLIP_S

log = logging.getLogger(__name__)

DEFAULT_RATE_HZ: Final = 48_000
BLOCK_S: Final = 0.1
QUEUE_S: Final = 60.0
"""Seconds of audio that may wait for a slow disk before blocks are dropped."""
_STOP_S: Final = 0.2
"""Longest time in seconds until a wait for a block notices a stop."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Samples (float32 [any]), the time at which the last of them arrived, and whether none was lost before.

    That time is in UTC, and in seconds since the machine started.
    """

    samples: Waveform
    arrived_at: datetime
    arrived_s: float
    continues: bool = True


class BlockQueue:
    """The queue between the thread that receives sound and the capture thread.

    Args:
        what: what delivers the sound, such as `microphone`, for errors and logs.
        silent_s: a source that delivers no block for this many seconds has failed.
    """

    def __init__(self, what: str, silent_s: float) -> None:
        self._what = what
        self._silent_s = silent_s
        self._blocks: queue.Queue[Block] = queue.Queue(maxsize=int(QUEUE_S / BLOCK_S) + 1)
        self._lost = Flag()
        self._finished = Flag()

    def put(self, samples: Waveform, *, lost: bool = False) -> None:
        """Add samples (float32 [any]) that arrived now; drop them if the queue is full.

        Args:
            samples: the samples.
            lost: whether samples before or among them were lost.
        """
        try:
            self._blocks.put_nowait(Block(samples, datetime.now(UTC), elapsed_s()))
        except queue.Full:
            lost = True
        if lost:
            self._lost.set()

    def finish(self) -> None:
        """Record that no block follows."""
        self._finished.set()

    def next_block(self, stop: Flag) -> Block | None:
        """Wait for the next block; return None after the last one, or soon after `stop` is set.

        Raises:
            UnavailableError: nothing arrived for `silent_s`.
        """
        continues = not self._lost.is_set()
        if not continues:
            self._lost.clear()
            log.warning("the source lost samples", extra={"what": self._what})
        deadline_s = time.monotonic() + self._silent_s
        while not stop.is_set():
            finished = self._finished.is_set()  # read first: a block that was put before it is then found
            try:
                wait_s = max(0.0, min(_STOP_S, deadline_s - time.monotonic()))
                return replace(self._blocks.get(block=not finished, timeout=wait_s), continues=continues)
            except queue.Empty:
                if finished:
                    return None
                if time.monotonic() >= deadline_s:
                    raise UnavailableError(f"the {self._what} delivered nothing for {self._silent_s:g} s") from None
        return None


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


def stamped_clips(blocks: Iterable[Block], rate_hz: int) -> Iterator[AudioClip]:
    """Yield clips of 10 s, stamped with the time of their first sample.

    The stamp is the arrival time of the clip's last block minus the duration of the sound since the clip began. It
    follows the system's clock and not the drift of the sound card, and does not depend on when the clip is processed.
    It is late by the latency of the source.

    Args:
        blocks: blocks as they arrived.
        rate_hz: sample rate in Hz.
    """
    assembler, continues = ClipAssembler(round(CLIP_S * rate_hz)), False
    for block in blocks:
        continues = continues and block.continues
        clips = assembler.add(block.samples)
        held_s = assembler.held / rate_hz
        for number, clip in enumerate(clips):
            age_s = held_s + CLIP_S * (len(clips) - number)
            began, began_s = block.arrived_at - timedelta(seconds=age_s), block.arrived_s - age_s
            yield AudioClip(clip, rate_hz, began, continues=continues, began_s=began_s)
            continues = True

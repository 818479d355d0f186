"""The synthetic street as a source: endless, seeded, with recurring sound sources."""

import zlib
from collections.abc import Iterator
from threading import Event as Flag
from typing import Final

import numpy as np

from edge.sources.protocol import AudioClip, SourceItem
from shared.events import CLIP_S
from shared.synthetic_scene import SoundCast, make_scene


class SyntheticSource:
    """Synthetic scenes of one neighbourhood.

    Sensors with the same seed share their sound sources, so the same jackhammer occurs at all of them. The sensor's
    name and shard select its own sequence. The same arguments give the same sequence.
    """

    live: Final = False
    payload_format: Final = "flac"

    def __init__(self, *, sensor: str, seed: int, shard_index: int = 0, rate_hz: int = 22_050) -> None:
        self._entropy = [seed, shard_index, zlib.crc32(sensor.encode())]
        self._cast = SoundCast.drawn(seed)
        self._rate_hz = rate_hz
        self.description = f"synthetic street, seed {seed}, {rate_hz} Hz"

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield 10-second scenes until `stop` is set."""
        rng = np.random.default_rng(self._entropy)
        while not stop.is_set():
            yield AudioClip(make_scene(rng, self._rate_hz, CLIP_S, self._cast).waveform, self._rate_hz)

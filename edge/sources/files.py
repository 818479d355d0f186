"""Recordings on disk as a source: every file of a folder, in order of name, cut into clips."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Final

from edge.sources.items import Item, Sound, Unreadable
from shared.audio import SUFFIXES, Waveform, fit, read_file
from shared.errors import Invalid, Unavailable
from shared.events import CLIP_S

REMAINDER_S: Final = 1.0
"""The end of a longer recording is dropped if it is shorter than this."""


def cut(waveform: Waveform, rate_hz: int) -> list[Waveform]:
    """Cut a recording into clips of 10 s; what is left at the end loops up to 10 s.

    Args:
        waveform: float32 [samples].
        rate_hz: sample rate in Hz.

    Returns:
        Clips, each float32 [10 * rate_hz]. A recording shorter than 10 s gives one clip, however short.

    Raises:
        Invalid: the recording is empty.
    """
    length = round(CLIP_S * rate_hz)
    pieces = [waveform[at : at + length] for at in range(0, max(1, waveform.size), length)]
    if len(pieces) > 1 and pieces[-1].size < REMAINDER_S * rate_hz:
        pieces.pop()
    return [fit(piece, length) for piece in pieces]


class FileSource:
    """A folder of recordings (or one recording), divided among sensors file by file.

    Raises:
        Unavailable: no such folder.
        Invalid: no recording in it.
    """

    live: Final = False
    form: Final = "flac"

    def __init__(self, path: Path, shard_index: int = 0, shard_count: int = 1, *, loop: bool = False) -> None:
        if not path.exists():
            raise Unavailable(f"there is no folder {path}: set source.path")
        found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        recordings = [p for p in found if p.suffix.lower() in SUFFIXES]
        if not recordings:
            raise Invalid(f"no recordings ({', '.join(SUFFIXES)}) under {path}")
        self._recordings = recordings[shard_index::shard_count]
        self._loop = loop
        self.description = f"{len(self._recordings)} of {len(recordings)} recordings under {path}"

    def items(self, stop: Flag) -> Iterator[Item]:
        """Yield every clip of every recording; a recording that cannot be read is an `Unreadable`."""
        heard = True
        while heard and not stop.is_set():
            heard = False
            for path in self._recordings:
                try:
                    waveform, rate_hz = read_file(path)
                    clips = cut(waveform, rate_hz)
                except (Invalid, Unavailable) as error:
                    yield Unreadable(str(path), str(error))
                    continue
                for clip in clips:
                    heard = True
                    yield Sound(clip, rate_hz)
            if not self._loop:
                return

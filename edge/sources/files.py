"""Recordings on disk as a source: every file of a folder, in order of name, cut into clips as it is read.

Only one clip is in memory. Of several channels the loudest one gives a clip its audio and its levels.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Final

import numpy as np

from edge.sources.protocol import AudioClip, Doubtful, SourceItem, UnreadableClip
from shared.audio import flac_rate, pad_or_trim
from shared.downmix import Samples, channel_faults, check_samples, loudest
from shared.errors import InvalidError, UnavailableError
from shared.events import CLIP_S
from shared.paths import files_below, printable
from shared.recording import SUFFIXES, opened

REMAINDER_S: Final = 1.0
"""The end of a longer recording is dropped if it is shorter than this."""


def whole_clips(blocks: Iterable[Samples], rate_hz: int) -> Iterator[Samples]:
    """Cut a recording's blocks into clips of 10 s; a remainder at the end is repeated up to 10 s.

    Args:
        blocks: float32 [10 * rate_hz, channels], the last one shorter.
        rate_hz: sample rate in Hz.

    Yields:
        Clips, each float32 [10 * rate_hz, channels]. A recording shorter than 10 s gives one clip. The remainder of a
        longer one is dropped if it is shorter than `REMAINDER_S`.
    """
    length = round(CLIP_S * rate_hz)
    for number, block in enumerate(blocks):
        if len(block) == length:
            yield block
        elif number == 0 or len(block) >= REMAINDER_S * rate_hz:
            yield np.stack([pad_or_trim(channel, length) for channel in block.T], axis=1)


class RecordingSource:
    """A folder of recordings (or one recording), divided among sensors file by file.

    Raises:
        UnavailableError: no such folder.
        InvalidError: no recording in it.
    """

    live: Final = False
    payload_format: Final = "flac"

    def __init__(self, path: Path, shard_index: int = 0, shard_count: int = 1, *, loop: bool = False) -> None:
        if not path.exists():
            raise UnavailableError(f"there is no folder {printable(path)}: set source.path")
        below = files_below(path, SUFFIXES)
        skipped = f"; skipped: {summary}" if (summary := below.skipped_summary()) else ""
        if not below.files:
            raise InvalidError(f"no recordings ({', '.join(SUFFIXES)}) under {printable(path)}{skipped}")
        self.recordings: Final = below.files[shard_index::shard_count]
        self._loop = loop
        self.description = f"{len(self.recordings)} of {len(below.files)} recordings under {printable(path)}{skipped}"

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield every clip of every recording; a recording that cannot be read is an `UnreadableClip`."""
        readable = True
        reported: set[SourceItem] = set()
        while readable and not stop.is_set():
            readable = False
            for path in self.recordings:
                for item in items_of(path):
                    readable = readable or isinstance(item, AudioClip)
                    if isinstance(item, Doubtful):
                        if item in reported:
                            continue
                        reported.add(item)
                    yield item
            if not self._loop:
                return


def items_of(path: Path) -> Iterator[SourceItem]:
    """Yield the clips of one recording and its faults; never raise because of the recording."""
    name = printable(path)
    reported: set[str] = set()

    def doubts(faults: Iterable[str]) -> Iterator[Doubtful]:
        for fault in faults:
            if fault not in reported:
                reported.add(fault)
                yield Doubtful(name, fault)

    try:
        with opened(path) as recording:
            length = round(CLIP_S * recording.rate_hz)
            number, follows = -1, False
            for number, samples in enumerate(whole_clips(recording.blocks(length), recording.rate_hz)):
                origin = f"{name} from {number * CLIP_S:.0f} s"
                if not np.isfinite(samples).all():
                    yield UnreadableClip(origin, "it contains samples that are not finite numbers (NaN or infinity)")
                    follows = False
                    continue
                check_samples(samples)
                yield from doubts([*recording.faults, *channel_faults(samples), *_rate_faults(recording.rate_hz)])
                yield AudioClip(loudest(samples), recording.rate_hz, origin=origin, continues=follows)
                follows = samples.shape[1] == 1  # of several channels, another one may be the loudest next
            yield from doubts(recording.faults)
            if number < 0:
                yield UnreadableClip(name, "it contains no samples")
    except (InvalidError, UnavailableError) as error:
        yield UnreadableClip(name, str(error))
    except Exception as error:  # noqa: BLE001 - one file must not end the others
        yield UnreadableClip(name, f"{type(error).__name__}: {error}")


def _rate_faults(rate_hz: int) -> list[str]:
    sent_hz = flac_rate(rate_hz)
    return [] if sent_hz == rate_hz else [f"{rate_hz} Hz cannot be sent: its audio is resampled to {sent_hz} Hz"]

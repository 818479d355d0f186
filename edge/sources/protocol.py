"""The protocol of sources and the items that they yield."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Flag
from typing import Protocol

from shared.audio import Waveform
from shared.events import Embedding, Levels


@dataclass(frozen=True, slots=True, eq=False)
class AudioClip:
    """One clip of audio.

    Attributes:
        waveform: float32 [samples], mono, full scale = 1.0.
        rate_hz: sample rate in Hz.
        captured_at: start of the clip (UTC) if the source is live; None if the agent stamps it.
        origin: recording of the clip and its position in it, for logs; None if it is not from a recording.
        continues: whether the clip follows the one before it without a gap.
        began_s: start of the clip in seconds since the machine started (`edge.clock.elapsed_s`), measured together
            with `captured_at`; None if the source is not live.
    """

    waveform: Waveform
    rate_hz: int
    captured_at: datetime | None = None
    origin: str | None = None
    continues: bool = False
    began_s: float | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingClip:
    """One clip as an embedding.

    Attributes:
        embedding: the features and their feature space.
        levels: sound levels of the clip, if the file has them.
    """

    embedding: Embedding
    levels: Levels | None = None


@dataclass(frozen=True, slots=True)
class UnreadableClip:
    """An item that cannot be read as a clip. The agent counts, logs and skips it."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A probable fault of a recording whose audio is used. The agent logs it once per recording."""

    what: str
    reason: str


SourceItem = AudioClip | EmbeddingClip | UnreadableClip | Doubtful


class Source(Protocol):
    """A stream of clips. The constructor of a replay has already checked that it can deliver."""

    @property
    def live(self) -> bool:
        """Return whether unread clips are lost (a microphone) or wait (a replay)."""

    @property
    def payload_format(self) -> str:
        """Return the payload format of the events: `flac`, or the id of a feature space."""

    @property
    def description(self) -> str:
        """Return a description of this source, for logs and `check`."""

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield clips until the end, or soon after `stop` is set.

        Raises:
            UnavailableError: a live device failed or is missing; another call opens it again.
        """

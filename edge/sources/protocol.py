"""What a source yields, and what a source is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Flag
from typing import Protocol

from shared.audio import Waveform
from shared.events import Embedding, Levels


@dataclass(frozen=True, slots=True, eq=False)
class AudioClip:
    """One clip of sound.

    Attributes:
        waveform: float32 [samples], mono, full scale = 1.0.
        rate_hz: sample rate in Hz.
        captured_at: start of the clip (UTC) if the source is live; None lets the agent stamp it.
        origin: which recording it is from and where in it, for people; None if it is from none.
    """

    waveform: Waveform
    rate_hz: int
    captured_at: datetime | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingClip:
    """One clip that comes as features.

    Attributes:
        embedding: the features and their space.
        levels: levels of the clip, if its maker recorded them.
    """

    embedding: Embedding
    levels: Levels | None = None


@dataclass(frozen=True, slots=True)
class UnreadableClip:
    """Something that should have been a clip and is not: counted and logged, never fatal."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """What looks wrong with a recording whose sound is used all the same: logged, once for each recording."""

    what: str
    reason: str


SourceItem = AudioClip | EmbeddingClip | UnreadableClip | Doubtful


class Source(Protocol):
    """A stream of clips. The constructor of a replay has already checked that it can deliver."""

    @property
    def live(self) -> bool:
        """Whether clips are lost while nobody takes them (a microphone), or wait (a replay)."""

    @property
    def payload_format(self) -> str:
        """What the events carry: `flac`, or the id of a feature space."""

    @property
    def description(self) -> str:
        """What this source is, for people."""

    def clips(self, stop: Flag) -> Iterator[SourceItem]:
        """Yield clips until the end, or soon after `stop` is set.

        Raises:
            Unavailable: a live device failed or is not there; calling again opens it anew.
        """

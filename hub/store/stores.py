"""All stores of a hub, as one value."""

from dataclasses import dataclass
from typing import Self

from hub.store.audio_files import AudioFileStore
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.named_sounds import NamedSounds
from hub.store.sources import SourceStore


@dataclass(frozen=True, slots=True)
class Stores:
    """Stores of a hub.

    Attributes:
        events: events and alerts.
        episodes: of events.
        sources: of episodes.
        audio: audio files; None if the hub keeps none.
        names: named sounds.
    """

    events: EventStore
    episodes: EpisodeStore
    sources: SourceStore
    audio: AudioFileStore | None
    names: NamedSounds

    @classmethod
    def of(cls, events: EventStore, audio: AudioFileStore | None = None) -> Self:
        """Return all stores of the Redis server of an event store."""
        episodes = EpisodeStore(events)
        return cls(events, episodes, SourceStore(events, episodes), audio, NamedSounds(events, audio))

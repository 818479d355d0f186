"""Naming a source: its exemplars become the examples of a named sound."""

from hub.domain.named_sounds import EXAMPLES_LIMIT, NamedSound
from hub.domain.sources import exemplars
from hub.store.events import EventStore
from hub.store.named_sounds import NamedSounds
from hub.store.sources import SourceStore
from shared.errors import InvalidError

_EPISODES = 50
"""Newest episodes of a source among which exemplars are looked for."""


def examples_of(sources: SourceStore, archive: EventStore, source: str) -> tuple[str, list[str]]:
    """Return the present id of a source, and the events that sound most like it and are in the archive.

    Args:
        sources: where it is kept.
        archive: of its events.
        source: its id, or that of a source that became a part of it.

    Returns:
        The id, and one to five events.

    Raises:
        InvalidError: there is no such source, or none of its events is left.
        UnavailableError: the store is away.
    """
    stored = sources.get(source)
    if stored is None:
        raise InvalidError(f"no source {source}")
    episodes = sources.episodes(stored.id, limit=_EPISODES)
    members = sources.members([episode.id for episode in episodes]).values()
    near = [member.clip for member in exemplars(stored.source, list(members), 2 * EXAMPLES_LIMIT)]
    events = [str(event.id) for event in archive.fetch(list(dict.fromkeys(near)))][:EXAMPLES_LIMIT]
    if not events:
        raise InvalidError(
            f"none of the events of source {stored.id} is in the archive: name an event when it returns"
        )
    return stored.id, events


def forget(names: NamedSounds, sources: SourceStore, sound: str) -> NamedSound:
    """Remove a named sound; a source that it was the only name of is kept no longer than others.

    Raises:
        InvalidError: there is no such sound.
        UnavailableError: the store is away.
    """
    gone = names.remove(sound)
    if gone.source and gone.source not in {one.source for one in names.all().values()}:
        sources.keep(gone.source, kept=False)
    return gone

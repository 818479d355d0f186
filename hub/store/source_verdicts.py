"""Apply people's verdicts to sources: which are the same, which are different."""

from dataclasses import replace

from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.store.episodes import EpisodeStore
from hub.store.source_rows import StoredSource
from hub.store.sources import SourceStore
from shared.errors import InvalidError
from shared.messages.alert import AlertMessage, MatchMessage


class SourceVerdicts:
    """Joins and parts sources.

    Args:
        store: of sources.
        episode_store: where episodes are.
    """

    def __init__(self, store: SourceStore, episode_store: EpisodeStore) -> None:
        self._store = store
        self._episode_store = episode_store

    def take(self, alert: AlertMessage, match: MatchMessage | None, *, same: bool) -> None:
        """Join or part the sources of an alert and a match of it; where one of them has none, nothing changes.

        Args:
            alert: what it is about.
            match: of the alert; None for the alert as a whole: "same" changes nothing then, "different" takes its
                episode out of its source.
            same: whether they are the same.

        Raises:
            UnavailableError: the store is away.
        """
        own = self._episode_store.episode(alert.episode)
        if own is None:
            return
        other = None if match is None else self._episode_of(match, alert.categories[0])
        if match is None and not same:
            self.leave(own.id)
        elif other is not None and other.id != own.id:
            (self.same if same else self.part)(own.id, other.id)

    def leave(self, episode: str) -> bool:
        """Have an episode be of a source of its own by a person's verdict; False if it is already, or of none.

        Raises:
            UnavailableError: the store is away.
        """
        member = self._store.members([episode]).get(episode)
        others = [] if member is None else self._store.episode_ids(member.source)
        other = next((name for name in others if name != episode), None)
        return other is not None and self.part(episode, other)

    def _episode_of(self, match: MatchMessage, category: str) -> Episode | None:
        """Return the episode of a category that a match belongs to."""
        at_ms, place = to_ms(match.captured_at), f"{match.site}/{match.sensor}"
        found = self._episode_store.episodes(limit=2, before_ms=at_ms + 1, place=place, category=category)
        return next((one for one in found if one.opened_ms <= at_ms < one.last_ms), None)

    def join(self, first: str, second: str) -> str:
        """Make two sources one by a person's verdict; return its id.

        Raises:
            InvalidError: there is no such source, or the two cannot be compared.
            UnavailableError: the store is away.
        """
        pair = [self._there(name) for name in (first, second)]
        if pair[0].group != pair[1].group or pair[0].network != pair[1].network:
            raise InvalidError(
                f"sources {first} and {second} cannot be one: they are of different sites, kinds or networks"
            )

        joined = first
        for drawer in self._store.attempts(pair[0].group, pair[0].network, ()):
            if all(one.id in drawer.partition.sources for one in pair):
                drawer.partition.join(pair[0].id, pair[1].id)
            joined = drawer.partition.resolved(pair[0].id)
        return joined

    def part(self, episode: str, other: str) -> bool:
        """Have two episodes be of different sources by a person's verdict; the first leaves their source.

        Returns:
            Whether they are now; they cannot if one of them is of no source.

        Raises:
            UnavailableError: the store is away.
        """
        known = self._store.members([episode, other])
        own = self._store.get(known[episode].source) if len({episode, other} & known.keys()) == 2 else None
        if own is None:
            return False
        watched = {*self._store.episode_ids(own.id), episode, other}
        for drawer in self._store.attempts(own.group, own.network, watched):
            before = {name: member for name in drawer.members if (member := drawer.before(name)) is not None}
            if {episode, other} <= before.keys():
                drawer.filed |= drawer.partition.part(before[episode], before[other], before)
        return True

    def same(self, episode: str, other: str) -> bool:
        """Have two episodes be of one source by a person's verdict.

        Returns:
            Whether they are now; they cannot if one of them is of no source, or if they cannot be compared.

        Raises:
            UnavailableError: the store is away.
        """
        known = self._store.members([episode, other])
        if not {episode, other} <= known.keys():
            return False
        try:
            joined = self.join(known[episode].source, known[other].source)
        except InvalidError:
            return False
        own = self._there(joined)
        for drawer in self._store.attempts(own.group, own.network, (episode, other)):
            before = {name: member for name in (episode, other) if (member := drawer.before(name)) is not None}
            drawer.filed |= {name: replace(member, fixed=True, probability=1.0) for name, member in before.items()}
        return True

    def _there(self, name: str) -> StoredSource:
        found = self._store.get(name)
        if found is None:
            raise InvalidError(f"no source {name}")
        return found

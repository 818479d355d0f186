"""Apply people's verdicts to sources: which are the same, which are different."""

from dataclasses import replace

from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.verdicts import Verdict
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

    def take(self, alert: AlertMessage, match: MatchMessage | None, *, same: bool) -> str:
        """Join or part the sources of an alert and a match of it; where one of them has none, nothing changes.

        Args:
            alert: what it is about.
            match: of the alert; None for the alert as a whole: "same" changes nothing then, "different" takes its
                episode out of its source.
            same: whether they are the same.

        Returns:
            The episode whose source was joined with the alert's or parted from it; "" if nothing changed.

        Raises:
            UnavailableError: the store is away.
        """
        own = self._episode_store.episode(alert.episode)
        if own is None:
            return ""
        if match is not None:
            found = self._episode_of(match, alert.categories[0])
            other = "" if found is None else found.id
        else:
            other = "" if same else self._other_of_source(own.id)
        if other in {"", own.id} or self._holds(own.id, other, same=same):
            return ""
        return other if (self.same if same else self.part)(own.id, other) else ""

    def take_back(self, verdict: Verdict) -> None:
        """Take back what a verdict did to sources; afterwards the rules of `hub.domain.sources` decide on them.

        Raises:
            UnavailableError: the store is away.
        """
        pair = [self._episode_store.episode(name) for name in (verdict.episode, verdict.other_episode) if name]
        names = [one.id for one in pair if one is not None]
        known = self._store.members(names)
        own = self._store.get(known[names[0]].source) if len(known) == 2 else None
        if own is None:
            return
        for drawer in self._store.attempts(own.group, own.network, {*self._store.episode_ids(own.id), *names}):
            before = {name: member for name in drawer.members if (member := drawer.before(name)) is not None}
            if not before.keys() >= set(names):
                continue
            free = {name: replace(before[name], fixed=False) for name in names}
            first, second = free[names[0]], free[names[1]]
            if verdict.verdict == "same":
                free |= drawer.partition.split(first, second, before | free)
            else:
                drawer.partition.release(first.source, second.source)
            drawer.filed |= free

    def _holds(self, episode: str, other: str, *, same: bool) -> bool:
        """Return whether two episodes are of one source already, or marked as different already."""
        known = self._store.members([episode, other])
        if len(known) < 2:
            return False
        if known[episode].source == known[other].source:
            return same
        own = self._store.get(known[episode].source)
        return not same and own is not None and known[other].source in own.source.apart

    def _other_of_source(self, episode: str) -> str:
        """Return another episode of the same source; "" if there is none."""
        member = self._store.members([episode]).get(episode)
        others = [] if member is None else self._store.episode_ids(member.source)
        return next((name for name in others if name != episode), "")

    def leave(self, episode: str) -> bool:
        """Have an episode be of a source of its own by a person's verdict; False if it is already, or of none.

        Raises:
            UnavailableError: the store is away.
        """
        other = self._other_of_source(episode)
        return bool(other) and self.part(episode, other)

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

"""Files episodes into sources, and keeps identities of different checkpoints apart.

1. An episode that opened, or whose clearest clip changed, is due (`hub.store.sources`). A thread files those that are
   due, the oldest first; before alerts are dispatched, those of their sites and categories are filed that
   are due then.
2. The identity of an episode is that of its clearest clip, by the checkpoint of the clip's feature space. An episode
   whose clip is gone, or whose feature space has no checkpoint with an identity, is of no source.
3. Identities of two checkpoints are never compared. Where a source has those of an earlier checkpoint, they are
   computed again from the clips of its newest episodes; the episodes stay in it. If none of these clips is archived,
   it keeps its history, and nothing joins it.
4. While hubs with two checkpoints for a feature space run, those that have filed go on, and the others leave episodes
   due until no hub filed for ten minutes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hub.domain.episodes import Episode
from hub.domain.sources import Centre, Member, Same, Seen, Source, SourceRule, Vector
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.events import EventStore
from hub.store.source_rows import Group, StoredSource
from hub.store.source_transaction import Drawer
from hub.store.sources import SourceStore
from shared.worker import Worker

AT_ONCE: Final = 256
"""Episodes filed in one transaction at most."""
_CLAIM_S: Final = 600.0
_EVERY_S: Final = 1.0
_REST: Final = 19.0
"""Time waited, as a multiple of the time worked, while more are due."""
_REMADE_FROM: Final = 20
"""Episodes of a source whose identities are computed again for another checkpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class _Identified:
    """An episode with the identity of its clearest clip."""

    episode: Episode
    identity: Vector


class SourceFiler:
    """Files episodes, on a thread of its own and when asked; safe to use from several threads.

    Args:
        archive: where clips' events are.
        store: of sources.
        retrieval: makes identities.
        rule: when an episode belongs to a source.
        metrics: where filed episodes are counted.
    """

    def __init__(
        self, archive: EventStore, store: SourceStore, retrieval: Retrieval, rule: SourceRule, metrics: HubMetrics
    ) -> None:
        self._archive = archive
        self._store = store
        self._retrieval = retrieval
        self._rule = rule
        self._metrics = metrics
        self._scorers = {scorer.space.id: scorer for scorer in retrieval.scorers if scorer.identities.known}
        self._start = 0
        self.worker = Worker("sources", self.step)

    def step(self) -> float:
        """File some of the episodes that are due; return how long to wait until the next step, in seconds.

        While more are due it works for a twentieth of the time: intake of events goes on beside it.

        Raises:
            UnavailableError: the store is away; nothing is lost.
        """
        began_s = time.monotonic()
        names = self._store.due(self._start, AT_ONCE)
        left = self.file(names) if names else 0
        more = len(names) == AT_ONCE
        self._start = self._start + left if more else 0
        return _REST * (time.monotonic() - began_s) if more else _EVERY_S

    def catch_up(self, episodes: Sequence[str]) -> None:
        """File episodes that are due, and those of their sites and categories among the last due before them.

        Hubs with another checkpoint file those of their feature space.

        Raises:
            UnavailableError: the store is away; nothing is lost.
        """
        compared = {_compared(name) for name in episodes}
        self.file([name for name in self._store.due_until(episodes, AT_ONCE) if _compared(name) in compared])

    def file(self, names: Sequence[str]) -> int:
        """File episodes, or forget what they were filed as if they are no more.

        Returns:
            How many stay due, because hubs with another checkpoint file those of their feature space.

        Raises:
            UnavailableError: the store is away; filing again is safe.
        """
        standing = self._store.standing(names)
        episodes = [one for one in standing.values() if isinstance(one, Episode)]
        merged = [name for name in names if isinstance(standing.get(name), str)]
        events = {str(event.id): event for event in self._archive.fetch(sorted({e.peak_event for e in episodes}))}
        groups: dict[Group, list[Episode]] = {}
        for episode in episodes:
            event = events.get(episode.peak_event)
            if event is not None and event.space in self._scorers:
                groups.setdefault(Group(episode.site, episode.category, event.space), []).append(episode)
        filed = {episode.id for own in groups.values() for episode in own}
        self._forget(merged)
        self._store.forget_due(set(names) - filed - set(merged))
        left = 0
        for group, own in groups.items():
            scorer = self._scorers[group.space]
            if not self._store.claim(group.space, scorer.fingerprint, _CLAIM_S):
                left += len(own)
                continue
            identities = self._retrieval.identities([events[episode.peak_event] for episode in own])
            identified = [_Identified(episode, row) for episode, row in zip(own, identities, strict=True)]
            self._file(group, scorer, identified)
        return left

    def _forget(self, merged: Sequence[str]) -> None:
        """Take episodes that became a part of others out of their sources."""
        for name, member in self._store.members(merged).items():
            stored = self._store.get(member.source)
            if stored is not None:
                for drawer in self._store.attempts(stored.group, stored.network, [name]):
                    _leave(drawer, name)
        self._store.forget_due(merged)

    def _file(self, group: Group, scorer: Scorer, identified: Sequence[_Identified]) -> None:
        outcomes: list[str] = []
        names = [one.episode.id for one in identified]
        for drawer in self._store.attempts(group, scorer.fingerprint, names, same=_same(scorer), rule=self._rule):
            self._recompute(drawer)
            standing = self._store.standing(names)
            still = [one for one in identified if _stands(one.episode, standing.get(one.episode.id))]
            outcomes = [_put(drawer, one) for one in sorted(still, key=lambda one: one.episode.opened_ms)]
        for outcome in filter(None, outcomes):
            self._metrics.filed.labels(outcome).inc()

    def _recompute(self, drawer: Drawer) -> None:
        """Have the sources with identities of earlier checkpoints be made of those of the present one."""
        for stored in drawer.stored.values():
            if stored.network != drawer.network:
                self._recompute_source(drawer, stored)

    def _recompute_source(self, drawer: Drawer, stored: StoredSource) -> None:
        members = self._store.members(self._store.episode_ids(stored.id)[:_REMADE_FROM])
        clips = sorted({member.clip for member in members.values()})
        events = [event for event in self._archive.fetch(clips) if event.space == drawer.group.space]
        if not events:
            return
        made = dict(zip((str(event.id) for event in events), self._retrieval.identities(events), strict=True))
        known = {name: m for name, m in members.items() if m.clip in made and m.source == stored.id}
        if not known:
            return
        source, members = _recomputed(stored.source, known, made)
        drawer.partition.adopt(source)
        drawer.filed |= members


def _recomputed(
    source: Source, members: Mapping[str, Member], identities: Mapping[str, Vector]
) -> tuple[Source, dict[str, Member]]:
    """Return a source and some of its episodes with other identities, by clip."""
    named = {centre.id for centre in source.centres}
    recomputed = {
        name: replace(
            member,
            identity=identities[member.clip],
            centre=member.centre if member.centre in named else source.centres[0].id,
        )
        for name, member in members.items()
    }
    centres: dict[str, Centre] = {}
    for member in recomputed.values():
        known = centres.get(member.centre)
        centres[member.centre] = (
            Centre(member.centre, member.identity) if known is None else known.plus(member.identity)
        )
    return replace(source, centres=tuple(centres.values())), recomputed


def _compared(name: str) -> tuple[str, str]:
    """Site and number of the category of an episode: only those that are equal are compared."""
    return name.partition(".")[0], name.rpartition(".")[2]


def _stands(episode: Episode, now: Episode | str | None) -> bool:
    """Return whether an episode has the identity and the opening that it was read with; else it is due again."""
    return isinstance(now, Episode) and (now.peak_event, now.opened_ms) == (episode.peak_event, episode.opened_ms)


def _put(drawer: Drawer, one: _Identified) -> str:
    """File an episode; return the result: "joined", "opened", or "" if it is where it was."""
    episode = one.episode
    seen = Seen(episode.id, episode.opened_ms, episode.peak_event, one.identity)
    before = drawer.filed.get(episode.id) or drawer.before(episode.id)
    member = drawer.partition.file(seen, before)
    drawer.done.add(episode.id)
    if member is None:
        drawer.left.add(episode.id)
        return ""
    drawer.filed[episode.id] = member
    drawer.opened_ms[episode.id] = episode.opened_ms
    if before is not None and drawer.partition.resolved(before.source) == member.source:
        return ""
    return "opened" if drawer.partition.sources[member.source].size == 1 else "joined"


def _leave(drawer: Drawer, name: str) -> None:
    before = drawer.before(name)
    if before is not None:
        drawer.partition.forget(before)
    drawer.left.add(name)
    drawer.done.add(name)


def _same(scorer: Scorer) -> Same:
    def same(cosines: Vector) -> Vector:
        return np.asarray(scorer.identities.same_source(cosines), dtype=np.float32)

    return same

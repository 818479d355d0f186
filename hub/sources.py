"""Sources in the store: which episodes are of one machine, dog, siren or voice; the rules are in `hub.flagging.source`.

Keys: `ew:sources:due` sorted set of episodes that are to be filed (ms of opening), `ew:sources` sorted set of all
sources by when they were last heard (ms), one per `ew:sources:<site>:<category>:<space>`, `ew:source:<id>` JSON row,
`ew:source:<id>:episodes` sorted set of its episodes (ms of opening), `ew:members:<site>` hash of episodes to JSON rows,
`ew:sources:kept` set of those that are never given up, `ew:sources:version:<site>:<category>:<space>` counter,
`ew:sources:network:<space>` fingerprint of the checkpoint that identities are made with, for ten minutes.

Concluding a batch of events makes its episodes due, in the same transaction; `hub.filing` files them. A source's
row, its episodes and the end of their being due are written in one transaction, which fails and is done again if
another hub changed the sources of this site, category and feature space, or one of the episodes meanwhile: so repeats
and several hubs count no episode twice. The id of a source that became a part of another holds the other's id, as
JSON text, for a year.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import redis
from pydantic_core import from_json, to_json

from hub.archive import PREFIX, Archive, translated
from hub.casebook import Casebook
from hub.flagging.episode import Episode
from hub.flagging.partition import Partition
from hub.flagging.source import Centre, Member, Same, Source, SourceRule, Vector
from hub.past import SOURCES_DUE, key_of
from shared.errors import Invalid
from shared.taxonomy import CATEGORIES

_SOURCES: Final = f"{PREFIX}:sources"
_KEPT: Final = f"{_SOURCES}:kept"
_NAMED_FOR_S: Final = 366 * 86_400
_BATCH: Final = 256
_STEPS: Final = 127
"""Identities are multiples of 1 / 127: a signed byte holds a value. Source: `hub.model.identity`."""


class Group(NamedTuple):
    """What sources are compared within."""

    site: str
    category: str
    space: str


@dataclass(frozen=True, slots=True, eq=False)
class StoredSource:
    """A source as it is kept.

    Attributes:
        source: with identities of `network`.
        group: its site, category and feature space.
        network: fingerprint of the checkpoint that made the identities.
        episodes: how many of its episodes are kept.
    """

    source: Source
    group: Group
    network: str
    episodes: int = 0

    @property
    def id(self) -> str:
        """Of the episode that opened it."""
        return self.source.id


@dataclass(slots=True, eq=False)
class Drawer:
    """The sources of a group while they are changed, and what is to be kept of it.

    Attributes:
        group: site, category and feature space.
        network: fingerprint of the checkpoint whose identities are compared.
        partition: the sources with such identities.
        older: sources with identities of other checkpoints, by id.
        before: episodes as they were filed, by id; those that are not filed are missing.
        filed: episodes as they are filed now, by id; to be added to.
        left: episodes that are of no source any more; to be added to.
        done: episodes that are not due any more; to be added to.
        opened_ms: of the episodes in `filed`, when they opened, if that is new; to be added to.
    """

    group: Group
    network: str
    partition: Partition
    older: dict[str, StoredSource]
    before: dict[str, Member]
    filed: dict[str, Member] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    opened_ms: dict[str, int] = field(default_factory=dict)


class SourceStore:
    """Keeps sources, in the archive's store; safe to use from several threads.

    Args:
        archive: whose store is used.
        casebook: where episodes are.
    """

    def __init__(self, archive: Archive, casebook: Casebook) -> None:
        self._redis = archive.client
        self._rows = archive.rows
        self._casebook = casebook

    @translated
    def get(self, name: str) -> StoredSource | None:
        """A source by its id, or by that of one that became a part of it; None if there is none."""
        found = self._resolved([name]).get(name)
        return None if found is None else next(iter(self._stored([found])), None)

    @translated
    def newest(
        self,
        *,
        limit: int = 50,
        before: tuple[int, str] | None = None,
        site: str | None = None,
        category: str | None = None,
        place: str | None = None,
    ) -> list[StoredSource]:
        """Sources, the one that was heard last first.

        Args:
            limit: most sources returned.
            before: time (ms) and id of the one after which they begin.
            site: only those of this site.
            category: only those of this category.
            place: only those that this `site/sensor` opened.
        """
        upper = "+inf" if before is None else str(before[0])
        chosen: list[StoredSource] = []
        start = 0
        while len(chosen) < limit:
            rows = self._redis.zrevrangebyscore(_SOURCES, upper, "-inf", start=start, num=_BATCH, withscores=True)
            if not rows:
                break
            start += len(rows)
            names = [
                name.decode()
                for name, at in rows
                if before is None or (int(at), name.decode()) < before  # of equal times the higher id comes first
            ]
            chosen += [
                one
                for one in self._stored([name for name in names if place is None or _place_of(name) == place])
                if site in {None, one.group.site} and category in {None, one.group.category}
            ]
        return chosen[:limit]

    @translated
    def count(self) -> int:
        """How many sources there are."""
        return int(self._redis.zcard(_SOURCES))

    @translated
    def due_count(self) -> int:
        """How many episodes are to be filed."""
        return int(self._redis.zcard(SOURCES_DUE))

    @translated
    def due(self, start: int, limit: int) -> list[str]:
        """Episodes that are to be filed, the oldest first, less the first few."""
        return [name.decode() for name in self._redis.zrange(SOURCES_DUE, start, start + limit - 1)]

    @translated
    def forget_due(self, names: Sequence[str]) -> None:
        """File some episodes no more: nothing is left that tells their source."""
        if names:
            self._redis.zrem(SOURCES_DUE, *names)

    @translated
    def members(self, episodes: Sequence[str]) -> dict[str, Member]:
        """Episodes as they were filed, with the source that they are of now; those of none are missing."""
        found = {name: member for name, (member, _) in self._members(self._redis, episodes).items()}
        now = self._resolved({member.source for member in found.values()})
        return {name: replace(m, source=now[m.source]) for name, m in found.items() if m.source in now}

    @translated
    def episodes(
        self, name: str, *, limit: int = 50, before_ms: int | None = None, since_ms: int | None = None
    ) -> list[Episode]:
        """The newest episodes of a source, newest first.

        Args:
            name: id of the source.
            limit: most episodes returned.
            before_ms: only those opened before this.
            since_ms: only those opened at this time or later.
        """
        upper = "+inf" if before_ms is None else f"({before_ms}"
        lower = "-inf" if since_ms is None else str(since_ms)
        ids = self._redis.zrevrangebyscore(_episodes(name), upper, lower, start=0, num=limit)
        found = self._casebook.standing([one.decode() for one in ids])
        return [episode for episode in found.values() if isinstance(episode, Episode)]

    @translated
    def keep(self, name: str, *, kept: bool = True) -> None:
        """Have a source never be given up, nor removed for want of episodes; or no more."""
        (self._redis.sadd if kept else self._redis.srem)(_KEPT, name)

    @translated
    def claim(self, space: str, network: str, for_s: float) -> bool:
        """Have identities of a feature space be made by a checkpoint; False while they are by another."""
        key = f"{_SOURCES}:network:{space}"
        self._redis.set(key, network, ex=round(for_s), nx=True)
        if self._redis.get(key) != network.encode():
            return False
        self._redis.expire(key, round(for_s))
        return True

    def join(self, first: str, second: str) -> str:
        """Make two sources one because a person said so; return its id.

        Raises:
            Invalid: there is no such source, they are of different sites, categories or feature spaces, or their
                identities are of different checkpoints.
            Unavailable: the store is away.
        """
        pair = [self._there(name) for name in (first, second)]
        if pair[0].group != pair[1].group or pair[0].network != pair[1].network:
            raise Invalid(f"the sources {first} and {second} cannot be compared, so they cannot be one")
        if pair[0].id == pair[1].id:
            return pair[0].id
        joined = [pair[0].id]

        def work(drawer: Drawer) -> None:
            if all(one.id in drawer.partition.sources for one in pair):
                joined[0] = drawer.partition.join(pair[0].id, pair[1].id)

        self.edit(pair[0].group, pair[0].network, (), work)
        return joined[0]

    def part(self, episode: str, other: str) -> bool:
        """Have two episodes be of different sources because a person said so; False if one is of none.

        Raises:
            Unavailable: the store is away.
        """
        pair = self.members([episode, other])
        if len(pair) < 2 or (own := self.get(pair[episode].source)) is None:
            return False
        names = self._episode_ids(own.id)

        def work(drawer: Drawer) -> None:
            if {episode, other} <= drawer.before.keys():
                first, second = drawer.before[episode], drawer.before[other]
                drawer.filed |= drawer.partition.part(first, second, drawer.before)

        self.edit(own.group, own.network, {*names, episode, other}, work)
        return True

    def leave(self, episode: str) -> str | None:
        """Have an episode be of a source of its own because a person said so; its id, None if it is alone already.

        Raises:
            Unavailable: the store is away.
        """
        member = self.members([episode]).get(episode)
        others = [] if member is None else [n for n in self._episode_ids(member.source) if n != episode]
        if member is None or not others:
            return None
        self.part(episode, others[0] if others[0] == member.source or member.source not in others else member.source)
        return self.members([episode])[episode].source

    def fix(self, episodes: Sequence[str]) -> None:
        """Have episodes stay in their sources whatever clips of theirs come yet."""
        for name, member in self.members(episodes).items():
            own = self.get(member.source)
            if own is not None:
                self.edit(own.group, own.network, [name], partial(_fixed, name))

    @translated
    def edit(
        self,
        group: Group,
        network: str,
        episodes: Iterable[str],
        work: Callable[[Drawer], None],
        *,
        same: Same = lambda cosines: cosines,
        rule: SourceRule | None = None,
    ) -> Drawer:
        """Change the sources of a group: all of it or nothing.

        Args:
            group: site, category and feature space.
            network: fingerprint of the checkpoint whose identities are compared.
            episodes: those that matter; they are watched.
            work: changes the drawer; called again if another hub changed it meanwhile.
            same: from cosines to P(same source).
            rule: when an episode belongs to a source.

        Raises:
            Unavailable: the store is away; nothing is known of what was kept, and doing it again is safe.
        """
        names = sorted(set(episodes))
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(_version(group), _KEPT, *(key_of(name) for name in names))
                    drawer = self._drawer(pipe, group, network, names, same, rule or SourceRule())
                    work(drawer)
                    self._queue(pipe, drawer)
                    pipe.execute()
                except redis.WatchError:
                    continue
                return drawer

    def _drawer(
        self, pipe: Any, group: Group, network: str, names: Sequence[str], same: Same, rule: SourceRule  # noqa: ANN401
    ) -> Drawer:
        ids = [name.decode() for name in pipe.zrange(_group(group), 0, -1)]
        kept = {name.decode() for name in pipe.smembers(_KEPT)}
        rows = pipe.mget([_source(name) for name in ids]) if ids else []
        read = (self._rows.read("source", name, _source_of, row) for name, row in zip(ids, rows, strict=True))
        found = [replace(one, source=replace(one.source, kept=one.id in kept)) for one in read if one is not None]
        own = [one.source for one in found if one.network == network]
        members = self._members(pipe, names)
        resolved = self._resolved({member.source for member, _ in members.values()}, pipe)
        before = {
            name: replace(member, source=resolved[member.source])
            for name, (member, made_by) in members.items()
            if member.source in resolved and made_by == network
        }
        older = {one.id: one for one in found if one.network != network}
        return Drawer(group, network, Partition(own, same, rule), older, before)

    def _queue(self, pipe: Any, drawer: Drawer) -> None:  # noqa: ANN401 - the client is untyped
        """What is to be kept of a drawer; reads what it needs for that, then begins the transaction."""
        partition, group = drawer.partition, drawer.group
        lost = {name: pipe.zrange(_episodes(name), 0, -1) for name in partition.gone}
        names = sorted(drawer.filed)
        known = {name: pipe.zscore(_opening(pipe, name, drawer), name) for name in names}
        former = self._members(pipe, [*names, *drawer.left])
        pipe.multi()
        for name in partition.into:
            target = partition.resolved(name)
            pipe.zunionstore(_episodes(target), [_episodes(target), _episodes(name)], aggregate="MIN")
            pipe.delete(_episodes(name))
            pipe.set(_source(name), to_json(target), ex=_NAMED_FOR_S)
            pipe.zrem(_SOURCES, name)
            pipe.zrem(_group(group), name)
        for name, (member, _) in former.items():
            if name in drawer.left or drawer.filed[name].source != partition.resolved(member.source):
                pipe.zrem(_episodes(partition.resolved(member.source)), name)
        for name in names:
            opened_ms = drawer.opened_ms.get(name, known[name])
            pipe.zadd(_episodes(drawer.filed[name].source), {name: 0 if opened_ms is None else opened_ms})
        if names:
            rows = {name: _member_row(drawer.filed[name], drawer.network) for name in names}
            pipe.hset(_members(group.site), mapping=rows)
        for name in sorted(partition.changed):
            source = partition.sources[name]
            pipe.set(_source(name), _source_row(StoredSource(source, group, drawer.network)))
            pipe.zadd(_SOURCES, {name: source.last_ms})
            pipe.zadd(_group(group), {name: source.last_ms})
        for name, episodes in lost.items():
            self._queue_removal(pipe, group, name, [one.decode() for one in episodes])
        if drawer.left:
            pipe.hdel(_members(group.site), *drawer.left)
        if drawer.done:
            pipe.zrem(SOURCES_DUE, *drawer.done)
        if partition.changed or partition.into or partition.gone or drawer.filed or drawer.left:
            pipe.incr(_version(group))

    def _queue_removal(self, pipe: Any, group: Group, name: str, episodes: Sequence[str]) -> None:  # noqa: ANN401
        pipe.delete(_source(name), _episodes(name))
        pipe.zrem(_SOURCES, name)
        pipe.zrem(_group(group), name)
        if episodes:
            pipe.hdel(_members(group.site), *episodes)

    @translated
    def expire(self, before_ms: int) -> int:
        """Remove one batch of the episodes of sources from before a time, and sources that are left without any.

        A source that is kept stays, and so do the identities that it was made of: it is known when it comes again.

        Returns:
            How many sources were looked at that were last heard before the time; call again until it returns 0.
        """
        names = self._redis.zrangebyscore(_SOURCES, "-inf", f"({before_ms}", start=0, num=_BATCH)
        kept = self._redis.smembers(_KEPT)
        removed = 0
        for one in self._stored([name.decode() for name in names if name not in kept]):
            episodes = [name.decode() for name in self._redis.zrange(_episodes(one.id), 0, -1)]
            with self._redis.pipeline(transaction=False) as pipe:  # a full store refuses transactions
                self._queue_removal(pipe, one.group, one.id, episodes)
                pipe.execute()
            removed += 1
        return removed

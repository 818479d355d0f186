"""Sources in the store: which episodes are of one machine, dog, siren or voice, by `hub.domain.sources`.

Concluding a batch of events makes its episodes due, in the same transaction; `hub.alerting.source_filing` files them.
A source's row, its episodes and the end of their being due are written in one transaction, which fails and is done
again if another hub changed the sources of this site, category and feature space, or one of the episodes meanwhile:
repeats and several hubs count no episode twice. The key of a source that became a part of another holds the other's
id, as JSON text, for a year.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import redis

from hub.domain.episodes import Episode
from hub.domain.source_partition import Partition
from hub.domain.sources import Member, Same, SourceRule
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.source_rows import Group, StoredMember, StoredSource
from hub.store.source_transaction import Drawer, queue, queue_removal, read_members, read_sources, resolved

_BATCH: Final = 256


class SourceStore:
    """Keeps sources, in the archive's store; safe to use from several threads.

    Args:
        archive: whose store is used.
        episode_store: where episodes are.
    """

    def __init__(self, archive: EventStore, episode_store: EpisodeStore) -> None:
        self._redis = archive.client
        self._rows = archive.rows
        self._episode_store = episode_store

    @raises_unavailable
    def get(self, name: str) -> StoredSource | None:
        """Return a source by its id, or by that of one that became a part of it; None if there is none."""
        found = resolved(self._redis, self._rows, [name]).get(name)
        return None if found is None else next(iter(self._stored([found])), None)

    @raises_unavailable
    def newest(
        self,
        *,
        limit: int = 50,
        before: tuple[int, str] | None = None,
        site: str | None = None,
        category: str | None = None,
    ) -> list[StoredSource]:
        """Return sources, the one whose latest episode opened last first.

        Args:
            limit: most sources returned.
            before: `last_ms` and id of the one that they come after.
            site: only those of this site.
            category: only those of this category.
        """
        upper = "+inf" if before is None else str(before[0])
        chosen: list[StoredSource] = []
        start = 0
        while len(chosen) < limit:
            rows = self._redis.zrevrangebyscore(keys.SOURCES, upper, "-inf", start=start, num=_BATCH, withscores=True)
            if not rows:
                break
            start += len(rows)
            names = [name.decode() for name, at in rows if before is None or (int(at), name.decode()) < before]
            chosen += [
                one
                for one in self._stored(names)
                if site in {None, one.group.site} and category in {None, one.group.category}
            ]
        return chosen[:limit]

    @raises_unavailable
    def due(self, start: int, limit: int) -> list[str]:
        """Episodes that are to be filed, the oldest first, less the first few."""
        return [name.decode() for name in self._redis.zrange(keys.SOURCES_DUE, start, start + limit - 1)]

    @raises_unavailable
    def due_until(self, episodes: Sequence[str], limit: int) -> list[str]:
        """Those of some episodes that are to be filed, and the last few before them, the oldest first.

        Args:
            episodes: ids; those that are not due are left out.
            limit: most episodes returned, unless more of `episodes` are due.
        """
        pipe = self._redis.pipeline(transaction=False)
        for name in episodes:
            pipe.zrank(keys.SOURCES_DUE, name)
        ranked = sorted((rank, name) for rank, name in zip(pipe.execute(), episodes, strict=True) if rank is not None)
        if not ranked:
            return []
        last, _ = ranked[-1]
        start = max(0, last + 1 - limit)
        found = self._redis.zrange(keys.SOURCES_DUE, start, last)
        return [*(name for rank, name in ranked if rank < start), *(name.decode() for name in found)]

    @raises_unavailable
    def forget_due(self, episodes: Iterable[str]) -> None:
        """Have some episodes be due no more: their source cannot be found any more."""
        if names := list(episodes):
            self._redis.zrem(keys.SOURCES_DUE, *names)

    @raises_unavailable
    def members(self, episodes: Iterable[str]) -> dict[str, Member]:
        """Episodes as they were filed, each with its present source; those that are of none are missing."""
        return {name: stored.member for name, stored in read_members(self._redis, self._rows, episodes).items()}

    @raises_unavailable
    def episode_ids(self, name: str) -> list[str]:
        """Return all episodes of a source, the newest first."""
        return [one.decode() for one in self._redis.zrevrange(keys.source_episodes(name), 0, -1)]

    @raises_unavailable
    def episodes(
        self, name: str, *, limit: int = 50, before_ms: int | None = None, since_ms: int | None = None
    ) -> list[Episode]:
        """Return the newest episodes of a source, newest first.

        Args:
            name: id of the source.
            limit: most episodes returned.
            before_ms: only those opened before this.
            since_ms: only those opened at this time or later.
        """
        upper = "+inf" if before_ms is None else f"({before_ms}"
        lower = "-inf" if since_ms is None else str(since_ms)
        ids = self._redis.zrevrangebyscore(keys.source_episodes(name), upper, lower, start=0, num=limit)
        found = self._episode_store.standing([one.decode() for one in ids])
        return [episode for episode in found.values() if isinstance(episode, Episode)]

    def present(self, episodes: Sequence[str]) -> dict[str, Episode]:
        """Episodes, or those that they became a part of, as of `EpisodeStore.present`."""
        return self._episode_store.present(episodes)

    def standing(self, episodes: Sequence[str]) -> dict[str, Episode | str]:
        """Episodes as they are now, as of `EpisodeStore.standing`."""
        return self._episode_store.standing(episodes)

    @raises_unavailable
    def keep(self, name: str, *, kept: bool = True) -> None:
        """Keep a source even without episodes, or no more."""
        (self._redis.sadd if kept else self._redis.srem)(keys.SOURCES_KEPT, name)

    @raises_unavailable
    def claim(self, space: str, network: str, for_s: float) -> bool:
        """Have a checkpoint make the identities of a feature space for a while; False while another one does."""
        self._redis.set(keys.sources_network(space), network, ex=round(for_s), nx=True)
        own = self._redis.get(keys.sources_network(space)) == network.encode()
        if own:
            self._redis.expire(keys.sources_network(space), round(for_s))
        return bool(own)

    def attempts(
        self,
        group: Group,
        network: str,
        episodes: Iterable[str],
        *,
        same: Same = lambda cosines: cosines,
        rule: SourceRule | None = None,
    ) -> Iterator[Drawer]:
        """Iterate over attempts to change the sources of a group: each changes all of it or nothing.

        Each attempt is the group as it is now, read under watch. The body of the caller's loop changes it. The next
        step of the loop keeps the change in one transaction and ends the loop, or yields another attempt if another
        hub changed the group or one of the episodes meanwhile. A body that leaves the loop changes nothing.

        Args:
            group: site, category and feature space.
            network: fingerprint of the checkpoint whose identities are compared.
            episodes: those that matter; they are watched.
            same: from cosines to P(same source).
            rule: when an episode belongs to a source.

        Raises:
            UnavailableError: the store is away; nothing is known of what was kept, and doing it again is safe.
        """
        names = sorted(set(episodes))
        with self._redis.pipeline(transaction=True) as pipe:
            kept = False
            while not kept:
                stored, members = self._watched(pipe, group, names)
                own = [one.source for one in stored.values() if one.network == network]
                partition = Partition(own, same, rule or SourceRule(), lambda: secrets.token_hex(5))
                drawer = Drawer(group, network, partition, stored, members)
                yield drawer
                kept = self._keeps(pipe, drawer)

    @raises_unavailable
    def _watched(
        self,
        pipe: Any,  # noqa: ANN401 - the client is untyped
        group: Group,
        names: Sequence[str],
    ) -> tuple[dict[str, StoredSource], dict[str, StoredMember]]:
        """Watch a group and some episodes, then read its sources and the episodes as they were filed."""
        watched = (keys.sources_version(*group), keys.SOURCES_KEPT, *(keys.episode(name) for name in names))
        while True:
            try:
                pipe.watch(*watched)
                ids = [name.decode() for name in pipe.zrange(keys.sources_of(*group), 0, -1)]
                kept = {name.decode() for name in pipe.smembers(keys.SOURCES_KEPT)}
                stored = {
                    one.id: replace(one, source=replace(one.source, kept=one.id in kept))
                    for one in read_sources(pipe, self._rows, ids)
                }
                return stored, read_members(pipe, self._rows, names)
            except redis.WatchError:  # the client connected again
                continue

    @raises_unavailable
    def _keeps(self, pipe: Any, drawer: Drawer) -> bool:  # noqa: ANN401
        """Keep a drawer; False if another hub changed what was watched."""
        try:
            queue(pipe, drawer)
            pipe.execute()
        except redis.WatchError:
            return False
        return True

    @raises_unavailable
    def expire(self, before_ms: int) -> int:
        """Remove from sources the episodes that retention removed, then sources that have none and are not kept.

        What a source was made of stays in it: it is known when it comes again.

        Args:
            before_ms: episodes that opened earlier are looked at, ms since 1970 UTC.

        Returns:
            How many sources were removed.
        """
        removed = 0
        names = [name.decode() for name in self._redis.zrange(keys.SOURCES, 0, -1)]
        for start in range(0, len(names), _BATCH):
            stored = self._stored(names[start : start + _BATCH])
            kept = {one.decode() for one in self._redis.smembers(keys.SOURCES_KEPT)}
            pipe = self._redis.pipeline(transaction=False)  # a full store refuses transactions
            for one in stored:
                pipe.zrangebyscore(keys.source_episodes(one.id), "-inf", f"({before_ms}")
            for one, rows in zip(stored, pipe.execute(), strict=True):
                old = [row.decode() for row in rows]
                gone = [name for name in old if name not in self._episode_store.standing(old)] if old else []
                if gone:
                    self._redis.zrem(keys.source_episodes(one.id), *gone)
                    self._redis.hdel(keys.source_members(one.group.site), *gone)
                if len(gone) >= one.episodes and one.id not in kept:
                    pipe = self._redis.pipeline(transaction=False)
                    queue_removal(pipe, one.group, [one.id])
                    pipe.execute()
                    removed += 1
        return removed

    def _stored(self, names: Sequence[str]) -> list[StoredSource]:
        """Return sources with the number of their episodes, and whether they are kept."""
        found = read_sources(self._redis, self._rows, names)
        pipe = self._redis.pipeline(transaction=False)
        for one in found:
            pipe.zcard(keys.source_episodes(one.id))
            pipe.sismember(keys.SOURCES_KEPT, one.id)
        answers = pipe.execute() if found else []
        return [
            replace(one, episodes=int(count), source=replace(one.source, kept=bool(kept)))
            for one, count, kept in zip(found, answers[::2], answers[1::2], strict=True)
        ]

"""The sources of a group while they change: read under watch, kept in one transaction; see `hub.store.sources`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from hub.domain.source_partition import Partition
from hub.domain.sources import Member
from hub.store import keys
from hub.store.json_rows import encode_merged
from hub.store.rows import Rows
from hub.store.source_rows import (
    Group,
    StoredMember,
    StoredSource,
    member_of,
    member_row,
    source_or_name,
    source_row,
)

_NAMED_FOR_S: Final = 366 * 86_400


@dataclass(slots=True, eq=False)
class Drawer:
    """The sources of a group while they are changed, and what is to be kept of it.

    Attributes:
        group: site, category and feature space.
        network: fingerprint of the checkpoint whose identities are compared.
        partition: the sources with such identities.
        stored: all sources of the group as they were, by id.
        members: episodes as they were filed, by id, each with its present source; those that are not are missing.
        filed: episodes as they are filed now, by id; to be added to.
        opened_ms: of the episodes in `filed`, when they opened, where that is known; to be added to.
        left: episodes that are of no source any more; to be added to.
        done: episodes that are not due any more; to be added to.
    """

    group: Group
    network: str
    partition: Partition
    stored: Mapping[str, StoredSource]
    members: Mapping[str, StoredMember]
    filed: dict[str, Member] = field(init=False, default_factory=dict)
    opened_ms: dict[str, int] = field(init=False, default_factory=dict)
    left: set[str] = field(init=False, default_factory=set)
    done: set[str] = field(init=False, default_factory=set)

    def before(self, episode: str) -> Member | None:
        """Return an episode as it was filed, if its identity can be compared."""
        known = self.members.get(episode)
        return known.member if known is not None and known.network == self.network else None


def queue(pipe: Any, drawer: Drawer) -> None:  # noqa: ANN401 - the client is untyped
    """Read what else is needed to keep a drawer, then begin the transaction and queue all of it, in few commands."""
    partition, group = drawer.partition, drawer.group
    _settle(drawer)
    lost = [one.decode() for name in sorted(partition.gone) for one in pipe.zrange(keys.source_episodes(name), 0, -1)]
    opened = {name: drawer.opened_ms.get(name) or _opened_ms(pipe, drawer, name) for name in drawer.filed}
    pipe.multi()
    for name in partition.into:
        target = keys.source_episodes(partition.resolved(name))
        pipe.zunionstore(target, [target, keys.source_episodes(name)], aggregate="MIN")
    queue_removal(pipe, group, [*partition.into, *sorted(partition.gone)], set(lost) - drawer.filed.keys())
    for name in partition.into:
        pipe.set(keys.source(name), encode_merged(partition.resolved(name)), ex=_NAMED_FOR_S)
    _queue_episodes(pipe, drawer, opened)
    if partition.changed:
        changed = [partition.sources[name] for name in sorted(partition.changed)]
        last_ms = {source.id: source.last_ms for source in changed}
        stored = [StoredSource(one, group, drawer.network, _first_ms(drawer, one.id)) for one in changed]
        pipe.mset({keys.source(one.id): source_row(one) for one in stored})
        pipe.zadd(keys.SOURCES, last_ms)
        pipe.zadd(keys.sources_of(*group), last_ms)
    if drawer.done:
        pipe.zrem(keys.SOURCES_DUE, *drawer.done)
    if partition.changed or partition.gone or drawer.filed or drawer.left:
        pipe.incr(keys.sources_version(*group))


def _settle(drawer: Drawer) -> None:
    """Have episodes be of the source that theirs is a part of by now, and of none if it was removed since."""
    now = {name: replace(one, source=drawer.partition.resolved(one.source)) for name, one in drawer.filed.items()}
    drawer.filed = {name: one for name, one in now.items() if one.source in drawer.partition.sources}
    drawer.left |= now.keys() - drawer.filed.keys()


def _opened_ms(pipe: Any, drawer: Drawer, name: str) -> int:  # noqa: ANN401
    """Return the time at which an episode of a source opened, as its source has it."""
    at_ms = (
        pipe.zscore(keys.source_episodes(drawer.members[name].member.source), name)
        if name in drawer.members
        else None
    )
    return 0 if at_ms is None else int(at_ms)


def _queue_episodes(pipe: Any, drawer: Drawer, opened_ms: Mapping[str, int]) -> None:  # noqa: ANN401
    before: dict[str, list[str]] = {}
    for name in [*drawer.filed, *drawer.left]:
        if name in drawer.members:
            before.setdefault(drawer.partition.resolved(drawer.members[name].member.source), []).append(name)
    now: dict[str, dict[str, int]] = {}
    for name, member in drawer.filed.items():
        now.setdefault(member.source, {})[name] = opened_ms[name]
    for source, names in before.items():
        pipe.zrem(keys.source_episodes(source), *names)
    for source, opened in now.items():
        pipe.zadd(keys.source_episodes(source), opened)
    if drawer.filed:
        rows = {name: member_row(StoredMember(own, drawer.network)) for name, own in drawer.filed.items()}
        pipe.hset(keys.source_members(drawer.group.site), mapping=rows)
    if drawer.left:
        pipe.hdel(keys.source_members(drawer.group.site), *drawer.left)


def queue_removal(pipe: Any, group: Group, names: Sequence[str], episodes: Iterable[str] = ()) -> None:  # noqa: ANN401
    """Remove sources of a group, and the membership of their episodes."""
    if names:
        pipe.delete(*(key(name) for name in names for key in (keys.source, keys.source_episodes)))
        pipe.zrem(keys.SOURCES, *names)
        pipe.zrem(keys.sources_of(*group), *names)
    if known := sorted(episodes):
        pipe.hdel(keys.source_members(group.site), *known)


def _first_ms(drawer: Drawer, name: str) -> int:
    """Return the time at which the first episode of a source opened, of all that are a part of it."""
    partition = drawer.partition
    parts = [name, *(other for other in partition.into if partition.resolved(other) == name)]
    known = [drawer.stored[one].first_ms for one in parts if one in drawer.stored]
    known += [
        drawer.opened_ms[own] for own, m in drawer.filed.items() if m.source == name and own in drawer.opened_ms
    ]
    return min(known, default=partition.sources[name].last_ms)


def read_sources(client: Any, rows: Rows, names: Sequence[str]) -> list[StoredSource]:  # noqa: ANN401
    """Return those of some sources that are there and can be read, in their order."""
    found = client.mget([keys.source(name) for name in names]) if names else []
    read = (
        rows.read("source", name, partial(source_or_name, name), row) for name, row in zip(names, found, strict=True)
    )
    return [one for one in read if isinstance(one, StoredSource)]


def read_members(client: Any, rows: Rows, episodes: Iterable[str]) -> dict[str, StoredMember]:  # noqa: ANN401
    """Episodes as they were filed, by id, each with its present source; those that are of none are missing."""
    found: dict[str, StoredMember] = {}
    by_site: dict[str, list[str]] = {}
    for name in episodes:
        by_site.setdefault(name.partition(".")[0], []).append(name)
    for site, names in by_site.items():
        for name, row in zip(names, client.hmget(keys.source_members(site), names), strict=True):
            known = rows.read("member", name, partial(member_of, name), row)
            if known is not None:
                found[name] = known
    now = resolved(client, rows, {stored.member.source for stored in found.values()})
    return {
        name: StoredMember(replace(one.member, source=now[one.member.source]), one.network)
        for name, one in found.items()
        if one.member.source in now
    }


def resolved(client: Any, rows: Rows, names: Iterable[str]) -> dict[str, str]:  # noqa: ANN401
    """Map ids of sources to those of which they are a part by now; those that are no more are missing."""
    into: dict[str, StoredSource | str] = {}
    asked = set(names)
    while wanted := sorted(asked - into.keys()):
        found = client.mget([keys.source(name) for name in wanted])
        for name, row in zip(wanted, found, strict=True):
            into[name] = rows.read("source", name, partial(source_or_name, name), row) or ""
        asked |= {own for own in into.values() if isinstance(own, str) and own}
    made = {}
    for name in names:
        now = name
        for _ in into:
            following = into.get(now, "")
            if isinstance(following, StoredSource):
                made[name] = now
                break
            now = following
    return made

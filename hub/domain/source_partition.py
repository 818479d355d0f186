"""The sources of a site, category and feature space while episodes are filed by the rules of `hub.domain.sources`.

Nothing is read or written here: what changed is noted, for `hub.store.sources` to keep.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from hub.domain.source_centres import Centres
from hub.domain.sources import MOST_CENTRES, Centre, Member, Nearest, Same, Seen, Source, SourceRule, Vector, nearest


class Partition:
    """Sources, and what becomes of them.

    Args:
        sources: of one site, category and feature space, with identities of one network.
        same: from cosines to P(same source), never falling.
        rule: when an episode belongs to a source.
        fresh: makes an id that no source ever had.
    """

    def __init__(self, sources: Iterable[Source], same: Same, rule: SourceRule, fresh: Callable[[], str]) -> None:
        self._same = same
        self._rule = rule
        self._fresh = fresh
        self.sources: dict[str, Source] = {source.id: source for source in sources}
        self._centres = Centres(self.sources.values(), same)
        self.changed: set[str] = set()
        """Ids of those that opened or changed."""
        self.into: dict[str, str] = {}
        """Source that each of these became a part of."""
        self.gone: set[str] = set()
        """Ids of those that were removed, or whose last episode left."""

    def resolved(self, source: str) -> str:
        """Id of the source that this one is a part of by now."""
        while source in self.into:
            source = self.into[source]
        return source

    def source_of(self, member: Member) -> Source | None:
        """Return the source that a member belongs to; None if that is no more."""
        return self.sources.get(self.resolved(member.source))

    def adopt(self, source: Source) -> None:
        """Take a source that is kept and was not among these: its identities were computed again."""
        self._put(source)

    def nearest(self, seen: Seen) -> Nearest:
        """Return the source that is most likely an episode's."""
        return self._centres.nearest(seen.identity)

    def file(self, seen: Seen, before: Member | None = None) -> Member | None:
        """Put an episode into its source: a known one, or one that it opens.

        Args:
            seen: the episode.
            before: the episode as it was filed before; None if it was not.

        Returns:
            The episode as it is filed now; None if all sources are kept, and there is no room for one more.
        """
        own = None if before is None else self.source_of(before)
        if before is None or own is None:
            member = self._file_new(seen)
        elif before.clip == seen.clip:
            self._put(replace(own, last_ms=max(own.last_ms, seen.opened_ms)), only_if=seen.opened_ms > own.last_ms)
            return before
        else:
            member = self._file_again(seen, before, own)
        if member is not None:
            nearest_other = self._merge_near(member.source)
            probability = max(member.probability, nearest_other)
            member = replace(member, source=self.resolved(member.source), probability=probability)
        return member

    def forget(self, member: Member) -> None:
        """Take an episode out of its source: it became a part of another episode."""
        own = self.source_of(member)
        if own is not None:
            self._put_or_drop(own, _without(own, member))

    def join(self, first: str, second: str) -> str:
        """Make two sources one by a person's verdict; return its id. Both must be there."""
        first, second = self.resolved(first), self.resolved(second)
        if first == second:
            return first
        for one, other in ((first, second), (second, first)):
            self._put(replace(self.sources[one], apart=self.sources[one].apart - {other}))
        return self._merge(first, second)

    def part(self, member: Member, other: Member, members: Mapping[str, Member]) -> dict[str, Member]:
        """Have two episodes be of different sources from now on, by a person's verdict.

        If they are of one source, the first leaves it. If a person had made the source from two, and these are
        episodes of either, then all that are of the first's centre leave.

        Args:
            member: the first.
            other: the second; both are of sources that are there.
            members: all episodes of the first's source, by id.

        Returns:
            The episodes that are of another source now, by id.
        """
        own, theirs = self.source_of(member), self.source_of(other)
        if own is None or theirs is None or member.episode == other.episode:
            return {}
        if own.id != theirs.id:
            self._apart(own.id, theirs.id)
            return {}
        mine = _centre_of(own, member)
        if mine.id != _centre_of(own, other).id:
            self._put(replace(own, centres=tuple(c for c in own.centres if c.id != mine.id)))
            leaving = [one for one in members.values() if _centre_of(own, one).id == mine.id]
            opened = Source(self._fresh(), (mine,), own.last_ms)
        else:
            left = _without(own, member)
            if left is None:
                return {}
            self._put(left)
            leaving = [replace(member, fixed=True, probability=0.0)]
            opened = self._opened(member.identity, own.last_ms)
        self._put(opened)
        self._apart(own.id, opened.id)
        return {one.episode: replace(one, source=opened.id, centre=opened.centres[0].id) for one in leaving}

    def split(self, member: Member, other: Member, members: Mapping[str, Member]) -> dict[str, Member]:
        """Take back that a person joined the sources of two episodes; the rule alone decides on them from now on.

        Args:
            member: the first.
            other: the second.
            members: all episodes of the first's source, by id.

        Returns:
            The episodes that are of another source now, by id; none if the rule has joined the two meanwhile.
        """
        own = self.source_of(member)
        if own is None or own != self.source_of(other) or _centre_of(own, member).id == _centre_of(own, other).id:
            return {}
        left = self.part(member, other, members)
        for source in {one.source for one in left.values()}:
            self.release(own.id, source)
        return left

    def release(self, first: str, second: str) -> None:
        """Take back that a person parted two sources; they become one if they are near enough."""
        first, second = self.resolved(first), self.resolved(second)
        if first == second or not {first, second} <= self.sources.keys():
            return
        for one, other in ((first, second), (second, first)):
            self._put(replace(self.sources[one], apart=self.sources[one].apart - {other}))
        self._merge_near(first)

    def _opened(self, identity: Vector, at_ms: int) -> Source:
        """Return a source that opens with one episode."""
        name = self._fresh()
        return Source(name, (Centre(name, identity),), at_ms)

    def _file_new(self, seen: Seen) -> Member | None:
        found = self.nearest(seen)
        if found.source and found.probability >= self._rule.join:
            own = self.sources[found.source]
            self._put(_with(own, found.centre, seen))
            return Member(seen.episode, own.id, found.centre, seen.clip, seen.identity, found.probability)
        if not self._make_room():
            return None
        opened = self._opened(seen.identity, seen.opened_ms)
        self._put(opened)
        return Member(seen.episode, opened.id, opened.id, seen.clip, seen.identity, found.probability)

    def _file_again(self, seen: Seen, before: Member, own: Source) -> Member | None:
        left = _without(own, before)
        if left is None:  # it is alone there
            found = self._centres.nearest(seen.identity, [own.id])
            centre = Centre(own.centres[0].id, seen.identity)
            self._put(replace(own, centres=(centre,), last_ms=max(own.last_ms, seen.opened_ms)))
            return _again(before, seen, own.id, replace(found, centre=centre.id))
        found = nearest(seen.identity, [left], self._same)
        if before.fixed or found.probability >= self._rule.join:
            self._put(_with(left, found.centre, seen))
            return _again(before, seen, own.id, found)
        self._put(left)
        return self._file_new(seen)

    def _merge_near(self, name: str) -> float:
        """Have a source become one with those that are near, the nearest first; return the highest P(same source)."""
        highest = 0.0
        while True:
            own = self.sources[name]
            barred = {name, *own.apart}
            found = [self._centres.nearest(centre.mean, barred, kept=not own.kept) for centre in own.centres]
            best = max(found, key=lambda one: one.probability)
            if not best.source or best.probability < self._rule.join:
                return highest
            highest = max(highest, best.probability)
            name = self._merge(name, best.source)

    def _merge(self, first: str, second: str) -> str:
        """Make two sources one, which has the id of the kept one, or of the one with more episodes."""
        pair = [self.sources[first], self.sources[second]]
        lasting, ended = sorted(pair, key=lambda source: (not source.kept, -source.size, source.last_ms, source.id))
        made = replace(
            lasting,
            centres=self._reduced((*lasting.centres, *ended.centres)),
            last_ms=max(lasting.last_ms, ended.last_ms),
            apart=(lasting.apart | ended.apart) - {lasting.id, ended.id},
        )
        del self.sources[ended.id]
        self._centres.remove(ended.id)
        self.changed.discard(ended.id)
        self.into[ended.id] = lasting.id
        self._put(made)
        for other in ended.apart & self.sources.keys():
            self._put(replace(self.sources[other], apart=self.sources[other].apart - {ended.id} | {lasting.id}))
        return lasting.id

    def _reduced(self, centres: tuple[Centre, ...]) -> tuple[Centre, ...]:
        """Return the centres, those that are near become one, the nearest first."""
        while len(centres) > 1:
            pairs = [(float(a.mean @ b.mean), a, b) for a, b in itertools.combinations(centres, 2)]
            _, one, other = max(pairs, key=lambda pair: pair[0])
            near = nearest(other.mean, [Source("", (one,))], self._same).probability >= self._rule.join
            if not near and len(centres) <= MOST_CENTRES:
                break
            centres = tuple(
                one.plus(other.total, other.size) if c.id == one.id else c for c in centres if c.id != other.id
            )
        return centres

    def _apart(self, first: str, second: str) -> None:
        for one, other in ((first, second), (second, first)):
            self._put(replace(self.sources[one], apart=self.sources[one].apart | {other}))

    def _make_room(self) -> bool:
        """Give sources up until there is room for one more; False if all are kept."""
        while len(self.sources) >= self._rule.most:
            free = [source for source in self.sources.values() if not source.kept]
            if not free:
                return False
            least = min(free, key=lambda source: (source.size, source.last_ms, source.id))
            self._drop(least.id)
        return True

    def _put(self, source: Source, *, only_if: bool = True) -> None:
        if only_if:
            self.sources[source.id] = source
            self._centres.put(source)
            self.changed.add(source.id)

    def _put_or_drop(self, own: Source, left: Source | None) -> None:
        if left is not None:
            self._put(left)
        elif not own.kept:
            self._drop(own.id)

    def _drop(self, name: str) -> None:
        dropped = self.sources.pop(name)
        self._centres.remove(name)
        self.changed.discard(name)
        self.gone.add(name)
        for other in dropped.apart & self.sources.keys():
            self._put(replace(self.sources[other], apart=self.sources[other].apart - {name}))


def _again(before: Member, seen: Seen, source: str, found: Nearest) -> Member:
    """Return a member with the identity that it has now."""
    return replace(
        before,
        source=source,
        centre=found.centre,
        clip=seen.clip,
        identity=seen.identity,
        probability=found.probability,
    )


def _with(source: Source, centre: str, seen: Seen) -> Source:
    """Return a source with a further episode."""
    centres = tuple(c.plus(seen.identity) if c.id == centre else c for c in source.centres)
    return replace(source, centres=centres, last_ms=max(source.last_ms, seen.opened_ms))


def _without(source: Source, member: Member) -> Source | None:
    """Return a source less one of its episodes; None if that was its only one."""
    own = _centre_of(source, member)
    less = own.plus(member.identity, -1)
    centres = tuple(less if c.id == own.id else c for c in source.centres if c.id != own.id or less.size > 0)
    return replace(source, centres=centres) if centres else None


def _centre_of(source: Source, member: Member) -> Centre:
    """Return the centre that a member's identity is in: by its id, or, if that is a part of another, the nearest."""
    by_id = next((centre for centre in source.centres if centre.id == member.centre), None)
    return by_id or max(source.centres, key=lambda centre: float(centre.mean @ member.identity))

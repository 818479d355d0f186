"""Episodes become sources by the stated rules, in whatever order they come."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.source_partition import Partition
from hub.domain.sources import MOST_CENTRES, Centre, Member, Seen, Source, SourceRule, Vector, nearest

VALUES = 16


def same(cosines: Vector) -> Vector:
    """P(same source): 0 at a cosine of 0.2, 1 at 0.8."""
    return np.asarray(np.clip((cosines - 0.2) / 0.6, 0.0, 1.0), dtype=np.float32)


def unit(values: Iterable[float]) -> Vector:
    """A unit vector in the direction of the first few values."""
    made = np.zeros(VALUES, dtype=np.float32)
    given_values = list(values)
    made[: len(given_values)] = given_values
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


def axis(number: int, beside: float = 0.0) -> Vector:
    """A source's own direction, a little off it."""
    made = np.zeros(VALUES, dtype=np.float32)
    made[number], made[VALUES - 1 - number] = 1.0, beside
    return unit(made)


def partition(sources: Iterable[Source] = (), *, join: float = 0.5, most: int = 200) -> Partition:
    numbers = itertools.count()
    return Partition(sources, same, SourceRule(join, most), lambda: f"s{next(numbers)}")


def seen(name: str, identity: Vector, at_ms: int = 0, clip: str = "") -> Seen:
    return Seen(name, at_ms, clip or f"{name}-clip", identity)


def filed(within: Partition, *some: Seen) -> dict[str, Member]:
    """Episodes as filed, by id."""
    made = {one.episode: within.file(one) for one in some}
    return {name: member for name, member in made.items() if member is not None}


def groups(within: Partition, members: Iterable[Member]) -> set[frozenset[str]]:
    """Which episodes are of one source."""
    made: dict[str, set[str]] = {}
    for member in members:
        own = within.source_of(member)
        assert own is not None
        made.setdefault(own.id, set()).add(member.episode)
    return {frozenset(names) for names in made.values()}


def test_the_first_episode_opens_a_source() -> None:
    sources = partition()
    member = filed(sources, seen("a", axis(0), at_ms=7))["a"]
    assert (member.source, member.probability) == ("s0", 0.0)
    assert sources.sources["s0"].last_ms == 7
    assert sources.changed == {"s0"}


def test_an_episode_joins_the_most_likely_source() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(1)), seen("c", axis(0, 0.2), at_ms=5))
    assert groups(sources, members.values()) == {frozenset({"a", "c"}), frozenset({"b"})}
    assert members["c"].probability == pytest.approx(1.0)
    assert sources.sources["s0"].last_ms == 5


def test_filing_an_episode_again_changes_nothing() -> None:
    sources = partition()
    once = seen("a", axis(0))
    first = sources.file(once)
    sources.changed.clear()
    assert sources.file(once, first) is first
    assert sources.sources["s0"].size == 1
    assert not sources.changed


def test_a_clearer_clip_moves_an_episode_that_opened_its_own_source() -> None:
    sources = partition()
    first = filed(sources, seen("a", axis(0)), seen("b", axis(1)))
    again = sources.file(seen("b", axis(0), clip="clearer"), first["b"])
    assert again is not None
    assert groups(sources, [first["a"], again]) == {frozenset({"a", "b"})}
    assert sources.into == {"s1": "s0"}
    assert sources.sources["s0"].size == 2


def test_a_clearer_clip_takes_an_episode_out_of_a_source_that_it_is_not_of() -> None:
    sources = partition()
    first = filed(sources, seen("a", axis(0)), seen("b", axis(0)))
    again = sources.file(seen("b", axis(1), clip="clearer"), first["b"])
    assert again is not None
    assert groups(sources, [first["a"], again]) == {frozenset({"a"}), frozenset({"b"})}
    assert sources.sources["s0"].size == 1


def test_an_episode_that_a_person_put_there_stays() -> None:
    sources = partition()
    first = filed(sources, seen("a", axis(0)), seen("b", axis(0)))
    again = sources.file(seen("b", axis(1), clip="clearer"), replace(first["b"], fixed=True))
    assert again is not None
    assert again.source == first["a"].source


def test_an_episode_that_became_a_part_of_another_leaves() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(0)), seen("c", axis(1)))
    sources.forget(members["b"])
    sources.forget(members["c"])
    assert sources.sources["s0"].size == 1
    assert sources.gone == {"s1"}


def test_sources_that_come_closer_become_one() -> None:
    middle = unit([1.0, 1.0])
    sources = partition([Source("a", (Centre("a", axis(0)),)), Source("b", (Centre("b", axis(1)),))], join=0.55)
    for number in range(12):  # each is as near to either: the first source moves towards the other
        sources.file(seen(f"m{number}", middle))
    assert len(sources.sources) == 1
    assert sum(source.size for source in sources.sources.values()) == 14


def test_kept_sources_become_one_only_by_a_persons_verdict() -> None:
    pair = [Source(name, (Centre(name, axis(0)),), kept=True) for name in ("a", "b")]
    sources = partition(pair)
    sources.file(seen("c", axis(0)))
    assert set(sources.sources) == {"a", "b"}
    sources.join("a", "b")
    assert len(sources.sources) == 1


def test_same_makes_one_source_that_is_found_by_either_sound() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(1)))
    name = sources.join(members["a"].source, members["b"].source)
    later = filed(sources, seen("c", axis(0)), seen("d", axis(1)))
    assert {member.source for member in later.values()} == {name}
    assert len(sources.sources[name].centres) == 2


def test_different_parts_an_episode_and_it_stays_apart() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(0)), seen("c", axis(0)))
    members |= sources.part(members["b"], members["a"], members)
    assert groups(sources, members.values()) == {frozenset({"a", "c"}), frozenset({"b"})}
    filed(sources, seen("d", axis(0)))
    assert set(sources.sources) == {"s0", "s1"}
    assert sources.sources["s0"].apart == {"s1"}


def test_different_takes_out_even_the_episode_that_opened_the_source() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(0)))
    members |= sources.part(members["a"], members["b"], members)
    assert {name: member.source for name, member in members.items()} == {"a": "s1", "b": "s0"}


def test_different_undoes_same() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(1)), seen("c", axis(0)), seen("d", axis(1)))
    sources.join("s0", "s1")
    assert len(groups(sources, members.values())) == 1
    members |= sources.part(members["d"], members["c"], members)
    assert groups(sources, members.values()) == {frozenset({"a", "c"}), frozenset({"b", "d"})}


def test_same_undoes_different() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(0)))
    members |= sources.part(members["b"], members["a"], members)
    sources.join("s0", "s1")
    assert len(groups(sources, members.values())) == 1
    assert all(not source.apart for source in sources.sources.values())


def test_different_of_two_sources_keeps_them_from_becoming_one() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(1)))
    assert sources.part(members["a"], members["b"], members) == {}
    again = sources.file(seen("b", axis(0), clip="clearer"), members["b"])
    assert again is not None
    assert set(sources.sources) == {"s0", "s1"}


def test_who_is_apart_of_a_part_is_apart_of_the_whole() -> None:
    sources = partition()
    members = filed(sources, seen("a", axis(0)), seen("b", axis(1)), seen("c", axis(2)))
    sources.part(members["a"], members["b"], {})
    name = sources.join("s0", "s2")
    assert sources.sources["s1"].apart == {name}
    assert sources.sources[name].apart == {"s1"}


def test_the_least_of_too_many_sources_is_abandoned_but_none_that_is_kept() -> None:
    sources = partition(
        [
            Source("kept", (Centre("kept", axis(0)),), 0, kept=True),
            Source("often", (Centre("often", axis(1) * 3, 3),), 1),
            Source("once", (Centre("once", axis(2)),), 9),
        ],
        most=3,
    )
    filed(sources, seen("new", axis(3)))
    assert set(sources.sources) == {"kept", "often", "s0"}
    assert sources.gone == {"once"}
    full = partition([Source("kept", (Centre("kept", axis(0)),), kept=True)], most=1)
    assert full.file(seen("new", axis(1))) is None


def test_a_source_has_a_bounded_number_of_centres() -> None:
    sources = partition()
    filed(sources, *(seen(str(number), axis(number)) for number in range(MOST_CENTRES + 3)))
    for number in range(1, MOST_CENTRES + 3):
        sources.join("s0", f"s{number}")
    (one,) = sources.sources.values()
    assert len(one.centres) == MOST_CENTRES
    assert one.size == MOST_CENTRES + 3


def test_nothing_is_nearest_to_anything_where_there_is_no_source() -> None:
    assert nearest(axis(0), [], same).probability == 0.0


@st.composite
def _separated(draw: st.DrawFn) -> tuple[list[list[Vector]], Sequence[tuple[int, int]]]:
    """Clusters whose cosines reach the threshold within and never between, and an order of their members."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    clusters = []
    for number, size in enumerate(sizes):
        # Off the cluster's own axis by at most 0.35: cosines are 0.78 at least within, 0.35 at most between.
        off = generator.standard_normal((size, VALUES))
        off[:, number] = 0.0
        off *= (0.35 * generator.random((size, 1))) / np.maximum(np.linalg.norm(off, axis=1, keepdims=True), 1e-9)
        off[:, number] = 1.0
        clusters.append([unit(row) for row in off])
    members = [(c, m) for c, size in enumerate(sizes) for m in range(size)]
    return clusters, draw(st.permutations(members))


@given(_separated())
def test_separated_sources_are_found_in_whatever_order_episodes_come(
    drawn: tuple[list[list[Vector]], Sequence[tuple[int, int]]],
) -> None:
    clusters, order = drawn
    every = [(c, identity) for c, own in enumerate(clusters) for identity in own]
    for one, first in every:
        for other, second in every:
            assert bool(same(np.array([first @ second], dtype=np.float32))[0] >= 0.75) == (one == other)
    sources = partition(join=0.75)
    members = filed(sources, *(seen(f"{c}.{m}", clusters[c][m], at_ms=n) for n, (c, m) in enumerate(order)))
    wanted = {frozenset(f"{c}.{m}" for m in range(len(own))) for c, own in enumerate(clusters)}
    assert groups(sources, members.values()) == wanted


@given(
    st.lists(
        st.tuples(st.sampled_from(["file", "again", "forget", "join", "part"]), st.integers(0, 9), st.integers(0, 9)),
        max_size=40,
    )
)
def test_whatever_is_done_every_episode_is_in_one_source_of_as_many_identities(
    steps: list[tuple[str, int, int]],
) -> None:
    sources, members = partition(most=6), dict[str, Member]()
    for number, (what, one, other) in enumerate(steps):
        first, second = members.get(f"e{one}"), members.get(f"e{other}")
        before = set(sources.gone)
        if what == "file" and first is None:
            _take(members, f"e{one}", sources.file(seen(f"e{one}", axis(other % 4, 0.3), number)))
        elif what == "again" and first is not None:
            clearer = seen(f"e{one}", axis(other % 4, 0.1), number, clip=f"c{number}")
            _take(members, f"e{one}", sources.file(clearer, first))
        elif what == "forget" and first is not None:
            sources.forget(members.pop(f"e{one}"))
        elif first is not None and second is not None and what == "join":
            sources.join(first.source, second.source)
        elif first is not None and second is not None and what == "part":
            own = sources.source_of(first)
            beside = {name: m for name, m in members.items() if sources.source_of(m) is own}
            members |= sources.part(first, second, beside)
        lost = sources.gone - before
        members = {
            name: m for name, m in members.items() if sources.resolved(m.source) not in lost and sources.source_of(m)
        }
        counts: dict[str, int] = {}
        for member in members.values():
            found = sources.source_of(member)
            assert found is not None
            counts[found.id] = counts.get(found.id, 0) + 1
        assert counts == {name: source.size for name, source in sources.sources.items()}
        assert len(sources.sources) <= 6 + len(members)
        for source in sources.sources.values():
            assert source.id not in source.apart
            assert all(source.id in sources.sources[name].apart for name in source.apart)


def _take(members: dict[str, Member], name: str, member: Member | None) -> None:
    members.pop(name, None)
    if member is not None:
        members[name] = member

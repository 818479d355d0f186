"""The nearest centre by one product is the nearest of all, whatever was put and removed before."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.source_centres import Centres
from hub.domain.sources import Centre, Nearest, Source, Vector, nearest

VALUES = 8
NAMES = ("a", "b", "c", "d")


def same(cosines: Vector) -> Vector:
    return np.asarray(np.clip(cosines, 0.0, 1.0), dtype=np.float32)


def unit(seed: int) -> Vector:
    made = np.random.default_rng(seed).standard_normal(VALUES).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """A source of one to three centres, all different."""
    name = draw(st.sampled_from(NAMES))
    seeds = draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True))
    return Source(name, tuple(Centre(f"{name}{seed}", unit(seed)) for seed in seeds), kept=draw(st.booleans()))


def brute(known: Iterable[Source], identity: Vector, barred: set[str], *, kept: bool) -> Nearest:
    return nearest(identity, [s for s in known if s.id not in barred and (kept or not s.kept)], same)


@given(
    st.lists(st.one_of(sources(), st.sampled_from(NAMES)), max_size=20),
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
)
def test_the_nearest_is_that_of_all_that_are_there_and_count(
    steps: list[Source | str], barred: set[str], kept: bool
) -> None:
    known: dict[str, Source] = {}
    centres = Centres([], same)
    for step in steps:
        if isinstance(step, Source):
            known[step.id] = step
            centres.put(step)
        elif step in known:
            del known[step]
            centres.remove(step)
    found = centres.nearest(unit(1), barred, kept=kept)
    expected = brute(known.values(), unit(1), barred, kept=kept)
    assert (found.source, found.centre) == (expected.source, expected.centre)
    assert abs(found.probability - expected.probability) < 1e-6


def test_more_centres_than_there_was_room_for_are_all_found() -> None:
    many = [Source(str(seed), (Centre(str(seed), unit(seed)),)) for seed in range(200)]
    centres = Centres(many, same)
    assert [centres.nearest(unit(seed)).source for seed in range(200)] == [source.id for source in many]

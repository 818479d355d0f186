"""Sketches as they are kept, against the ranks that their inner products imitate."""

from dataclasses import replace
from functools import cache

import hypothesis.extra.numpy as arrays
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model.checkpoint import default_checkpoint, load
from hub.model.tagger import LEAST
from hub.search.backend import By
from hub.search.memory import sketch_products
from hub.search.memory.segment import ROWS, Segment, empty
from hub.search.memory.sketch_products import Products, columns, kept
from hub.search.scoring.scorer import Scorer
from shared.feature_space import VGGISH
from shared.taxonomy import COUNT
from tests.identities import identified

EVENTS = 12
WEIGHT = 0.7
Floats = npt.NDArray[np.float32]


@cache
def scorer() -> Scorer:
    return Scorer(identified(load(default_checkpoint(VGGISH.id)), weight=WEIGHT))


def towers_of(tags: Floats, profiles: Floats, identities: Floats) -> Floats:
    """Towers of tags [n, 8], and of leading values of profiles and identities [n, v], made unit vectors."""
    layout = scorer().layout
    made = np.zeros((len(tags), *layout.shape), dtype=np.float32)
    made[:, 0, :COUNT] = tags
    made[:, 0, COUNT : COUNT + profiles.shape[1]] = _unit(profiles)
    whole = np.zeros((len(tags), layout.values), dtype=np.float32)
    whole[:, : identities.shape[1]] = _unit(identities)
    layout.put(made, np.round(whole * 127) / np.float32(127))
    return made


def _unit(values: Floats) -> Floats:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def chunk_of(towers: Floats) -> Segment:
    made = empty(scorer().tower_shape, columns(scorer().sketch))
    for own, part in zip(made.sketches, kept(scorer().sketch, towers), strict=True):
        own[: len(towers)] = part
    return made


def scanned(query: Floats, events: Floats, by: By) -> Floats:
    sketch = scorer().sketch
    assert sketch is not None
    made = Products(sketch, query[None], by)(chunk_of(events), len(events))[0]
    return np.asarray(made[:, 0].float().numpy(), dtype=np.float32)


def floats(values: int, low: float, high: float) -> st.SearchStrategy[Floats]:
    return arrays.arrays(np.float32, (EVENTS, values), elements=st.floats(low, high, width=32))


@settings(deadline=None, max_examples=60)
@given(tags=floats(COUNT, 0.0078125, 0.984375), identities=floats(5, -1.0, 1.0), by=st.sampled_from(By))
def test_without_profiles_a_product_is_the_rank_but_for_rounding_and_a_constant(
    tags: Floats, identities: Floats, by: By
) -> None:
    events = towers_of(tags.clip(LEAST, 1 - LEAST), np.zeros((EVENTS, 1), dtype=np.float32), identities)
    exact = scorer().rank(events[0], events, scorer().score(events[0], events), by)
    apart = scanned(events[0], events, by) / (scorer().identities.slope if by is By.SOURCE else 1.0) - exact
    assert np.ptp(apart) <= (0.3 if by is By.BOTH else 0.08)  # by both, cosines are stretched by 0.7 / (1 - 0.9)


@settings(deadline=None, max_examples=60)
@given(profiles=floats(6, 0.0, 1.0), identities=floats(5, -1.0, 1.0))
def test_by_kind_and_both_an_event_that_ranks_far_higher_has_the_larger_product(
    profiles: Floats, identities: Floats
) -> None:
    events = towers_of(np.full((EVENTS, COUNT), 0.5, dtype=np.float32), profiles, identities)
    for by in (By.KIND, By.BOTH):
        exact = scorer().rank(events[0], events, scorer().score(events[0], events), by)
        made = scanned(events[0], events, by)
        far = exact[:, None] > exact[None] + 1.0  # the affinity, in [0, 1.5], is imitated by a straight line
        assert (made[:, None] > made[None])[far].all()


@pytest.mark.parametrize("queries", [1, 2, 16, 17, 40])
@pytest.mark.parametrize("by", By)
def test_many_queries_are_answered_as_one_by_one(queries: int, by: By) -> None:
    features = np.random.default_rng(0).integers(0, 256, (60, *VGGISH.shape), dtype=np.uint8)
    towers, sketch = scorer().embed(features), scorer().sketch
    assert sketch is not None
    chunk = chunk_of(towers)
    (together,) = Products(sketch, towers[:queries], by)(chunk, 60)
    assert together.shape == (60, queries)
    for number in range(queries):
        alone = Products(sketch, towers[number : number + 1], by)(chunk, 60)[0][:, 0]
        np.testing.assert_allclose(together[:, number], alone, atol=1e-3)


@pytest.mark.parametrize("by", By)
def test_without_products_of_bytes_the_same_is_found(by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(1).integers(0, 256, (400, *VGGISH.shape), dtype=np.uint8)
    events = scorer().embed(features)
    in_bytes = scanned(events[0], events, by)
    monkeypatch.setattr(sketch_products, "bytes_multiply", lambda: False)
    monkeypatch.setattr(sketch_products, "best_dtype", lambda _: torch.float32)
    assert {dtype for _, dtype in columns(scorer().sketch)} == {torch.float32}
    plain = scanned(events[0], events, by)
    apart = in_bytes - plain
    assert np.ptp(apart) <= 0.05 * max(1.0, float(np.ptp(plain)))
    assert set(np.argsort(-plain)[:10]) <= set(np.argsort(-in_bytes)[:20])


def test_a_sketch_costs_a_byte_a_value_where_bytes_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch_products, "bytes_multiply", lambda: True)
    assert columns(scorer().sketch) == [(64, torch.uint8), (64, torch.uint8)]
    without = Scorer(replace(load(default_checkpoint(VGGISH.id)), identity=None))
    assert columns(without.sketch) == [(64, torch.uint8)]
    assert columns(None) == []
    assert chunk_of(np.zeros((0, *scorer().tower_shape), dtype=np.float32)).sketches[0].shape == (ROWS, 64)

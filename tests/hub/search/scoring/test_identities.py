"""What a scorer does with identities, of tagged and of Siamese networks."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load
from hub.search.backend import By
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import best, best_of_each
from shared.errors import UnsupportedError
from shared.feature_space import LOGMEL, VGGISH, FeatureSpace
from tests.identities import MATCH, PAIR, identified

CHECKPOINTS = {
    "tagged": lambda: load(default_checkpoint(VGGISH.id)),
    "paper": lambda: load(baseline_checkpoint(VGGISH.id, "paper")),
    "logmel": lambda: load(default_checkpoint(LOGMEL.id)),
}
VALUES = (64, 5)


@cache
def bare(name: str) -> Checkpoint:
    return replace(CHECKPOINTS[name](), identity=None)


@cache
def scorer_of(name: str, values: int = 64) -> Scorer:
    return Scorer(identified(bare(name), values=values, weight=0.7))


def clips(space: FeatureSpace, count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *space.shape), dtype=np.uint8)


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_identity_beside_the_towers_changes_nothing_by_kind(name: str, values: int) -> None:
    scorer, without = scorer_of(name, values), Scorer(bare(name))
    features = clips(scorer.space, 9)
    towers, before = scorer.embed(features), without.embed(features)
    np.testing.assert_allclose(scorer.score(towers[0], towers), without.score(before[0], before), atol=1e-5)
    np.testing.assert_allclose(scorer.presence(towers), without.presence(before), atol=1e-5)
    exact = without.rank(before[0], before, without.score(before[0], before))
    np.testing.assert_allclose(scorer.rank(towers[0], towers, scorer.score(towers[0], towers)), exact, atol=1e-5)
    quick = scorer.ranks(towers[0], scorer.precompute(towers))
    assert np.abs(quick - exact).max() <= scorer.tolerance


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_identities_are_the_networks_own_as_unit_vectors(name: str, values: int) -> None:
    scorer = scorer_of(name, values)
    features = clips(scorer.space, 5)
    towers = scorer.embed(features)
    made = scorer.identity(towers)
    assert made.dtype == np.float32
    assert made.shape == (5, values)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-6)
    halved = scorer.identity(towers.astype(np.float16))
    np.testing.assert_allclose(halved, made, atol=1e-3)
    np.testing.assert_allclose(scorer.cosines(towers[2], towers), made @ made[2], atol=0.05)
    assert scorer.identity(towers[:0]).shape == (0, values)


def test_a_checkpoint_without_an_identity_ranks_by_both_as_by_kind_and_not_by_source() -> None:
    scorer = Scorer(bare("tagged"))
    towers = scorer.embed(clips(VGGISH, 4))
    assert scorer.identity(towers).shape == (4, 0)
    assert scorer.cosines(towers[0], towers).tolist() == [0.0] * 4
    assert scorer.identities.same_source(np.ones(3)).tolist() == [0.0] * 3
    matrices = scorer.score(towers[0], towers)
    kind, both = (scorer.rank(towers[0], towers, matrices, by) for by in (By.KIND, By.BOTH))
    assert kind.tolist() == both.tolist()
    with pytest.raises(UnsupportedError, match="by kind or both"):
        scorer.rank(towers[0], towers, matrices, By.SOURCE)
    with pytest.raises(UnsupportedError, match="by kind or both"):
        scorer.ranks(towers[0], scorer.precompute(towers), By.SOURCE)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_ranks_by_source_and_both_are_cosines_and_weighted_sums(name: str) -> None:
    scorer = scorer_of(name)
    towers = scorer.embed(clips(scorer.space, 30))
    matrices, cosines = scorer.score(towers[0], towers), scorer.cosines(towers[0], towers)
    kind = scorer.rank(towers[0], towers, matrices)
    by = {way: scorer.rank(towers[0], towers, matrices, way) for way in By}
    np.testing.assert_allclose(by[By.SOURCE], cosines)
    worth = 0.7 * np.maximum(0.0, (cosines - 0.9) / 0.1)
    assert (worth > 0).any()
    np.testing.assert_allclose(by[By.BOTH], kind + worth, atol=1e-5)
    for way in By:
        quick = scorer.ranks(towers[0], scorer.precompute(towers), way)
        assert np.abs(quick - by[way]).max() <= scorer.tolerance_of(way)


def test_a_cosine_is_worth_nothing_up_to_its_floor_and_the_weight_at_1() -> None:
    worth = scorer_of("tagged").identities.worth(torch.tensor([-1.0, 0.5, 0.9, 0.95, 1.0]))
    np.testing.assert_allclose(worth.numpy(), [0.0, 0.0, 0.0, 0.35, 0.7], atol=1e-5)


@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_best_by_each_are_those_of_an_exact_sort(name: str, by: By) -> None:
    scorer = scorer_of(name)
    towers = scorer.embed(clips(scorer.space, 150))
    queries = scorer.embed(clips(scorer.space, 2, seed=1))
    newest = np.arange(150)[::-1].copy()
    for query in queries:
        exact = scorer.rank(query, towers, scorer.score(query, towers), by)
        found = best(scorer, query, towers, 5, by=by, newest=newest)
        np.testing.assert_allclose(found.ranks, np.sort(exact)[::-1][:5], atol=1e-4)
        np.testing.assert_allclose(exact[found.rows], found.ranks, atol=1e-4)
        np.testing.assert_allclose(found.cosines, scorer.cosines(query, towers[found.rows]), atol=1e-5)
        np.testing.assert_allclose(found.matrices, scorer.score(query, towers[found.rows]), atol=1e-5)
    each = best_of_each(scorer, queries, np.stack([towers, towers]), 5, np.stack([newest, newest]), by)
    np.testing.assert_array_equal(each.rows[1], found.rows)
    np.testing.assert_allclose(each.ranks[1], found.ranks, atol=1e-4)
    np.testing.assert_allclose(each.kind[1], found.kind, atol=1e-4)
    np.testing.assert_allclose(each.cosines[1], found.cosines, atol=1e-4)
    np.testing.assert_allclose(each.matrices[1], found.matrices, atol=1e-4)


def test_probabilities_are_those_of_the_checkpoints_curves() -> None:
    cosines = np.array([-0.2, 0.25, 0.75, 1.0])
    scorer = scorer_of("tagged")
    np.testing.assert_array_equal(scorer.identities.same_source(cosines), MATCH(cosines))
    np.testing.assert_array_equal(scorer.identities.same_source(cosines, match=False), PAIR(cosines))


def test_the_fingerprint_covers_the_identity() -> None:
    first, again, other = (Scorer(identified(bare("tagged"), seed=seed)).fingerprint for seed in (0, 0, 1))
    heavier = Scorer(identified(bare("tagged"), weight=2.0)).fingerprint
    assert first == again
    assert len({first, other, heavier, Scorer(bare("tagged")).fingerprint}) == 4


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_is_archived_gives_the_towers_again(name: str, values: int) -> None:
    scorer = scorer_of(name, values)
    (towers,) = scorer.embed(clips(scorer.space, 1))
    network, identity = scorer.layout.archived(towers)
    assert identity.dtype == np.int8
    assert identity.nbytes == values
    back = scorer.layout.from_archive(network, identity)
    assert back is not None
    np.testing.assert_allclose(back, towers, atol=5e-3)
    np.testing.assert_array_equal(scorer.layout.identity(back[None]), scorer.layout.identity(towers[None]))
    assert scorer.layout.from_archive(network, identity[1:]) is None
    assert scorer.layout.from_archive(network[1:], identity) is None

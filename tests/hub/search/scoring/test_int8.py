import numpy as np
import pytest
import torch

from hub.model.checkpoint import Checkpoint, baseline_checkpoint, load
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.search.scoring.int8 import BLOCK, Int8PairScorer
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.top_k import best
from shared.feature_space import VGGISH
from shared.synthetic_features import splice_clips

needs_bytes = pytest.mark.skipif(
    not Int8PairScorer.is_supported(SiameseNetwork(NetworkConfig(10, 128))),
    reason="this processor does not multiply bytes in hardware: the exact scorer is used instead",
)


def clips(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 256, (20, 1, 128)).repeat(10, axis=1).astype(np.uint8)
    return splice_clips(smooth, count, rng)


@pytest.fixture(scope="module")
def paper() -> Scorer:
    return Scorer(load(baseline_checkpoint(VGGISH.id, "paper")))


@needs_bytes
@pytest.mark.parametrize("count", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_quick_ranks_are_within_their_tolerance_of_the_modules_forward(paper: Scorer, count: int) -> None:
    towers, query = paper.embed(clips(count)), paper.embed(clips(1, seed=1))[0]
    exact = paper.rank(query, towers, paper.score(query, towers))
    quick = paper.ranks(query, paper.precompute(towers))
    assert quick.shape == (count,)
    assert np.abs(quick - exact).max() <= paper.tolerance


def test_the_best_are_those_of_an_exact_sort(paper: Scorer) -> None:
    towers = paper.embed(clips(1_500))
    for seed in range(5):
        query = paper.embed(clips(1, seed=seed + 2))[0]
        exact = paper.rank(query, towers, paper.score(query, towers))
        found = best(paper, query, towers, 10)
        np.testing.assert_allclose(found.ranks, np.sort(exact)[::-1][:10], atol=1e-4)
        np.testing.assert_allclose(exact[found.rows], found.ranks, atol=1e-4)
        np.testing.assert_allclose(found.matrices, paper.score(query, towers[found.rows]), atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_events_than_asked_for_come_all(paper: Scorer, count: int) -> None:
    found = best(paper, paper.embed(clips(1))[0], paper.embed(clips(count)), 3)
    assert sorted(found.rows) == list(range(count))
    assert (len(found.ranks), found.matrices.shape) == (count, (count, 8, 3))


@pytest.mark.parametrize(
    "shape", [{"models": 8}, {"attention": False}, {"tower": ()}, {"pair": (64,)}, {"frames_per_step": 2}]
)
def test_every_variant_is_ranked_whether_quickly_or_not(shape: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = SiameseNetwork(NetworkConfig(10, 128, **shape)).eval().requires_grad_(False)  # type: ignore[arg-type]
    scorer = Scorer(Checkpoint(network, VGGISH, {}))
    towers = scorer.embed(clips(50))
    exact = scorer.rank(towers[0], towers, scorer.score(towers[0], towers))
    assert np.abs(scorer.ranks(towers[0], scorer.precompute(towers)) - exact).max() <= scorer.tolerance


def test_the_fingerprint_changes_with_the_weights(paper: Scorer) -> None:
    again = load(baseline_checkpoint(VGGISH.id, "paper"))
    assert Scorer(again).fingerprint == paper.fingerprint
    with torch.no_grad():
        next(again.network.parameters()).add_(1e-6)
    assert Scorer(again).fingerprint != paper.fingerprint

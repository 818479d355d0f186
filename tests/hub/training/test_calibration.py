from dataclasses import replace

import numpy as np
import pytest
import torch

from hub.domain.presence_matrix import presence_matrix
from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.calibration import (
    FEWEST,
    QUERIES,
    SHIFTS,
    WEIGHTS,
    RankingChoice,
    ScoredPairs,
    best_of,
    calibrate,
    choose,
    figures,
    score_all,
)
from hub.training.dataset import Dataset
from shared.errors import InvalidError
from shared.feature_space import VGGISH, FeatureSpace

PLAIN = RankingChoice(0.0, 0.0)


def clips(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], fine: list[int] | None = None) -> Dataset:
    count = len(labels)
    kinds = None if fine is None else np.eye(9, dtype=np.uint8)[fine]
    return Dataset(VGGISH, np.zeros((count, 10, 128), dtype=np.uint8), labels, np.full(count, ""), kinds)


def test_the_best_has_the_highest_mean_of_those_that_lose_nowhere() -> None:
    tried = {
        PLAIN: [0.5, 0.5],
        RankingChoice(0.5, 0.0): [0.495, 0.6],
        RankingChoice(0.5, 1.0): [0.48, 0.9],
        RankingChoice(1.0, 0.0): [0.5, 0.55],
    }
    assert best_of(tried) == RankingChoice(0.5, 0.0)
    assert best_of({PLAIN: [0.5, 0.5], RankingChoice(0.5, 1.0): [0.48, 0.9]}) == PLAIN


def test_of_nearly_equal_choices_the_least_is_taken() -> None:
    tried = {PLAIN: [0.5, 0.5], RankingChoice(0.5, 1.0): [0.6, 0.6], RankingChoice(0.25, 2.0): [0.6005, 0.6005]}
    assert best_of(tried) == RankingChoice(0.5, 1.0)
    assert best_of(tried | {RankingChoice(0.0, 1.0): [0.6, 0.5996]}) == RankingChoice(0.0, 1.0)
    assert best_of(tried | {RankingChoice(0.0, 1.0): [0.59, 0.59]}) == RankingChoice(0.5, 1.0)


def known(seed: int, *, fine: bool) -> ScoredPairs:
    """Queries and database with every label known, scored by what is true and a noise between equals."""
    rng = np.random.default_rng(seed)
    own, theirs = (rng.integers(0, 2, (count, 8), dtype=np.uint8) for count in (6, 40))
    kinds = rng.integers(0, 9, 40)
    matrices = presence_matrix(own[:, None], theirs[None])
    levels = matrices[..., :2].sum(axis=(2, 3))
    extra = (np.arange(6)[:, None] == kinds[None]).astype(np.float32)
    queries = clips(own, list(range(6)) if fine else None)
    database = clips(theirs, kinds.tolist() if fine else None)
    return ScoredPairs(levels, extra, matrices[..., :2].sum(axis=3), matrices[..., 0], queries, database)


def test_what_is_added_to_the_level_brings_the_same_kind_of_sound_first() -> None:
    scored = known(1, fine=True)
    without, much = figures(scored, 0.0), figures(scored, 100.0)
    assert len(without) == 9
    assert much[8] > without[8]
    # Right levels rank best: the first hit of each query that has one comes first.
    assert without[1] == pytest.approx((scored.levels == 8).any(axis=1).mean())
    assert much[1] < without[1] or without[1] == 0.0
    assert len(figures(known(1, fine=False), 0.0)) == 8


def test_known_pairs_calibrate_to_certainty() -> None:
    made = calibrate(known(2, fine=False), 0.0)
    for s in (8, 7):
        assert made.at_least(s)(np.array([8.0]))[0] >= made.at_least(s)(np.array([3.0]))[0]
    assert made.level_7(np.array([2.0]))[0] == 0.0
    # Matches are the ten best of each query: six times ten of 240 pairs.
    assert len(made.match_8.x) <= len(made.level_8.x)
    assert made.agree[0](np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert made.both[3](np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


TOY = FeatureSpace("toy/1", frames=1, dimension=8, low=-1.0, high=1.0)


def toy(count: int, seed: int) -> Dataset:
    """Clips whose values are their labels: the cosine knows everything, an untrained network nothing."""
    labels = np.random.default_rng(seed).integers(0, 2, (count, 8), dtype=np.uint8)
    return Dataset(TOY, labels[:, None] * np.uint8(255), labels, np.full(count, ""))


def untrained() -> TaggingEnsemble:
    torch.manual_seed(0)
    return TaggingEnsemble(TaggedConfig(*TOY.shape, trunk=(4,))).eval().requires_grad_(False)


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST])
def test_too_few_queries_choose_nothing_but_plain_tags(count: int) -> None:
    network = untrained()
    network.shift.fill_(0.7)
    scored, choice, tried = choose(network, toy(count, 1), toy(12, 2))
    assert set(tried) == {RankingChoice(shift, weight) for shift in SHIFTS for weight in WEIGHTS}
    assert best_of(tried).weight > 0, "the cosine would have helped"
    assert choice == (PLAIN if count < FEWEST else best_of(tried))
    assert float(network.shift) == choice.shift
    again = score_all(Checkpoint(network, TOY, {}), toy(count, 1), toy(12, 2))
    np.testing.assert_array_equal(scored.levels, again.levels)


def test_very_many_queries_are_thinned_out_evenly() -> None:
    asked = toy(QUERIES + 5, 3)
    scored = score_all(Checkpoint(untrained(), TOY, {}), asked, toy(2, 4))
    assert scored.levels.shape == (603, 2)
    np.testing.assert_array_equal(scored.queries.labels, asked.labels[::2])


def test_nothing_can_be_measured_on_no_clips() -> None:
    for queries, database in ((toy(0, 0), toy(3, 0)), (toy(3, 0), toy(0, 0))):
        with pytest.raises(InvalidError, match="no clips to measure on"):
            score_all(Checkpoint(untrained(), TOY, {}), queries, database)


def test_what_is_added_is_the_affinity_of_networks_that_have_one_and_else_the_cosine() -> None:
    queries, database = toy(6, 1), toy(9, 2)
    config = replace(untrained().config, fine=3, profile=2)
    torch.manual_seed(1)
    profiled = TaggingEnsemble(config).eval().requires_grad_(False)
    torch.nn.init.orthogonal_(profiled.projection)
    plain, affine = (
        score_all(Checkpoint(network, TOY, {}), queries, database).extra for network in (untrained(), profiled)
    )
    values = TOY.dequantise(queries.features[:, 0]), TOY.dequantise(database.features[:, 0])
    # All values are -1 or 1: the cosine is the share that agree less the share that do not.
    np.testing.assert_allclose(plain, values[0] @ values[1].T / 8, atol=1e-5)
    assert ((affine >= 0) & (affine <= 1)).all()
    assert not np.allclose(plain, affine)

"""P(same source) from cosines: how well halves find each other, and how well probabilities hold."""

import numpy as np
import pytest

from hub.training.same_source import curves, measure


def cosines(q: int = 60, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-0.5, 0.5, (q, n)).astype(np.float32)
    own = rng.permutation(n)[:q]
    scores[np.arange(q), own] = rng.uniform(0.3, 1.0, q)
    return scores, own


def test_the_own_half_is_counted_first_and_among_ten_as_a_sort_finds_it() -> None:
    scores, own = cosines()
    order = np.argsort(-scores, axis=1)
    found = measure(scores, own)
    assert found["first"] == pytest.approx((order[:, 0] == own).mean(), abs=1e-4)
    assert found["ten"] == pytest.approx((order[:, :10] == own[:, None]).any(axis=1).mean(), abs=1e-4)
    assert (found["queries"], found["database"]) == scores.shape


def test_probabilities_hold_for_queries_that_gave_no_curve() -> None:
    found = measure(*cosines(400))
    assert found["ece"]["pair"] < 0.01
    assert found["ece"]["match"] < 0.05
    assert sum(entry["pairs"] for entry in found["reliability"]["match"]) == 400 * 10


def test_a_match_is_less_likely_the_source_than_a_pair_of_the_same_cosine_suggests() -> None:
    pair, match = curves(*cosines(400))
    assert pair(np.array([-0.4])) < 0.01
    assert pair(np.array([0.95])) > 0.8
    assert match(np.array([0.95])) > 0.8


@pytest.mark.parametrize("n", [1, 9, 10, 11])
def test_databases_around_ten_clips_are_measured(n: int) -> None:
    found = measure(np.linspace(-1, 1, 4 * n, dtype=np.float32).reshape(4, n), np.zeros(4, np.int64))
    assert 0.0 <= found["first"] <= found["ten"] <= 1.0

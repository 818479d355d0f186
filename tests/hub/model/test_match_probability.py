import itertools

import numpy as np
import pytest

from hub.domain.presence_matrix import BOTH, NEITHER, ONE
from hub.model.checkpoint import default_checkpoint, load
from hub.model.match_probability import at_least_seven, match_probability
from hub.search.scoring.scorer import Scorer
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.taxonomy import CATEGORIES


def matrices(one: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    made = np.zeros((1, 8, 3), np.float32)
    made[0, :, ONE] = one
    made[0, :, NEITHER] = 1 - made[0, :, ONE]
    return made


def test_at_least_seven_counts_all_outcomes() -> None:
    p = np.array([0.1, 0.5, 0.02, 0.0, 0.9, 0.3, 0.2, 0.05])
    expected = 0.0
    for wrong in itertools.product((False, True), repeat=8):
        if sum(wrong) <= 1:
            expected += float(np.prod(np.where(wrong, p, 1 - p)))
    assert at_least_seven(matrices(p.tolist()))[0] == pytest.approx(expected, abs=1e-4)


def test_without_calibration_figures_are_taken_at_their_word() -> None:
    made = matrices([0.0] * 8)
    made[0, 7] = 0
    made[0, 7, BOTH] = 1.0
    assert match_probability(None, np.array([8.0], np.float32), made)[0].tolist() == pytest.approx(
        [0.0] * 7 + [1.0], abs=1e-4
    )


def test_match_probability_rises_with_rank_and_with_shared_presence() -> None:
    scorer = Scorer(load(default_checkpoint(VGGISH.id)))
    made = np.repeat(matrices([0.05] * 8), 3, axis=0)
    made[:, 0, BOTH] = [0.2, 0.9, 0.9]
    found = scorer.match_probability(np.array([8.0, 8.0, 5.0], np.float32), made)
    assert found.shape == (3, 8)
    assert found[1, 0] > max(found[0, 0], found[2, 0])
    assert ((found >= 0) & (found <= 1)).all()


def test_beyond_what_was_measured_the_network_is_taken_at_its_word() -> None:
    """Two of the 186 clips that the small network was calibrated on contain a saw: no pair scored high."""
    scorer = Scorer(load(default_checkpoint(EARWITNESS_SMALL.id)))
    saw = CATEGORIES.index("powered-saw")
    made = np.repeat(matrices([0.02] * 8), 4, axis=0)
    made[:, saw, BOTH] = [0.0, 0.3, 0.6, 0.95]
    found = scorer.match_probability(np.full(4, 7.8, np.float32), made)[:, saw]
    assert (np.diff(found) > 0.1).all()
    assert found[-1] > 0.85

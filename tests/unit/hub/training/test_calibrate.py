import numpy as np
import pytest

from hub.model.presence import presence_matrix
from hub.training.calibrate import Choice, Scored, best_of, calibrate, figures
from hub.training.dataset import Dataset
from shared.space import VGGISH

PLAIN = Choice(0.0, 0.0)


def clips(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], fine: list[int] | None = None) -> Dataset:
    count = len(labels)
    kinds = None if fine is None else np.eye(9, dtype=np.uint8)[fine]
    return Dataset(VGGISH, np.zeros((count, 10, 128), dtype=np.uint8), labels, np.full(count, ""), kinds)


def test_the_best_has_the_highest_mean_of_those_that_lose_nowhere() -> None:
    tried = {
        PLAIN: [0.5, 0.5],
        Choice(0.5, 0.0): [0.495, 0.6],
        Choice(0.5, 1.0): [0.48, 0.9],
        Choice(1.0, 0.0): [0.5, 0.55],
    }
    assert best_of(tried) == Choice(0.5, 0.0)
    assert best_of({PLAIN: [0.5, 0.5], Choice(0.5, 1.0): [0.48, 0.9]}) == PLAIN


def test_of_nearly_equal_choices_the_least_is_taken() -> None:
    tried = {PLAIN: [0.5, 0.5], Choice(0.5, 1.0): [0.6, 0.6], Choice(0.25, 2.0): [0.6005, 0.6005]}
    assert best_of(tried) == Choice(0.5, 1.0)
    assert best_of(tried | {Choice(0.0, 1.0): [0.6, 0.5996]}) == Choice(0.0, 1.0)
    assert best_of(tried | {Choice(0.0, 1.0): [0.59, 0.59]}) == Choice(0.5, 1.0)


def known(seed: int, *, fine: bool) -> Scored:
    """Queries and database with every label known, scored by what is true and a noise between equals."""
    rng = np.random.default_rng(seed)
    own, theirs = (rng.integers(0, 2, (count, 8), dtype=np.uint8) for count in (6, 40))
    kinds = rng.integers(0, 9, 40)
    matrices = presence_matrix(own[:, None], theirs[None])
    levels = matrices[..., :2].sum(axis=(2, 3))
    extra = (np.arange(6)[:, None] == kinds[None]).astype(np.float32)
    queries = clips(own, list(range(6)) if fine else None)
    database = clips(theirs, kinds.tolist() if fine else None)
    return Scored(levels, extra, matrices[..., :2].sum(axis=3), matrices[..., 0], queries, database)


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

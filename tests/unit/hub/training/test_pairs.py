import numpy as np
import pytest

from hub.training.pairs import draw_pairs
from shared.errors import Invalid

LABELS = (np.random.default_rng(4).random((60, 8)) < 0.3).astype(np.uint8)


def test_an_equal_generator_draws_equal_pairs() -> None:
    first = draw_pairs(LABELS, np.random.default_rng(9))
    assert np.array_equal(first, draw_pairs(LABELS, np.random.default_rng(9)))
    assert not np.array_equal(first, draw_pairs(LABELS, np.random.default_rng(10)))


def test_no_pair_comes_twice_in_either_order_and_no_clip_meets_itself() -> None:
    pairs = draw_pairs(LABELS, np.random.default_rng(0))
    unordered = {tuple(sorted(pair)) for pair in pairs.tolist()}
    assert len(unordered) == len(pairs)
    assert all(a != b for a, b in unordered)


def test_same_and_opposite_partners_are_in_balance_for_each_category() -> None:
    labels = np.zeros((4_000, 1), dtype=np.uint8)
    labels[:400] = 1
    pairs = draw_pairs(labels, np.random.default_rng(0), n_same=3, n_opposite=3)
    same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]).mean()
    assert same == pytest.approx(0.5, abs=0.02)


def test_only_opposite_partners_can_be_asked_for() -> None:
    labels = LABELS[:, :1]
    pairs = draw_pairs(labels, np.random.default_rng(0), n_same=0, n_opposite=5)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    assert set(pairs.ravel().tolist()) == set(range(60))


def test_a_category_that_every_clip_has_gives_same_partners_only() -> None:
    pairs = draw_pairs(np.ones((10, 8), dtype=np.uint8), np.random.default_rng(0))
    assert 0 < len(pairs) <= 45


@pytest.mark.parametrize("clips", [0, 1])
def test_too_few_clips_give_no_pairs(clips: int) -> None:
    assert draw_pairs(LABELS[:clips], np.random.default_rng(0)).shape == (0, 2)


def test_neither_side_of_a_pair_is_special() -> None:
    pairs = draw_pairs(LABELS, np.random.default_rng(0))
    assert (pairs[:, 0] < pairs[:, 1]).mean() == pytest.approx(0.5, abs=0.05)


def test_labels_that_are_not_zero_or_one_are_refused() -> None:
    with pytest.raises(Invalid):
        draw_pairs(np.full((3, 8), 2, dtype=np.uint8), np.random.default_rng(0))

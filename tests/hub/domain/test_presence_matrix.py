import numpy as np
import pytest

from hub.domain.presence_matrix import BOTH, NEITHER, ONE, level_of_similarity, pair_states, presence_matrix
from shared.errors import InvalidError

# Engine, machinery impact, alert, voice against engine, saw, alert, music.
A = np.array([1, 1, 0, 0, 1, 0, 1, 0], dtype=np.uint8)
B = np.array([1, 0, 0, 1, 1, 1, 0, 0], dtype=np.uint8)


def test_each_category_gets_the_one_situation_of_the_pair() -> None:
    assert pair_states(A, B).tolist() == [BOTH, ONE, NEITHER, ONE, BOTH, ONE, ONE, NEITHER]
    matrix = presence_matrix(A, B)
    assert matrix.shape == (8, 3)
    assert matrix[0].tolist() == [1.0, 0.0, 0.0]
    assert matrix[1].tolist() == [0.0, 0.0, 1.0]
    assert matrix[2].tolist() == [0.0, 1.0, 0.0]
    assert matrix.sum(axis=1).tolist() == [1.0] * 8


def test_the_level_counts_what_is_shared_and_what_is_absent_from_both() -> None:
    assert level_of_similarity(presence_matrix(A, B)) == 4.0  # two shared, two absent from both
    assert level_of_similarity(presence_matrix(A, A)) == 8.0
    assert level_of_similarity(presence_matrix(A, 1 - A)) == 0.0


def test_the_level_of_uncertain_predictions_is_an_expectation() -> None:
    matrix = np.full((5, 8, 3), 1 / 3, dtype=np.float32)
    assert level_of_similarity(matrix) == pytest.approx(np.full(5, 16 / 3))


def test_pairs_broadcast() -> None:
    many = np.stack([A, B, 1 - A])
    assert level_of_similarity(presence_matrix(A[None], many)).tolist() == [8.0, 4.0, 0.0]
    assert presence_matrix(many[:0], many[:0]).shape == (0, 8, 3)


@pytest.mark.parametrize("wrong", [np.zeros(7, np.uint8), np.full(8, 2, np.uint8), np.uint8(1)])
def test_what_is_not_eight_zeros_and_ones_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InvalidError):
        pair_states(wrong, A)


def test_the_level_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidError):
        level_of_similarity(np.zeros((8, 2), dtype=np.float32))

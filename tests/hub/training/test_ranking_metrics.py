import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hub.training.ranking_metrics import agreement, auc, average_precision, fine_agreement, mean_average_precision
from shared.errors import InvalidError


def naive(retrieved: list[int], s: int, k: int) -> float:
    """Equations (2) and (3), letter by letter."""
    hits = [r >= s for r in retrieved[:k]]
    if not any(hits):
        return 0.0
    return sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(hits)) if hits[i]) / sum(hits)


def test_agreement_counts_shared_and_absent_categories() -> None:
    queries = np.array([[1, 0, 1, 0, 0, 0, 0, 0]], dtype=np.uint8)
    database = np.array([[1, 0, 1, 0, 0, 0, 0, 0], [0] * 8, [0, 1, 0, 1, 1, 1, 1, 1]], dtype=np.uint8)
    assert agreement(queries, database).tolist() == [[8, 6, 0]]


@pytest.mark.parametrize(
    ("retrieved", "k", "worked"),
    [
        ([8, 7, 8, 0], 4, (1 / 1 + 2 / 3) / 2),
        ([8, 7, 8, 0], 2, 1.0),
        ([7, 7, 7, 8], 4, 1 / 4),
        ([7, 7, 7, 8], 3, 0.0),
        ([8], 100, 1.0),
    ],
)
def test_average_precision_by_hand(retrieved: list[int], k: int, worked: float) -> None:
    assert average_precision(np.array([retrieved]), 8, k)[0] == pytest.approx(worked)


@pytest.mark.parametrize("k", [1, 4, 5, 6, 100])
@pytest.mark.parametrize("s", [7, 8])
def test_map_equals_the_naive_formula(s: int, k: int) -> None:
    retrieved: npt.NDArray[np.int64] = np.random.default_rng(2).integers(5, 9, (40, 5))
    expected = np.mean([naive(row.tolist(), s, k) for row in retrieved])
    assert mean_average_precision(retrieved, s, k) == pytest.approx(expected)


@given(st.data())
def test_fine_agreement_is_the_mean_jaccard_similarity(data: st.DataObject) -> None:
    bits = arrays(np.uint8, (4, 5), elements=st.integers(0, 1))
    queries, database = data.draw(bits), data.draw(bits)
    best = data.draw(arrays(np.int64, (4, 3), elements=st.integers(0, 3)))
    found = fine_agreement(queries, database, best)
    for query, row, value in zip(queries, best, found, strict=True):
        a = {i for i in range(5) if query[i]}
        sets = [{i for i in range(5) if database[clip][i]} for clip in row]
        assert value == pytest.approx(sum(len(a & b) / len(a | b) if a | b else 0.0 for b in sets) / 3)


def test_map_of_no_queries_is_refused() -> None:
    with pytest.raises(InvalidError):
        mean_average_precision(np.empty((0, 5), dtype=np.int64), 8, 5)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    scores, truth = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert auc(scores, truth) == pytest.approx(3.5 / 4)
    assert auc(-scores, truth) == pytest.approx(0.5 / 4)
    assert np.isnan(auc(scores, np.ones(4, dtype=bool)))

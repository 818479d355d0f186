import numpy as np
import pytest

from hub.search.scoring.top_k import _sort_each


@pytest.mark.parametrize("values", [2, 1_000_000])
@pytest.mark.parametrize("k", [1, 5, 30, 50])
def test_each_row_is_sorted_by_rank_and_equals_by_time(values: int, k: int) -> None:
    rng = np.random.default_rng(values + k)
    ranks = rng.integers(0, values, (7, 30)).astype(np.float32)
    newest = rng.permuted(np.tile(np.arange(30), (7, 1)), axis=1)
    expected = [
        sorted(range(30), key=lambda row: (-own[row], -times[row]))[:k]
        for own, times in zip(ranks, newest, strict=True)
    ]
    assert _sort_each(ranks, newest, k).tolist() == expected

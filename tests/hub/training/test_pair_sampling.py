import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hub.domain.presence_matrix import Labels
from hub.training.pair_sampling import Pairs, batched, draw_pairs, draw_partners, draw_pooled
from shared.errors import InvalidError

LABELS = (np.random.default_rng(4).random((60, 8)) < 0.3).astype(np.uint8)
columns = arrays(np.uint8, st.integers(0, 12), elements=st.integers(0, 1))


def unordered(pairs: Pairs) -> set[tuple[int, ...]]:
    return {tuple(sorted(pair)) for pair in pairs.tolist()}


def naive_pairs(labels: Labels, rng: np.random.Generator, partners: int) -> set[tuple[int, ...]]:
    """Section 4.2 word for word: each category, each target, its partners; then no duplicates."""
    pairs = []
    for category in range(labels.shape[1]):
        for target in range(len(labels)):
            for same in (True, False):
                fitting = [
                    clip
                    for clip in range(len(labels))
                    if clip != target and (labels[clip, category] == labels[target, category]) == same
                ]
                chosen = rng.permutation(fitting)[:partners].tolist()
                pairs += [tuple(sorted((target, int(clip)))) for clip in chosen]
    return set(pairs)


def test_three_clips_by_hand() -> None:
    """Clips 0 and 1 contain it, 2 does not: 0-1 twice, 0-2, 1-2, and 2 with one of the others."""
    column = np.array([1, 1, 0], dtype=np.uint8)
    drawn = [tuple(pair) for pair in draw_partners(column, np.random.default_rng(0), 1).tolist()]
    assert sorted(drawn) in ([(0, 1), (0, 2), (1, 0), (1, 2), (2, one)] for one in (0, 1))
    assert unordered(draw_pairs(column[:, None], np.random.default_rng(0), 1)) == {(0, 1), (0, 2), (1, 2)}


@given(columns, st.integers(1, 13), st.integers(0, 99))
def test_each_clip_has_as_many_different_partners_in_each_situation_as_asked_or_there_are(
    column: Labels,
    partners: int,
    seed: int,
) -> None:
    drawn = draw_partners(column, np.random.default_rng(seed), partners).tolist()
    assert len({tuple(pair) for pair in drawn}) == len(drawn)
    assert all(a != b for a, b in drawn)
    found = Counter((a, bool(column[a] == column[b])) for a, b in drawn)
    for clip in range(len(column)):
        alike = int((column == column[clip]).sum()) - 1
        assert found[clip, True] == min(partners, alike)
        assert found[clip, False] == min(partners, len(column) - 1 - alike)


def test_every_pair_is_drawn_as_often_as_by_the_naive_way() -> None:
    labels, times = LABELS[:9, :2], 1_000
    rng = np.random.default_rng(1)
    fast = Counter(pair for _ in range(times) for pair in unordered(draw_pairs(labels, rng, 2)))
    naive = Counter(pair for _ in range(times) for pair in naive_pairs(labels, rng, 2))
    for pair in itertools.combinations(range(9), 2):
        assert abs(fast[pair] - naive[pair]) < 5 * (times / 2) ** 0.5  # five standard deviations at the most


@pytest.mark.parametrize("partners", [59, 100])
def test_with_partners_for_all_it_is_the_naive_set(partners: int) -> None:
    pairs = draw_pairs(LABELS, np.random.default_rng(0), partners)
    assert unordered(pairs) == naive_pairs(LABELS, np.random.default_rng(5), partners)
    assert len(pairs) == 60 * 59 / 2


def test_an_equal_generator_draws_equal_pairs() -> None:
    first = draw_pairs(LABELS, np.random.default_rng(9))
    assert np.array_equal(first, draw_pairs(LABELS, np.random.default_rng(9)))
    assert not np.array_equal(first, draw_pairs(LABELS, np.random.default_rng(10)))


def test_no_pair_comes_twice_in_either_order_and_no_clip_meets_itself() -> None:
    pairs = draw_pairs(LABELS, np.random.default_rng(0), 3)
    assert len(unordered(pairs)) == len(pairs)
    assert all(a != b for a, b in pairs)


def test_same_and_opposite_partners_are_in_balance_for_each_category() -> None:
    labels = np.zeros((4_000, 1), dtype=np.uint8)
    labels[:400] = 1
    pairs = draw_pairs(labels, np.random.default_rng(0), 3)
    same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]).mean()
    assert same == pytest.approx(0.5, abs=0.02)


def test_a_category_that_every_clip_has_gives_same_partners_only() -> None:
    assert len(draw_pairs(np.ones((10, 8), dtype=np.uint8), np.random.default_rng(0))) == 45


@pytest.mark.parametrize("clips", [0, 1])
def test_too_few_clips_give_no_pairs(clips: int) -> None:
    assert draw_pairs(LABELS[:clips], np.random.default_rng(0)).shape == (0, 2)


def test_neither_side_of_a_pair_is_special() -> None:
    pairs = draw_pairs(LABELS, np.random.default_rng(0))
    assert (pairs[:, 0] < pairs[:, 1]).mean() == pytest.approx(0.5, abs=0.05)


def test_pools_divide_the_clips_and_pair_only_their_own() -> None:
    pools = draw_pooled(LABELS, np.random.default_rng(2), partners=1, pool_clips=25, pairs_per_clip=4)
    members = [set(pairs.ravel().tolist()) for pairs in pools]
    assert sorted(clip for pool in members for clip in pool) == list(range(60))
    assert [len(pool) for pool in members] == [20, 20, 20]
    assert all(len(pairs) == 80 for pairs in pools)


@pytest.mark.parametrize(
    ("pairs", "sizes"), [(0, []), (1, []), (2, [2]), (3, [3]), (4, [3]), (5, [3, 2]), (6, [3, 3]), (7, [3, 3])]
)
def test_batches_keep_all_pairs_but_a_single_last_one(pairs: int, sizes: list[int]) -> None:
    all_pairs = np.arange(2 * pairs).reshape(-1, 2)
    batches = batched(all_pairs, 3)
    assert [len(batch) for batch in batches] == sizes
    assert [pair for batch in batches for pair in batch.tolist()] == all_pairs[: sum(sizes)].tolist()


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidError, match="0 and 1"):
        draw_pairs(np.full((3, 8), 2, dtype=np.uint8), np.random.default_rng(0))
    with pytest.raises(InvalidError, match="partners"):
        draw_pairs(LABELS, np.random.default_rng(0), 0)

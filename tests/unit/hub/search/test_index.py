import threading

import numpy as np
import numpy.typing as npt
import pytest

from hub.model.checkpoint import load, shipped
from hub.model.presence import level_of_similarity
from hub.search.index import Entry, Exclusion, Index
from hub.search.scorer import Scorer
from shared.space import VGGISH


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(load(shipped(VGGISH.id)))


def towers(scorer: Scorer, count: int) -> npt.NDArray[np.float32]:
    features = np.random.default_rng(1).integers(0, 256, (count, *VGGISH.shape), dtype=np.uint8)
    return scorer.embed(features).astype(np.float16).astype(np.float32)


def entries(count: int) -> list[Entry]:
    return [Entry(f"s.b.{n}", f"demo/s{n % 3}", 1_000 * n) for n in range(count)]


def filled(scorer: Scorer, count: int) -> Index:
    index = Index(scorer)
    index.add(entries(count), towers(scorer, count))
    return index


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 255, 256, 257, 600])
def test_search_ranks_as_a_naive_sort_of_all_scores(scorer: Scorer, count: int) -> None:
    index, kept, query = filled(scorer, count), towers(scorer, count), towers(scorer, 700)[-1]
    matches = index.search(query, 5, Exclusion())
    alone = [kept[n : n + 1] for n in range(count)]
    matrices = [scorer.score(query, event) for event in alone]
    ranks = [float(scorer.rank(query, event, matrix)[0]) for event, matrix in zip(alone, matrices, strict=True)]
    naive = sorted(range(count), key=lambda n: -ranks[n])[:5]
    assert [m.rank for m in matches] == pytest.approx([ranks[n] for n in naive], abs=1e-4)
    levels = [float(level_of_similarity(matrices[n])[0]) for n in naive]
    assert [m.level for m in matches] == pytest.approx(levels, abs=1e-4)
    assert len(matches) == min(5, count)
    assert all(0.0 <= m.level <= 8.0 + 1e-5 and m.matrix.shape == (8, 3) for m in matches)


def test_an_event_added_twice_is_found_once(scorer: Scorer) -> None:
    index = filled(scorer, 3)
    index.add(entries(3), towers(scorer, 3))
    assert len(index) == 3
    assert len(index.search(towers(scorer, 1)[0], 10, Exclusion())) == 3


def test_the_query_and_its_own_recent_clips_are_left_out(scorer: Scorer) -> None:
    index = filled(scorer, 30)
    near = Exclusion(event="s.b.1", place="demo/s0", around_ms=6_000, within_ms=6_000)
    found = {m.event for m in index.search(towers(scorer, 1)[0], 100, near)}
    gone = {"s.b.1"} | {f"s.b.{n}" for n in (0, 3, 6, 9, 12)}
    assert found == {f"s.b.{n}" for n in range(30)} - gone


def test_removed_events_are_not_found_and_their_room_is_given_back(scorer: Scorer) -> None:
    index = filled(scorer, 600)
    index.remove([f"s.b.{n}" for n in range(590)])
    assert len(index) == 10
    assert {m.event for m in index.search(towers(scorer, 1)[0], 100, Exclusion())} == {
        f"s.b.{n}" for n in range(590, 600)
    }
    index.add(entries(1), towers(scorer, 1))
    assert "s.b.0" in index


def test_equal_scores_come_newest_first(scorer: Scorer) -> None:
    index = Index(scorer)
    index.add(entries(5), np.repeat(towers(scorer, 1), 5, axis=0))
    matches = index.search(towers(scorer, 1)[0], 5, Exclusion())
    assert [m.event for m in matches] == [f"s.b.{n}" for n in (4, 3, 2, 1, 0)]


def test_searching_while_events_are_added_finds_only_whole_ones(scorer: Scorer) -> None:
    index, all_towers, known = Index(scorer), towers(scorer, 400), entries(400)

    def add_one_by_one() -> None:
        for n in range(400):
            index.add(known[n : n + 1], all_towers[n : n + 1])

    adding = threading.Thread(target=add_one_by_one)
    adding.start()
    while adding.is_alive():
        for match in index.search(all_towers[0], 3, Exclusion()):
            assert match.place == f"demo/s{int(match.event.rpartition('.')[2]) % 3}"
            assert match.level > 0
    adding.join()
    assert len(index) == 400

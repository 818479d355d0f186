import threading
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from hub.model.checkpoint import default_checkpoint, load
from hub.search.backend import By, Exclusion, IndexEntry, Query
from hub.search.candidates import CandidateTuner
from hub.search.memory.index import MemoryIndex
from hub.search.scoring.scorer import Scorer
from shared.feature_space import VGGISH

CANDIDATES = 50


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(load(default_checkpoint(VGGISH.id)))


@cache
def towers(scorer: Scorer, count: int) -> npt.NDArray[np.float32]:
    features = np.random.default_rng(1).integers(0, 256, (count, *VGGISH.shape), dtype=np.uint8)
    return scorer.embed(features).astype(np.float16).astype(np.float32)


def entries(count: int) -> list[IndexEntry]:
    return [IndexEntry(f"s.b.{n}", f"demo/s{n % 3}", 1_000 * n, -40.0 + n % 7, (0.0,) * 8) for n in range(count)]


def filled(scorer: Scorer, count: int) -> MemoryIndex:
    index = MemoryIndex(scorer, lambda: CandidateTuner(start=CANDIDATES))
    index.add(entries(count), towers(scorer, count))
    return index


def test_rows_of_removed_events_are_given_back_and_the_others_still_found(scorer: Scorer) -> None:
    index = filled(scorer, 3_000)
    index.remove([f"s.b.{n}" for n in range(2_900)])
    assert len(index) == 100
    assert sum(count for _, count in index.chunks().values()) == 100
    found = index.search([Query(towers(scorer, 3_000)[2_950], 100)])[0]
    assert {match.event for match in found} == {f"s.b.{n}" for n in range(2_900, 3_000)}
    index.add(entries(1), towers(scorer, 1))
    assert index.contains(["s.b.0", "s.b.1"]) == [True, False]


def test_a_search_that_began_before_a_removal_still_answers(scorer: Scorer) -> None:
    index = filled(scorer, 3_000)
    view = index.view()
    index.remove([f"s.b.{n}" for n in range(2_990)])
    query = Query(towers(scorer, 3_000)[2_995], 3, Exclusion(frozenset({"s.b.2995"})))
    (found,) = view.search(scorer, [query], CANDIDATES)
    assert found
    assert all(match.event != "s.b.2995" for match in found)


def test_what_the_sketch_finds_is_what_an_exact_scan_finds(scorer: Scorer) -> None:
    index = MemoryIndex(scorer, lambda: CandidateTuner(start=500))
    index.add(entries(3_000), towers(scorer, 3_000))
    for row in range(0, 3_000, 300):
        query = Query(towers(scorer, 3_000)[row], 5)
        quick, exact = index.search([query])[0], index.exact(query)
        assert [m.rank for m in quick] == pytest.approx([m.rank for m in exact], abs=0.01)


def test_a_measurement_reports_how_many_candidates_are_needed(scorer: Scorer) -> None:
    index = filled(scorer, 3_000)
    for row in range(20):
        ranks = index.measure(Query(towers(scorer, 3_000)[row], 10))
        assert len(ranks) == 10
        assert ranks == sorted(ranks, reverse=True)
        assert ranks[0] == pytest.approx(index.exact(Query(towers(scorer, 3_000)[row], 1))[0].rank, abs=1e-4)
    recall = index.reaches[By.BOTH].recall()
    assert recall is not None
    assert recall >= 0.99
    assert index.reaches[By.BOTH].candidates >= 1_000


def test_a_scan_can_be_abandoned(scorer: Scorer) -> None:
    index = filled(scorer, 300)

    def abandon() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.measure(Query(towers(scorer, 1)[0], 10), abandon)
    assert index.reaches[By.BOTH].recall() is None


def test_searching_while_events_are_added_and_removed_finds_only_whole_ones(scorer: Scorer) -> None:
    index, all_towers, known = (
        MemoryIndex(scorer, lambda: CandidateTuner(start=CANDIDATES)),
        towers(scorer, 400),
        entries(400),
    )

    def add_one_by_one() -> None:
        for n in range(400):
            index.add(known[n : n + 1], all_towers[n : n + 1])
            if n % 4 == 3:
                index.remove([f"s.b.{n - 1}"])

    adding = threading.Thread(target=add_one_by_one)
    adding.start()
    while adding.is_alive():
        for match in index.search([Query(all_towers[0], 3)])[0]:
            assert match.place == f"demo/s{int(match.event.rpartition('.')[2]) % 3}"
            assert match.level > 0
    adding.join()
    assert len(index) == 300


def test_all_ids_are_reported(scorer: Scorer) -> None:
    index = filled(scorer, 300)
    index.remove(["s.b.7"])
    assert {event for page in index.ids() for event in page} == {f"s.b.{n}" for n in range(300)} - {"s.b.7"}

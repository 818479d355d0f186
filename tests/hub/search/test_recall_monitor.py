import threading

import numpy as np
import pytest

from hub.model.checkpoint import default_checkpoint, load
from hub.search.backend import By, IndexEntry, Query
from hub.search.memory.index import MemoryIndex
from hub.search.recall_monitor import RecallMonitor
from hub.search.scoring.scorer import Scorer
from shared.feature_space import VGGISH
from tests.server_processes import eventually


@pytest.fixture(scope="module")
def index() -> MemoryIndex:
    scorer = Scorer(load(default_checkpoint(VGGISH.id)))
    features = np.random.default_rng(0).integers(0, 256, (200, *VGGISH.shape), dtype=np.uint8)
    made = MemoryIndex(scorer)
    made.add([IndexEntry(f"s.b.{n}", "demo/s", n, -40.0, (0.0,) * 8) for n in range(200)], scorer.embed(features))
    return made


def asked(index: MemoryIndex) -> Query:
    features = np.random.default_rng(1).integers(0, 256, (1, *VGGISH.shape), dtype=np.uint8)
    return Query(index.scorer.embed(features)[0], 5)


def test_a_sampled_query_is_scanned_exactly_once_there_is_time(index: MemoryIndex) -> None:
    busy, gaps = threading.Event(), list[float]()
    watch = RecallMonitor(1.0, busy.is_set, lambda _index, gap: gaps.append(gap))
    watch.start()
    try:
        query = asked(index)
        watch.sample(index, query, index.search([query])[0])
        assert not gaps
        busy.set()  # idle from here on
        eventually(lambda: len(gaps) == 1, 30, "the query is scanned")
    finally:
        watch.stop()
    assert gaps[0] == pytest.approx(0.0, abs=0.01)
    assert index.reaches[By.BOTH].recall() is not None


def test_nothing_is_sampled_at_a_share_of_nought_and_stopping_interrupts_a_wait(index: MemoryIndex) -> None:
    gaps: list[float] = []
    never = RecallMonitor(0.0, lambda: True, lambda _index, gap: gaps.append(gap))
    always = RecallMonitor(1.0, lambda: False, lambda _index, gap: gaps.append(gap))
    for watch in (never, always):
        watch.start()
        for _ in range(10):
            watch.sample(index, asked(index), [])
        watch.stop()
    assert gaps == []

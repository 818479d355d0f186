"""Latency and recall of a search among many events, compared with FAISS."""

import contextlib
import ctypes
import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import faiss
import numpy as np
import numpy.typing as npt

from hub.bench.synthetic_archive import fill_index, real_clips
from hub.bench.timing import median, seconds
from hub.model.checkpoint import Checkpoint
from hub.search.backend import By, Query
from hub.search.candidates import TOLERANCE, CandidateTuner
from hub.search.memory.index import MemoryIndex
from hub.search.scoring.scorer import Scorer
from shared.feature_space import Features, FeatureSpace

DEPTH: Final = 10
CURVE: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000)
_EXACT_REPEATS: Final = 3

ProgressFn = Callable[[str, float], None]
"""Called with (current step, share of it done in [0, 1])."""


@dataclass(frozen=True, slots=True)
class Point:
    """Costs at one size of the archive.

    Attributes:
        events: events in the index.
        median_ms: median time of a search, ms.
        p99_ms: 99th percentile of that time, ms.
        exact_median_ms: median time of an exact scan, ms.
        candidates: events scored exactly per search.
    """

    events: int
    median_ms: float
    p99_ms: float
    exact_median_ms: float
    candidates: int


@dataclass(frozen=True, slots=True)
class Way:
    """Costs of searches by kind, by source or by both, in the largest index.

    Attributes:
        by: which of them.
        recall_at_10: share of the ten found that rank at most `tolerance` below the exact tenth.
        candidates: scored exactly per search, chosen from queries that are not measured.
        median_ms: of a search, one query at a time.
        p99_ms: of a search.
    """

    by: str
    recall_at_10: float
    candidates: int
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """Figures that `bench search` prints; they are of searches by both kind and source unless stated otherwise.

    Attributes:
        events: events in the index.
        recall_at_10: share of the ten found that rank at most `tolerance` below the exact tenth.
        tolerance: in categories of 8.
        candidates: scored exactly per search, chosen from queries that are not measured.
        median_ms: of a search, one query at a time.
        p99_ms: of a search.
        exact_median_ms: median time of an exact scan by the quick scorer, ms.
        times_exact: ratio of `exact_median_ms` and `median_ms`.
        bytes_per_event: growth of the process in bytes, per event.
        faiss_flat_median_ms: of an exact search over mean embeddings, 128-D, by FAISS; 0 if left out.
        faiss_hnsw_median_ms: of an approximate one; 0 if left out.
        curve: costs at smaller archives, and at this.
        queries: measured.
        ways: by kind, by source and by both; of a model without identities by both alone.
    """

    events: int
    recall_at_10: float
    tolerance: float
    candidates: int
    median_ms: float
    p99_ms: float
    exact_median_ms: float
    times_exact: float
    bytes_per_event: float
    faiss_flat_median_ms: float
    faiss_hnsw_median_ms: float
    curve: list[Point]
    queries: int
    ways: list[Way]


def search_figures(
    checkpoint: Checkpoint,
    data: Path | None,
    *,
    events: int,
    queries: int,
    repeats: int,
    recall: float,
    references: bool,
    progress: ProgressFn = lambda *_: None,
) -> SearchFigures:
    """Measure latency and recall of searches.

    Args:
        checkpoint: checkpoint of a Siamese network or a tagger.
        data: folder of real embeddings; None: random ones.
        events: events in the largest index.
        queries: number of queries compared with an exact scan; as many others choose the candidates.
        repeats: number of searches that are timed.
        recall: target recall of the index, in [0, 1].
        references: whether to measure FAISS too; its graph takes minutes to build.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        UnavailableError: the data cannot be read.
    """
    rng = np.random.default_rng(0)
    clips, others = real_clips(data, checkpoint.space, rng)
    scorer = Scorer(checkpoint)
    index = MemoryIndex(scorer, lambda: CandidateTuner(recall, scorer.candidates))
    asked = _queries(index, others, 2 * queries, rng)
    before = resident_bytes()
    curve = []
    for size in [*(n for n in CURVE if n < events), events]:
        fill_index(index, clips, size, rng, lambda n: progress("filling", n / events))
        if size < events:
            index.reaches[By.BOTH] = CandidateTuner(recall, scorer.candidates)
            index.measure_all(asked[: min(queries, 20)])
            curve.append(_point(index, asked, min(repeats, 50)))
    used = resident_bytes() - before
    index.reaches[By.BOTH] = CandidateTuner(recall, scorer.candidates)
    ways = []
    for by in scorer.identities.ways:
        progress(f"searching by {by}", 0.5)
        ways.append(_way(index, by, asked, repeats))
    both = next(way for way in ways if way.by == By.BOTH)
    progress("scanning exactly", 0.8)
    exact = _exact_ms(index, asked[-1])
    curve.append(Point(events, both.median_ms, both.p99_ms, exact, both.candidates))
    del index
    flat, graph = 0.0, 0.0
    if references:
        progress("building FAISS", 0.9)
        flat, graph = _faiss(checkpoint.space, clips, others[: min(repeats, 50)], events)
    return SearchFigures(
        events=events,
        recall_at_10=both.recall_at_10,
        tolerance=TOLERANCE,
        candidates=both.candidates,
        median_ms=both.median_ms,
        p99_ms=both.p99_ms,
        exact_median_ms=exact,
        times_exact=exact / both.median_ms,
        bytes_per_event=used / events,
        faiss_flat_median_ms=flat,
        faiss_hnsw_median_ms=graph,
        curve=curve,
        queries=queries,
        ways=ways,
    )


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes, after returning freed memory to the system."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096


def _queries(index: MemoryIndex, clips: Features, count: int, rng: np.random.Generator) -> list[Query]:
    chosen = clips[rng.choice(len(clips), count, replace=len(clips) < count)]
    return [Query(towers, DEPTH) for towers in index.scorer.embed(chosen)]


def _timed(index: MemoryIndex, queries: list[Query], repeats: int) -> tuple[float, float]:
    """Measure median and 99th percentile of a search, ms."""
    turn = iter(range(10**9))
    taken = seconds(lambda: index.search([queries[next(turn) % len(queries)]]), repeats, warm=5)
    return 1000 * statistics.median(taken), 1000 * float(np.quantile(taken, 0.99))


def _exact_ms(index: MemoryIndex, query: Query) -> float:
    return 1000 * median(lambda: index.exact(query), _EXACT_REPEATS, warm=0)


def _way(index: MemoryIndex, by: By, asked: list[Query], repeats: int) -> Way:
    """Measure one kind of search: the first half of the queries chooses the candidates, the others are measured."""
    chosen = [replace(query, by=by) for query in asked]
    half = len(chosen) // 2
    index.measure_all(chosen[:half])
    found = _recall(index, chosen[half:])
    return Way(by, found, index.reaches[by].candidates, *_timed(index, chosen[half:], repeats))


def _point(index: MemoryIndex, queries: list[Query], repeats: int) -> Point:
    timed = _timed(index, queries, repeats)
    return Point(
        events=len(index),
        median_ms=timed[0],
        p99_ms=timed[1],
        exact_median_ms=_exact_ms(index, queries[0]),
        candidates=index.reaches[By.BOTH].candidates,
    )


def _recall(index: MemoryIndex, queries: list[Query]) -> float:
    """Return the share of the ten matches that rank at most the tolerance below the exact tenth."""
    shares = []
    for query, exact in zip(queries, index.view().measured(index.scorer, queries), strict=True):
        (found,) = index.search([query])
        tenth = exact[1][-1]
        shares.append(np.mean([match.rank >= tenth - TOLERANCE for match in found]))
    return float(np.mean(shares))


def _faiss(space: FeatureSpace, clips: Features, others: Features, events: int) -> tuple[float, float]:
    """Measure the median time of FAISS's flat and HNSW search over as many mean embeddings, 128-D, ms."""
    means, asked = _means(space, clips), _means(space, others)
    rng = np.random.default_rng(1)
    spread = means.std(axis=0, keepdims=True)
    base = means[rng.integers(len(means), size=events)]
    base += 0.1 * spread * rng.standard_normal(base.shape, dtype=np.float32)
    flat = faiss.IndexFlatIP(base.shape[1])
    graph = faiss.IndexHNSWFlat(base.shape[1], 16)
    graph.hnsw.efConstruction = 40
    times = []
    for kind in (flat, graph):
        kind.add(base)
        turn = iter(range(10**9))
        times.append(1000 * median(lambda: kind.search(asked[[next(turn) % len(asked)]], DEPTH), 50, warm=5))  # noqa: B023
    return times[0], times[1]


def _means(space: FeatureSpace, features: Features) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(space.dequantise(features).mean(axis=1), dtype=np.float32)

"""Retrieval quality on a benchmark: mAP_s@K of rankings by chance, by cosine and by the network.

Source: the paper, sections 5.4 and 6 (s in {8, 7}; K in {1, 5, 10, 30, 50, 100}; all, single-label and
multi-label queries).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.model.presence import level_of_similarity
from hub.search.scorer import Scorer
from hub.training.dataset import Dataset
from hub.training.metrics import agreement, mean_average_precision
from shared.errors import Invalid

S: Final = (8, 7)
K: Final = (1, 5, 10, 30, 50, 100)

Scores = npt.NDArray[np.float32]
Rank = Callable[[int], Scores]
"""Scores float32 [n] of the database for the query of this number; higher is better."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Queries and the database they are answered from; no clip in both."""

    queries: Dataset
    database: Dataset

    def __post_init__(self) -> None:
        if self.queries.space.id != self.database.space.id:
            raise Invalid("queries and database are of different feature spaces")
        if not len(self.queries) or not len(self.database):
            raise Invalid("a benchmark needs queries and a database")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: mAP_s@K of a method over a kind of queries (`all`, `single` or `multi`)."""

    method: str
    s: int
    K: int
    queries: str
    map: float


def by_chance(benchmark: Benchmark, seed: int = 0) -> Rank:
    """Random order. Source: the paper, section 6 (its baseline)."""
    rng = np.random.default_rng(seed)
    return lambda _query: rng.random(len(benchmark.database), dtype=np.float32)


def by_cosine(benchmark: Benchmark) -> Rank:
    """Cosine of the clips' mean dequantised features."""
    queries, database = _directions(benchmark.queries), _directions(benchmark.database)
    return lambda query: np.asarray(database @ queries[query], dtype=np.float32)


def by_network(benchmark: Benchmark, scorer: Scorer) -> Rank:
    """Level of similarity of the network. Source: the paper, section 3.1.

    Raises:
        Invalid: the scorer is of another feature space.
    """
    if scorer.space.id != benchmark.queries.space.id:
        raise Invalid(f"a scorer of {scorer.space.id} cannot rank {benchmark.queries.space.id}")
    queries, database = scorer.embed(benchmark.queries.features), scorer.embed(benchmark.database.features)
    return lambda query: level_of_similarity(scorer.score(queries[query], database))


def evaluate(
    benchmark: Benchmark,
    methods: Mapping[str, Rank],
    *,
    on_query: Callable[[str, int], None] = lambda _method, _query: None,
) -> list[Row]:
    """Measure each method; see the module's docstring.

    Args:
        benchmark: queries and database.
        methods: by name.
        on_query: told after each query of each method.

    Returns:
        One row per method, s, K and kind of queries of which there are any.
    """
    kinds = {name: mask for name, mask in _kinds(benchmark.queries).items() if mask.any()}
    agreed = agreement(benchmark.queries.labels, benchmark.database.labels)
    rows: list[Row] = []
    for method, rank in methods.items():
        best = np.empty((len(benchmark.queries), min(max(K), len(benchmark.database))), dtype=np.int64)
        for query in range(len(benchmark.queries)):
            best[query] = agreed[query, _best(rank(query), best.shape[1])]
            on_query(method, query)
        rows += _rows(method, best, kinds)
    return rows


def _rows(method: str, best: npt.NDArray[np.int64], kinds: Mapping[str, npt.NDArray[np.bool_]]) -> Iterator[Row]:
    for name, mask in kinds.items():
        for s in S:
            for k in K:
                yield Row(method, s, k, name, round(mean_average_precision(best[mask], s, k), 4))


def _best(scores: Scores, count: int) -> npt.NDArray[np.int64]:
    """Numbers of the highest scores, best first; equal scores in the order of the database."""
    return np.argsort(-scores, kind="stable")[:count]


def _directions(data: Dataset) -> npt.NDArray[np.float32]:
    """Mean dequantised features of each clip, as unit vectors: float32 [n, dimension]."""
    means = np.stack([data.space.dequantise(clip).mean(axis=0) for clip in data.features])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(lengths, 1e-12), dtype=np.float32)


def _kinds(queries: Dataset) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks of the queries; `single` has exactly one category present, `multi` two or more."""
    present = queries.labels.sum(axis=1)
    return {"all": np.ones(len(queries), dtype=np.bool_), "single": present == 1, "multi": present >= 2}

"""A benchmark, and the ways to rank its database that are compared on it.

Source: the paper, section 6 (random baseline); tag-and-compare and tag-plus-cosine are the obvious alternatives to
a network that looks at pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hub.model.checkpoint import Checkpoint
from hub.search.scorer import Scorer
from hub.training.dataset import Dataset
from hub.training.similarity import directions
from shared.errors import Invalid

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

    def first(self, count: int | None) -> "Benchmark":
        """The same with at most so many queries, spread evenly; None: all."""
        if count is None or count >= len(self.queries):
            return self
        chosen = np.linspace(0, len(self.queries) - 1, count).astype(np.int64)
        return Benchmark(self.queries.take(chosen), self.database)


def by_chance(benchmark: Benchmark, seed: int = 0) -> Rank:
    """Random order. Source: the paper, section 6 (its baseline)."""
    rng = np.random.default_rng(seed)
    return lambda _query: rng.random(len(benchmark.database), dtype=np.float32)


def by_cosine(benchmark: Benchmark) -> Rank:
    """Cosine of the clips' mean dequantised features."""
    queries, database = directions(benchmark.queries), directions(benchmark.database)
    return lambda query: np.asarray(database @ queries[query], dtype=np.float32)


def by_network(benchmark: Benchmark, checkpoint: Checkpoint) -> Rank:
    """What the network ranks by. Source: the paper, section 3.1.

    Raises:
        Invalid: the checkpoint is of another feature space.
    """
    if checkpoint.space.id != benchmark.queries.space.id:
        raise Invalid(f"a checkpoint of {checkpoint.space.id} cannot rank {benchmark.queries.space.id}")
    scorer = Scorer(checkpoint)
    queries, database = scorer.embed(benchmark.queries.features), scorer.embed(benchmark.database.features)
    return lambda query: scorer.rank(queries[query], database, scorer.score(queries[query], database))


def by_network_and_cosine(benchmark: Benchmark, checkpoint: Checkpoint) -> Rank:
    """What the network ranks by, plus the cosine with the weight that its training found best.

    Raises:
        Invalid: the checkpoint is of another feature space, or names no weight.
    """
    weight = checkpoint.record.get("weight")
    if weight is None:
        raise Invalid("this checkpoint's record has no weight for the cosine")
    network, cosine = by_network(benchmark, checkpoint), by_cosine(benchmark)
    return lambda query: np.asarray(network(query) + np.float32(weight) * cosine(query), dtype=np.float32)

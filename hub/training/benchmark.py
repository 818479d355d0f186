"""A benchmark, and the ways to rank its database that are compared on it.

Source: the paper, section 6 (random baseline); tag-and-compare and tag-plus-cosine are the obvious alternatives to
a network that looks at pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hub.model.checkpoint import Checkpoint
from hub.search.backend import By
from hub.search.scoring.scorer import Scorer
from hub.training.cosine_baseline import directions
from hub.training.dataset import Dataset
from shared.errors import InvalidError

Scores = npt.NDArray[np.float32]
Rank = Callable[[int], Scores]
"""Scores float32 [n] of the database for the query of this number; higher is better."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Queries and the database they are answered from; no query is among its own answers.

    Attributes:
        queries: clips to search for.
        database: clips that are found.
        own: int64 [q], the row of the database that is the query itself and is left out of its answer; None: the
            database has none of the queries.
        other: int64 [q], the row of the database that is the other half of the query's clip; None: clips are whole.
    """

    queries: Dataset
    database: Dataset
    own: npt.NDArray[np.int64] | None = None
    other: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.queries.space.id != self.database.space.id:
            raise InvalidError("queries and database are of different feature spaces")
        if not len(self.queries) or not len(self.database):
            raise InvalidError("a benchmark needs queries and a database")
        if self.own is not None and len(self.database) == 1:
            raise InvalidError("one clip alone cannot be searched for among others")

    def first(self, count: int | None) -> "Benchmark":
        """Return the benchmark with at most `count` queries, evenly spread; None: all."""
        if count is None or count >= len(self.queries):
            return self
        chosen = np.linspace(0, len(self.queries) - 1, count).astype(np.int64)
        queries = self.queries.take(chosen)
        if self.other is not None:
            return Benchmark(queries, self.database.take(self.other[chosen]), other=np.arange(count))
        return Benchmark(queries, self.database, None if self.own is None else self.own[chosen])

    @property
    def depth(self) -> int:
        """Number of clips of the database that may be among a query's answers."""
        return len(self.database) - (self.own is not None)

    def among(self, query: int) -> npt.NDArray[np.bool_]:
        """Return which clips of the database may be among a query's answers: bool [n], all but the query itself."""
        mask = np.ones(len(self.database), dtype=np.bool_)
        if self.own is not None:
            mask[self.own[query]] = False
        return mask


def by_chance(benchmark: Benchmark, seed: int = 0) -> Rank:
    """Random order. Source: the paper, section 6 (its baseline)."""
    rng = np.random.default_rng(seed)
    return lambda _query: rng.random(len(benchmark.database), dtype=np.float32)


def by_cosine(benchmark: Benchmark) -> Rank:
    """Cosine of the clips' mean dequantised features."""
    queries, database = directions(benchmark.queries), directions(benchmark.database)
    return lambda query: np.asarray(database @ queries[query], dtype=np.float32)


class Ranking:
    """Ranks a benchmark's database with one checkpoint; clips are embedded once.

    Args:
        benchmark: queries and database.
        checkpoint: of their feature space.

    Raises:
        InvalidError: it is of another feature space.
    """

    def __init__(self, benchmark: Benchmark, checkpoint: Checkpoint) -> None:
        if checkpoint.space.id != benchmark.queries.space.id:
            raise InvalidError(f"a checkpoint of {checkpoint.space.id} cannot rank {benchmark.queries.space.id}")
        self._knows_sources = checkpoint.identity is not None
        self._scorer = Scorer(checkpoint)
        self._queries = self._scorer.embed(benchmark.queries.features)
        self._database = self._scorer.embed(benchmark.database.features)
        self._among = benchmark.among
        # Several rankings are asked for the same query one after the other.
        self._matrices = lru_cache(maxsize=1)(self._scored)

    def methods(self, name: str) -> dict[str, Rank]:
        """Return the ways to rank, by names that begin with the checkpoint's.

        Returns:
            `name` by both and `name-kind`; with an identity also `name-source`.
        """
        ranks: dict[str, Rank] = {name: self.both, f"{name}-kind": self.kind}
        return ranks | {f"{name}-source": self.source} if self._knows_sources else ranks

    @property
    def identities(self) -> Scores:
        """Identities of the queries, unit vectors float32 [q, values]; [q, 0] without one."""
        return self._scorer.identity(self._queries)

    def kind(self, query: int) -> Scores:
        """Ranks by kind, float32 [n]; -inf of what may not be among the answers."""
        return self._rank(query, By.KIND)

    def both(self, query: int) -> Scores:
        """Ranks by kind and source together, float32 [n]; -inf likewise."""
        return self._rank(query, By.BOTH)

    def source(self, query: int) -> Scores:
        """Cosine of the identities of a query and each clip, float32 [n]; 0 without an identity."""
        return self._scorer.cosines(self._queries[query], self._database)

    def _rank(self, query: int, by: By) -> Scores:
        ranks = np.full(len(self._database), -np.inf, dtype=np.float32)
        among = self._among(query)  # by both, ranks depend on which clips are searched
        ranks[among] = self._scorer.rank(
            self._queries[query], self._database[among], self._matrices(query)[among], by
        )
        return ranks

    def _scored(self, query: int) -> Scores:
        return self._scorer.score(self._queries[query], self._database)


def by_network(benchmark: Benchmark, checkpoint: Checkpoint) -> Rank:
    """Rank by kind with the network. Source: the paper, section 3.1.

    Raises:
        InvalidError: the checkpoint is of another feature space.
    """
    return Ranking(benchmark, checkpoint).kind


def by_network_and_cosine(benchmark: Benchmark, checkpoint: Checkpoint) -> Rank:
    """Rank by kind with the network, plus the cosine with the weight that its training found best.

    Raises:
        InvalidError: the checkpoint is of another feature space, or names no weight.
    """
    weight = checkpoint.record.get("weight")
    if weight is None:
        raise InvalidError("this checkpoint's record has no weight for the cosine")
    network, cosine = by_network(benchmark, checkpoint), by_cosine(benchmark)
    return lambda query: np.asarray(network(query) + np.float32(weight) * cosine(query), dtype=np.float32)

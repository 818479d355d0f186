"""Retrieval of the same source: recall at K, and the calibration of P(same source).

Two clips have the same source if `labels.csv` states it (`same-source`), or if they are the halves of one clip
(`other-half`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.training.benchmark import Benchmark

K: Final = (1, 10)
SAME_SOURCE: Final = "same-source"
OTHER_HALF: Final = "other-half"

Floats = npt.NDArray[np.float64]
Interval = Callable[[Floats], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Found:
    """One figure of a method.

    Attributes:
        method: its name.
        measure: `same-source` or `other-half`.
        K: matches looked at.
        recall: share of the queries with a clip of the same source among the first K.
        low: lower end of its 95 % interval, by bootstrap over the queries.
        high: upper end.
    """

    method: str
    measure: str
    K: int
    recall: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values; figures to four digits."""
        entry = {"method": self.method, "measure": self.measure, "K": self.K}
        figures = {"recall": self.recall, "low": self.low, "high": self.high}
        return entry | {name: round(value, 4) for name, value in figures.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """The queries that the recall was measured on.

    Attributes:
        measure: `same-source` or `other-half`.
        queries: clips that were searched by.
        alone: clips that were left out, because no clip of the database has their source.
        unknown: clips that were left out, because their source is not known.
    """

    measure: str
    queries: int
    alone: int
    unknown: int

    def document(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        return {
            "measure": self.measure,
            "queries": self.queries,
            "left_out": {"source_nowhere_else": self.alone, "source_unknown": self.unknown},
        }


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The clips of a benchmark that have the same source.

    Attributes:
        measure: `same-source` or `other-half`.
        queries: int64 [q], a number of each query's source; -1: unknown.
        database: int64 [n], likewise.
    """

    measure: str
    queries: npt.NDArray[np.int64]
    database: npt.NDArray[np.int64]

    @classmethod
    def of(cls, benchmark: Benchmark) -> "Truth | None":
        """Return the known sources of a benchmark; None if nothing is known."""
        if benchmark.other is not None:
            return cls(OTHER_HALF, benchmark.other, np.arange(len(benchmark.database)))
        if benchmark.queries.sources is None:
            return None
        queries, database = benchmark.queries.source_of_each, benchmark.database.source_of_each
        _, numbers = np.unique(np.concatenate([[""], queries, database]), return_inverse=True)
        # The empty text comes first of all.
        return cls(SAME_SOURCE, numbers[1 : len(queries) + 1] - 1, numbers[len(queries) + 1 :] - 1)

    def same(self, query: int) -> npt.NDArray[np.bool_]:
        """Return which clips of the database have a query's source, bool [n]; none if it is not known."""
        number = self.queries[query]
        return np.asarray((self.database == number) & (number >= 0), dtype=np.bool_)

    def known(self, query: int) -> npt.NDArray[np.bool_]:
        """Return for which clips of the database it is known whether they have a query's source, bool [n]."""
        return np.asarray((self.database >= 0) & (self.queries[query] >= 0), dtype=np.bool_)


@dataclass(slots=True)
class Tally:
    """Answers of queries in one or several parts; a clip that is asked more than once counts once, with their mean.

    Attributes:
        measure: what is measured; None: nothing was known yet.
        hits: per method, pairs of a clip's number and whether its source was among the first K, by K.
        known: numbers of clips whose source is known.
        clips: numbers of all clips.
    """

    measure: str | None = None
    hits: dict[str, list[tuple[int, tuple[bool, ...]]]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    clips: set[int] = field(default_factory=set)

    def add(
        self,
        method: str,
        number: int,
        truth: Truth,
        query: int,
        best: npt.NDArray[np.int64],
        among: npt.NDArray[np.bool_],
    ) -> None:
        """Count one answer.

        Args:
            method: that answered.
            number: of the query's clip.
            truth: of the query's part.
            query: its row there.
            best: int64 [m], rows of the database, best first.
            among: bool [n], rows that may be among the answers.
        """
        self.measure = truth.measure
        self.clips.add(number)
        if truth.queries[query] >= 0:
            self.known.add(number)
        same = truth.same(query)
        answered = self.hits.setdefault(method, [])
        if bool((same & among).any()):
            answered.append((number, tuple(bool(same[best[:k]].any()) for k in K)))

    def asked(self) -> Iterable[Asked]:
        """Return which queries were asked, if anything was measured."""
        if self.measure is not None:
            asked = {number for answered in self.hits.values() for number, _ in answered}
            yield Asked(self.measure, len(asked), len(self.known - asked), len(self.clips - self.known))

    def rows(self, interval: Interval) -> Iterator[Found]:
        """One row per method and K, if any query was asked."""
        for method, answered in self.hits.items():
            if self.measure is None or not answered:
                continue
            _, clip = np.unique([number for number, _ in answered], return_inverse=True)
            for position, k in enumerate(K):
                hit = np.asarray([hits[position] for _, hits in answered], dtype=np.float64)
                values = np.bincount(clip, hit) / np.bincount(clip)
                yield Found(method, self.measure, k, float(values.mean()), *interval(values))

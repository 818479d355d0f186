"""Retrieval quality on a benchmark: mAP_s@K of rankings, fine agreement, and whether probabilities hold.

Source: the paper, sections 5.4 and 6 (s in {8, 7}; K in {1, 5, 10, 30, 50, 100}; all, single-label and
multi-label queries). Fine agreement is ours.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.model.calibration import Calibration
from hub.training.benchmark import Benchmark, Rank
from hub.training.metrics import agreement, average_precision, fine_agreement
from hub.training.reliability import Reliability

S: Final = (8, 7)
K: Final = (1, 5, 10, 30, 50, 100)
FINE_K: Final = (1, 10)
TOP: Final = 10
"""Matches per query that people look at: their probabilities are also measured apart."""
RESAMPLES: Final = 1_000
CONFIDENCE: Final = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a method over a kind of queries.

    Attributes:
        method: its name.
        s: agreement from which a match is a hit, 8 or 7.
        K: matches looked at.
        queries: `all`, `single` (one category) or `multi` (two or more).
        map: mAP_s@K.
        low: lower end of its 95 % interval, by bootstrap over the queries.
        high: upper end.
        fine: mean Jaccard similarity of the finer labels of the query and its first K, at K = 1 and 10 of data that
            have such labels; otherwise None.
    """

    method: str
    s: int
    K: int
    queries: str
    map: float
    low: float
    high: float
    fine: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured.

    Attributes:
        rows: the figures.
        reliability: per calibrated method, s (8, 7) and kind of pairs (`all` of queries and database, or the
            `top` ten of each query, by the curves of matches): how well P(agreement >= s) held.
    """

    rows: list[Row] = field(default_factory=list)
    reliability: dict[tuple[str, int, str], Reliability] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON values; figures to four digits."""
        rows = []
        for row in self.rows:
            figures = {"map": row.map, "low": row.low, "high": row.high}
            if row.fine is not None:
                figures["fine"] = row.fine
            told = {"method": row.method, "s": row.s, "K": row.K, "queries": row.queries}
            rows.append(told | {name: round(value, 4) for name, value in figures.items()})
        calibration = [
            {"method": method, "s": s, "pairs": pairs, "ece": round(kept.error(), 4), "bins": kept.bins()}
            for (method, s, pairs), kept in self.reliability.items()
        ]
        return {"results": rows, "calibration": calibration}


def evaluate(
    benchmark: Benchmark,
    methods: Mapping[str, Rank],
    *,
    calibrations: Mapping[str, Calibration] | None = None,
    on_query: Callable[[str, int], None] = lambda _method, _query: None,
) -> Evaluation:
    """Measure each method; see the module's docstring.

    Args:
        benchmark: queries and database.
        methods: by name.
        calibrations: what the scores of methods mean, by the same name.
        on_query: told after each query of each method.

    Returns:
        One row per method, s, K and kind of queries of which there are any.
    """
    kinds = {name: mask for name, mask in _kinds(benchmark).items() if mask.any()}
    agreed = agreement(benchmark.queries.labels, benchmark.database.labels)
    found = Evaluation()
    for method, rank in methods.items():
        calibration = (calibrations or {}).get(method)
        best = np.empty((len(benchmark.queries), min(max(K), len(benchmark.database))), dtype=np.int64)
        for query in range(len(benchmark.queries)):
            scores = rank(query)
            # Equal scores in the order of the database.
            best[query] = np.argsort(-scores, kind="stable")[: best.shape[1]]
            if calibration is not None:
                _watch(found, method, calibration, scores, agreed[query], best[query, :TOP])
            on_query(method, query)
        found.rows.extend(_rows(method, benchmark, agreed, best, kinds))
    return found


def interval(values: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of float64 [n] by bootstrap; the same resamples for equal n and seed."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES)
    low, high = np.quantile(counts @ values / len(values), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _rows(
    method: str,
    benchmark: Benchmark,
    agreed: npt.NDArray[np.int64],
    best: npt.NDArray[np.int64],
    kinds: Mapping[str, npt.NDArray[np.bool_]],
) -> Iterator[Row]:
    retrieved = np.take_along_axis(agreed, best, axis=1)
    queries, database = benchmark.queries.fine, benchmark.database.fine
    fine = {}
    if queries is not None and database is not None:
        fine = {k: fine_agreement(queries, database, best[:, :k]) for k in FINE_K}
    for name, mask in kinds.items():
        for s in S:
            for k in K:
                values = average_precision(retrieved[mask], s, k)
                alike = float(fine[k][mask].mean()) if k in fine else None
                yield Row(method, s, k, name, float(values.mean()), *interval(values), alike)


def _watch(
    found: Evaluation,
    method: str,
    calibration: Calibration,
    scores: npt.NDArray[np.float32],
    agreed: npt.NDArray[np.int64],
    top: npt.NDArray[np.int64],
) -> None:
    for s in S:
        came = agreed >= s
        found.reliability.setdefault((method, s, "all"), Reliability()).add(calibration.at_least(s)(scores), came)
        said = calibration.at_least(s, match=True)(scores[top])
        found.reliability.setdefault((method, s, "top"), Reliability()).add(said, came[top])


def _kinds(benchmark: Benchmark) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks of the queries; `single` has exactly one category present, `multi` two or more."""
    present = benchmark.queries.labels.sum(axis=1)
    return {"all": np.ones(len(present), dtype=np.bool_), "single": present == 1, "multi": present >= 2}

"""Retrieval quality on a benchmark: mAP_s@K of rankings, fine agreement, and whether probabilities hold.

Source: the paper, sections 5.4 and 6 (s in {8, 7}; K in {1, 5, 10, 30, 50, 100}; all, single-label and
multi-label queries). Fine agreement is ours.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.model.calibration import Calibration
from hub.model.presence import Labels
from hub.training.benchmark import Benchmark, Rank
from hub.training.metrics import agreement, auc, average_precision, fine_agreement
from hub.training.reliability import Reliability
from shared.taxonomy import CATEGORIES

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
        queries: how many clips were asked.
        presence: per method that tags, how well it tells which queries contain a category: AUC by category, of those
            that some queries contain and some do not.
    """

    rows: list[Row] = field(default_factory=list)
    reliability: dict[tuple[str, int, str], Reliability] = field(default_factory=dict)
    queries: int = 0
    presence: dict[str, dict[str, float]] = field(default_factory=dict)

    def curves(self) -> dict[str, dict[str, list[tuple[float, float, float, float]]]]:
        """Points (K, mAP, low, high) by method, by s and kind of queries, as `plots.retrieval` draws them."""
        panels: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
        for row in sorted(self.rows, key=lambda row: -row.s):
            panel = panels.setdefault(f"s = {row.s}, {row.queries} queries", {})
            panel.setdefault(row.method, []).append((row.K, row.map, row.low, row.high))
        return panels

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
        told_of = {"presence": self.presence} if self.presence else {}
        return {"results": rows, "calibration": calibration} | told_of


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark and what to measure on it.

    Attributes:
        benchmark: queries and database.
        methods: by name.
        calibrations: what the scores of methods mean, by the same names.
        numbers: int64 [q], of each query's clip; answers of one clip in several parts are averaged before anything
            else, so that it counts once. None: no clip is asked again.
        presence: float [q, 8], probability of each category in each query, by methods that tag.
    """

    benchmark: Benchmark
    methods: Mapping[str, Rank]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    numbers: npt.NDArray[np.int64] | None = None
    presence: Mapping[str, npt.NDArray[np.floating]] = field(default_factory=dict)


def evaluate(
    benchmark: Benchmark,
    methods: Mapping[str, Rank],
    *,
    calibrations: Mapping[str, Calibration] | None = None,
    on_query: Callable[[str, int], None] = lambda _method, _query: None,
) -> Evaluation:
    """Measure each method on one benchmark; see `evaluate_parts`."""
    return evaluate_parts([Part(benchmark, methods, calibrations or {})], on_query=on_query)


def evaluate_parts(
    parts: Iterable[Part], *, on_query: Callable[[str, int], None] = lambda _method, _query: None
) -> Evaluation:
    """Measure each method over the queries of all parts; see the module's docstring.

    Args:
        parts: with the same methods; each query is answered from its own part's database.
        on_query: told after each query of each method, queries numbered through all parts.

    Returns:
        One row per method, s, K and kind of queries of which there are any.
    """
    found = Evaluation()
    answers: dict[str, list[_Answers]] = {}
    tagged: dict[str, list[tuple[Labels, npt.NDArray[np.floating]]]] = {}
    asked = 0
    for part in parts:
        for method, tags in part.presence.items():
            tagged.setdefault(method, []).append((part.benchmark.queries.labels, tags))
        agreed = agreement(part.benchmark.queries.labels, part.benchmark.database.labels)
        for method, rank in part.methods.items():
            calibration = part.calibrations.get(method)
            best = np.empty((len(part.benchmark.queries), min(max(K), len(part.benchmark.database))), dtype=np.int64)
            for query in range(len(part.benchmark.queries)):
                scores = rank(query)
                # Equal scores in the order of the database.
                best[query] = np.argsort(-scores, kind="stable")[: best.shape[1]]
                if calibration is not None:
                    _watch(found, method, calibration, scores, agreed[query], best[query, :TOP])
                on_query(method, asked + query)
            numbers = np.arange(asked, asked + len(best)) if part.numbers is None else part.numbers
            answers.setdefault(method, []).append(_answers(part.benchmark, agreed, best, numbers))
        asked += len(part.benchmark.queries)
    rows = [row for method, given in answers.items() for row in _rows(method, given)]
    clips = {int(number) for given in answers.values() for part in given for number in part.numbers}
    presence = {method: _presence(*map(np.concatenate, zip(*given, strict=True))) for method, given in tagged.items()}
    return replace(found, rows=rows, queries=len(clips), presence=presence)


def interval(values: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of float64 [n] by bootstrap; the same resamples for equal n and seed."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES)
    low, high = np.quantile(counts @ values / len(values), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Per query of one part: its clip's number, average precision by s and K, fine agreement by K, categories."""

    numbers: npt.NDArray[np.int64]
    precision: dict[tuple[int, int], Floats]
    fine: dict[int, Floats]
    present: npt.NDArray[np.int64]


def _answers(
    benchmark: Benchmark,
    agreed: npt.NDArray[np.int64],
    best: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
) -> _Answers:
    retrieved = np.take_along_axis(agreed, best, axis=1)
    queries, database = benchmark.queries.fine, benchmark.database.fine
    fine = {}
    if queries is not None and database is not None:
        fine = {k: fine_agreement(queries, database, best[:, :k]) for k in FINE_K}
    precision = {(s, k): average_precision(retrieved, s, k) for s in S for k in K}
    return _Answers(numbers, precision, fine, benchmark.queries.labels.sum(axis=1, dtype=np.int64))


def _rows(method: str, given: list[_Answers]) -> Iterator[Row]:
    clips, first, number = np.unique(
        np.concatenate([answers.numbers for answers in given]), return_index=True, return_inverse=True
    )
    present = np.concatenate([answers.present for answers in given])[first]

    def per_clip(parts: list[Floats]) -> Floats:
        return np.bincount(number, np.concatenate(parts)) / np.bincount(number, minlength=len(clips))

    for name, mask in _kinds(present).items():
        for s, k in itertools.product(S, K) if mask.any() else ():
            values = per_clip([answers.precision[s, k] for answers in given])[mask]
            alike = None
            if all(k in answers.fine for answers in given):
                alike = float(per_clip([answers.fine[k] for answers in given])[mask].mean())
            yield Row(method, s, k, name, float(values.mean()), *interval(values), alike)


def _presence(labels: Labels, tags: npt.NDArray[np.floating]) -> dict[str, float]:
    return {
        name: round(auc(tags[:, c], labels[:, c] == 1), 4)
        for c, name in enumerate(CATEGORIES)
        if 0 < int(labels[:, c].sum()) < len(labels)
    }


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


def _kinds(present: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks of queries by how many categories they have; `single` has exactly one, `multi` two or more."""
    return {"all": np.ones(len(present), dtype=np.bool_), "single": present == 1, "multi": present >= 2}

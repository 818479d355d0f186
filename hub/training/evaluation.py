"""Retrieval quality on a benchmark: mAP_s@K, fine agreement, recall of sources, and whether probabilities hold.

Source: the paper, sections 5.4 and 6 (s in {8, 7}; K in {1, 5, 10, 30, 50, 100}; all, single-label and
multi-label queries). Fine agreement and the recall of sources are ours.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.domain.presence_matrix import Labels
from hub.model.calibration import Calibration
from hub.model.identity import Identity
from hub.training.benchmark import Benchmark, Rank
from hub.training.ranking_metrics import agreement, auc, average_precision, fine_agreement
from hub.training.reliability import Reliability
from hub.training.source_recall import Asked, Found, Tally, Truth
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
class ScoreRow:
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
    """The measured figures.

    Attributes:
        rows: the figures of kinds; none of halves of clips, which have their labels in common.
        recalls: the figures of sources, if any is known.
        asked: which queries `recalls` are of.
        reliability: per calibrated method, s (8, 7) and kind of pairs (`all` of queries and database, or the
            `top` ten of each query, by the curves of matches): how well P(agreement >= s) held.
        sources: per method of a checkpoint with an identity, and kind of pairs: how well P(same source) held.
        queries: how many clips were asked.
        presence: per method that tags, how well it detects a category in queries: AUC by category, of those
            that some queries contain and some do not.
    """

    rows: list[ScoreRow] = field(default_factory=list)
    recalls: list[Found] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    reliability: dict[tuple[str, int, str], Reliability] = field(default_factory=dict)
    sources: dict[tuple[str, str], Reliability] = field(default_factory=dict)
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
        """Return the content as JSON values; figures to four digits."""
        rows = []
        for row in self.rows:
            figures = {"map": row.map, "low": row.low, "high": row.high}
            if row.fine is not None:
                figures["fine"] = row.fine
            entry = {"method": row.method, "s": row.s, "K": row.K, "queries": row.queries}
            rows.append(entry | {name: round(value, 4) for name, value in figures.items()})
        rows += [found.document() for found in self.recalls]
        calibration: list[dict[str, Any]] = [
            {"method": method, "s": s, "pairs": pairs, "ece": round(kept.error(), 4), "bins": kept.bins()}
            for (method, s, pairs), kept in self.reliability.items()
        ]
        calibration += [
            {"method": method, "measure": asked.measure, "pairs": pairs, "ece": round(kept.error(), 4)}
            | {"bins": kept.bins()}
            for asked in self.asked
            for (method, pairs), kept in self.sources.items()
        ]
        extra: dict[str, Any] = {"presence": self.presence} if self.presence else {}
        if self.asked:
            extra["asked"] = [asked.document() for asked in self.asked]
        return {"results": rows, "calibration": calibration} | extra


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark and what to measure on it.

    Attributes:
        benchmark: queries and database.
        methods: by name.
        calibrations: what the scores of methods mean, by the same names.
        levels: what the calibration of a method takes, if it ranks by something else.
        identities: by methods that state P(same source), the cosines that they make it of.
        numbers: int64 [q], of each query's clip; answers of one clip in several parts are averaged before anything
            else, so that it counts once. None: no clip is asked again.
        presence: float [q, 8], probability of each category in each query, by methods that tag.
    """

    benchmark: Benchmark
    methods: Mapping[str, Rank]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    numbers: npt.NDArray[np.int64] | None = None
    presence: Mapping[str, npt.NDArray[np.floating]] = field(default_factory=dict)
    levels: Mapping[str, Rank] = field(default_factory=dict)
    identities: Mapping[str, tuple[Rank, Identity]] = field(default_factory=dict)


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
        on_query: called after each query of each method, queries numbered through all parts.

    Returns:
        One row per method, s, K and kind of queries of which there are any, and the recall of sources.
    """
    found, tally = Evaluation(), Tally()
    answers: dict[str, list[_Answers]] = {}
    tagged: dict[str, list[tuple[Labels, npt.NDArray[np.floating]]]] = {}
    clips: set[int] = set()
    asked = 0
    for part in parts:
        benchmark = part.benchmark
        numbers = np.arange(asked, asked + len(benchmark.queries)) if part.numbers is None else part.numbers
        clips.update(numbers.tolist())
        truth, halves = Truth.of(benchmark), benchmark.other is not None
        agreed = agreement(benchmark.queries.labels, benchmark.database.labels)
        shape = (len(benchmark.queries), min(max(K), benchmark.depth))
        best = {method: np.empty(shape, dtype=np.int64) for method in part.methods}
        for query in range(len(benchmark.queries)):
            among = benchmark.among(query)
            for method, rank in part.methods.items():
                # Equal scores in the order of the database, and the query itself nowhere.
                order = np.argsort(np.where(among, -rank(query), np.inf), kind="stable")[: shape[1]]
                best[method][query] = order
                if not halves:
                    _watch_kind(found, part, method, query, agreed[query], order[:TOP])
                if truth is not None:
                    _watch_source(found, part, method, query, truth, order[:TOP])
                    tally.add(method, int(numbers[query]), truth, query, order, among)
                on_query(method, asked + query)
        for method in () if halves else part.methods:
            answers.setdefault(method, []).append(_answers(benchmark, agreed, best[method], numbers))
        for method, tags in {} if halves else part.presence.items():
            tagged.setdefault(method, []).append((benchmark.queries.labels, tags))
        asked += len(benchmark.queries)
    rows = [row for method, given in answers.items() for row in _rows(method, given)]
    presence = {method: _presence(*map(np.concatenate, zip(*given, strict=True))) for method, given in tagged.items()}
    recalls, asked_of = list(tally.rows(interval)), list(tally.asked())
    return replace(found, rows=rows, recalls=recalls, asked=asked_of, queries=len(clips), presence=presence)


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


def _rows(method: str, given: list[_Answers]) -> Iterator[ScoreRow]:
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
            yield ScoreRow(method, s, k, name, float(values.mean()), *interval(values), alike)


def _presence(labels: Labels, tags: npt.NDArray[np.floating]) -> dict[str, float]:
    return {
        name: round(auc(tags[:, c], labels[:, c] == 1), 4)
        for c, name in enumerate(CATEGORIES)
        if 0 < int(labels[:, c].sum()) < len(labels)
    }


def _watch_kind(
    found: Evaluation, part: Part, method: str, query: int, agreed: npt.NDArray[np.int64], top: npt.NDArray[np.int64]
) -> None:
    calibration = part.calibrations.get(method)
    if calibration is None:
        return
    among = part.benchmark.among(query)
    scores = part.levels.get(method, part.methods[method])(query)
    for s in S:
        came, probability = agreed >= s, calibration.at_least(s)(scores)
        found.reliability.setdefault((method, s, "all"), Reliability()).add(probability[among], came[among])
        probability = calibration.at_least(s, match=True)(scores[top])
        found.reliability.setdefault((method, s, "top"), Reliability()).add(probability, came[top])


def _watch_source(
    found: Evaluation, part: Part, method: str, query: int, truth: Truth, top: npt.NDArray[np.int64]
) -> None:
    stated = part.identities.get(method)
    if stated is None:
        return
    cosines, identity = stated[0](query), stated[1]
    came, known = truth.same(query), truth.known(query)
    among = known & part.benchmark.among(query)
    found.sources.setdefault((method, "all"), Reliability()).add(identity.pair(cosines[among]), came[among])
    top = top[known[top]]
    found.sources.setdefault((method, "top"), Reliability()).add(identity.match(cosines[top]), came[top])


def _kinds(present: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks of queries by how many categories they have; `single` has exactly one, `multi` two or more."""
    return {"all": np.ones(len(present), dtype=np.bool_), "single": present == 1, "multi": present >= 2}

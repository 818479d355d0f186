from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model.calibration import Calibration, Curve
from hub.training.benchmark import Benchmark, by_chance, by_cosine
from hub.training.dataset import Dataset
from hub.training.evaluation import K, Part, S, ScoreRow, evaluate, evaluate_parts, interval
from hub.training.ranking_metrics import average_precision
from hub.training.reliability import Reliability
from shared.errors import InvalidError
from shared.feature_space import VGGISH


def dataset(labels: npt.NDArray[np.uint8], fine: npt.NDArray[np.uint8] | None = None) -> Dataset:
    """Each category lifts its own sixteen dimensions."""
    features = np.repeat(np.repeat(labels, 16, axis=1)[:, None, :], 10, axis=1) * 255
    return Dataset(VGGISH, features.astype(np.uint8), labels, np.full(len(labels), ""), fine)


def naive(
    queries: Dataset, database: Dataset, rank: Callable[[int], npt.NDArray[np.float32]], s: int, k: int
) -> float:
    """Equations (2) to (4), letter by letter."""
    total = 0.0
    for q, query in enumerate(queries.labels.tolist()):
        scores = rank(q).tolist()
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
        hits = [sum(a == b for a, b in zip(query, database.labels[i].tolist(), strict=True)) >= s for i in order]
        if any(hits):
            total += sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(hits)) if hits[i]) / sum(hits)
    return total / len(queries)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 130))
def test_evaluation_equals_the_papers_equations(seed: int, queries: int, clips: int) -> None:
    rng = np.random.default_rng(seed)
    made = [dataset((rng.random((n, 8)) < 0.2).astype(np.uint8)) for n in (queries, clips)]
    benchmark = Benchmark(made[0], made[1])
    scores = rng.integers(0, 9, (queries, clips)).astype(np.float32)
    rows = evaluate(benchmark, {"x": lambda query: scores[query]}).rows
    figures = {(row.s, row.K): row.map for row in rows if row.queries == "all"}
    assert set(figures) == {(s, k) for s in S for k in K}
    for (s, k), value in figures.items():
        assert abs(value - naive(made[0], made[1], lambda query: scores[query], s, k)) < 1e-12


def test_queries_are_distinguished_by_kind_and_finer_labels_are_compared() -> None:
    labels = np.zeros((3, 8), dtype=np.uint8)
    labels[0, 0] = labels[1, 1] = labels[2, 0] = labels[2, 1] = 1
    fine = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=np.uint8)
    benchmark = Benchmark(dataset(labels, fine), dataset(labels, fine))
    rows = evaluate(benchmark, {"cosine": by_cosine(benchmark)}).rows
    assert ScoreRow("cosine", 8, 1, "all", 1.0, 1.0, 1.0, 1.0) in rows
    assert {row.queries for row in rows} == {"all", "single", "multi"}
    assert len(rows) == 2 * 6 * 3
    two = np.array([0.1, 0.9, 0.0], dtype=np.float32)
    fixed = {(row.s, row.K, row.queries): row for row in evaluate(benchmark, {"fixed": lambda _query: two}).rows}
    assert fixed[8, 5, "single"].map == (1 / 2 + 1 / 1) / 2
    assert fixed[8, 1, "multi"].fine == 0.0
    assert fixed[8, 10, "multi"].fine == pytest.approx((0.0 + 1 / 2 + 1.0) / 3)
    assert fixed[8, 5, "all"].fine is None
    assert fixed[8, 5, "all"].low <= fixed[8, 5, "all"].map <= fixed[8, 5, "all"].high


def test_the_interval_is_the_spread_of_the_mean() -> None:
    values = np.random.default_rng(0).random(400)
    low, high = interval(values)
    spread = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.2 * spread)
    assert interval(np.ones(3)) == (1.0, 1.0)


def test_probabilities_are_held_against_what_came_true() -> None:
    labels = np.eye(8, dtype=np.uint8)
    benchmark = Benchmark(dataset(labels), dataset(labels))
    half, sure = Curve((0.0,), (0.5,)), Curve((0.0, 1.0), (0.0, 1.0))
    calibration = Calibration(half, sure, sure, half, (sure,) * 8, (sure,) * 8)
    truth = np.eye(8, dtype=np.float32)
    found = evaluate(benchmark, {"x": lambda query: truth[query]}, calibrations={"x": calibration})
    assert found.reliability["x", 8, "all"].error() == pytest.approx(0.5 - 1 / 8)
    assert found.reliability["x", 7, "top"].counts.sum() == 64
    # All pairs agree on six categories at least, a clip with itself on all; matches are judged by their own curve.
    assert found.reliability["x", 7, "top"].predicted.sum() == 32
    reported = found.document()["calibration"]
    assert {(entry["s"], entry["pairs"]) for entry in reported} == {(8, "all"), (8, "top"), (7, "all"), (7, "top")}
    assert reported[0]["bins"] == [{"pairs": 64, "said": 0.5, "came": 0.125}]


def test_calibration_error_by_hand() -> None:
    kept = Reliability()
    assert kept.error() == 0.0
    kept.add(np.array([0.0, 0.01, 1.0, 0.98]), np.array([False, True, True, False]))
    # The lowest bin predicted .005 on average and half came true, the highest predicted .99.
    assert kept.error() == pytest.approx((abs(0.01 - 1) + abs(1.98 - 1)) / 4)


def test_a_benchmark_can_be_shortened_evenly_and_needs_both_sides() -> None:
    data = dataset(np.eye(8, dtype=np.uint8))
    benchmark = Benchmark(data, data)
    assert benchmark.first(None) is benchmark.first(8) is benchmark
    assert benchmark.first(2).queries.labels.argmax(axis=1).tolist() == [0, 7]
    with pytest.raises(InvalidError):
        Benchmark(data.take(np.array([], dtype=np.int64)), data)


def test_chance_repeats_with_its_seed() -> None:
    data = dataset(np.eye(8, dtype=np.uint8))
    first, second = (by_chance(Benchmark(data, data), seed=4)(0) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_clip_that_is_asked_in_several_parts_counts_once_with_the_mean_of_its_answers() -> None:
    labels = np.eye(8, dtype=np.uint8)[:2]
    database = dataset(labels)
    right, wrong = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    first = Part(Benchmark(dataset(labels[:1]), database), {"x": lambda _: right}, numbers=np.array([4]))
    again = Part(Benchmark(dataset(labels[:1]), database), {"x": lambda _: wrong}, numbers=np.array([4]))
    other = Part(Benchmark(dataset(labels[1:]), database), {"x": lambda _: wrong}, numbers=np.array([7]))
    found = evaluate_parts([first, again, other])
    figures = {(row.s, row.K, row.queries): row.map for row in found.rows}
    assert found.queries == 2
    assert figures[8, 1, "all"] == pytest.approx(((1.0 + 0.0) / 2 + 1.0) / 2)
    assert figures[8, 5, "single"] == pytest.approx(((1.0 + 0.5) / 2 + 1.0) / 2)


def test_presence_is_reported_as_auc_of_categories_that_some_queries_have_and_some_not() -> None:
    labels = np.zeros((4, 8), dtype=np.uint8)
    labels[:2, 0] = 1
    labels[:, 1] = 1
    tagged = np.zeros((4, 8))
    tagged[:, 0] = [0.9, 0.2, 0.3, 0.1]
    benchmark = Benchmark(dataset(labels), dataset(labels))
    found = evaluate_parts([Part(benchmark, {"x": by_cosine(benchmark)}, presence={"x": tagged})])
    assert found.presence == {"x": {"engine": pytest.approx(3 / 4)}}
    assert found.document()["presence"] == found.presence


def test_curves_have_a_panel_per_s_and_kind_and_a_line_per_method() -> None:
    labels = np.eye(8, dtype=np.uint8)
    benchmark = Benchmark(dataset(labels), dataset(labels))
    panels = evaluate(benchmark, {"x": by_cosine(benchmark), "random": by_chance(benchmark, 0)}).curves()
    assert list(panels) == [f"s = {s}, {kind} queries" for s in S for kind in ("all", "single")]
    for panel in panels.values():
        assert set(panel) == {"x", "random"}
        assert [point[0] for point in panel["x"]] == list(K)
        assert all(low <= value <= high for _, value, low, high in panel["random"])


def made_up(seed: int, queries: int, clips: int = 9) -> tuple[Dataset, Dataset, npt.NDArray[np.float32]]:
    """Queries and database with finer labels, and scores with ties."""
    rng = np.random.default_rng(seed)
    sides = [
        dataset((rng.random((n, 8)) < 0.2).astype(np.uint8), rng.integers(0, 2, (n, 3), dtype=np.uint8))
        for n in (queries, clips)
    ]
    return sides[0], sides[1], rng.integers(0, 5, (queries, clips)).astype(np.float32)


def part(
    asked: npt.NDArray[np.int64],
    queries: Dataset,
    database: Dataset,
    scores: npt.NDArray[np.float32],
    numbers: npt.NDArray[np.int64] | None = None,
) -> Part:
    return Part(Benchmark(queries.take(asked), database), {"x": lambda query: scores[asked[query]]}, numbers=numbers)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 9), st.data())
def test_one_benchmark_in_parts_has_the_figures_of_the_whole(seed: int, count: int, draw: st.DataObject) -> None:
    queries, database, scores = made_up(seed, count)
    cut = draw.draw(st.integers(1, count - 1))
    reported: list[tuple[str, int]] = []
    everyone = np.arange(count)
    whole = evaluate_parts([part(everyone, queries, database, scores)])
    parts = [part(asked, queries, database, scores) for asked in (everyone[:cut], everyone[cut:])]
    found = evaluate_parts(parts, on_query=lambda method, query: reported.append((method, query)))
    assert found.rows == whole.rows
    assert found.queries == whole.queries == count
    assert reported == [("x", query) for query in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=4))
def test_clips_count_once_however_often_and_in_which_order_they_are_asked(seed: int, asked: list[list[int]]) -> None:
    queries, database, _ = made_up(seed, 6)
    rng = np.random.default_rng(seed)
    answers: dict[int, list[npt.NDArray[np.int64]]] = {}
    parts = []
    for clips in asked:
        scores = rng.permuted(np.tile(np.arange(9, dtype=np.float32), (6, 1)), axis=1)
        parts.append(part(np.array(clips), queries, database, scores, numbers=100 - 7 * np.array(clips)))
        agreed = (queries.labels[:, None] == database.labels[None]).sum(axis=2)
        for clip in clips:
            answers.setdefault(clip, []).append(agreed[clip][np.argsort(-scores[clip])])
    found, backwards = evaluate_parts(parts), evaluate_parts(parts[::-1])
    assert found.queries == backwards.queries == len(answers)
    figures = {(row.s, row.K): row for row in found.rows if row.queries == "all"}
    for (s, k), row in figures.items():
        values = [float(average_precision(np.array(answers[clip]), s, k).mean()) for clip in sorted(answers)[::-1]]
        assert row.map == pytest.approx(np.mean(values))
        assert (row.low, row.high) == pytest.approx(interval(np.array(values)))
    for one, other in zip(found.rows, backwards.rows, strict=True):
        assert (one.s, one.K, one.queries) == (other.s, other.K, other.queries)
        assert (one.map, one.low, one.high, one.fine) == pytest.approx((other.map, other.low, other.high, other.fine))


def test_finer_labels_are_averaged_per_clip_and_only_reported_if_all_parts_have_them() -> None:
    labels = np.zeros((2, 8), dtype=np.uint8)
    queries = dataset(labels, np.array([[1, 0], [1, 1]], dtype=np.uint8))
    database = dataset(labels, np.array([[1, 0], [0, 1]], dtype=np.uint8))
    right, wrong = np.array([[1, 0], [1, 0]], np.float32), np.array([[0, 1], [0, 1]], np.float32)
    both, first = np.array([0, 1]), np.array([0])
    parts = [
        part(both, queries, database, right, numbers=both),
        part(first, queries, database, wrong, numbers=first),
    ]
    (fine,) = {row.fine for row in evaluate_parts(parts).rows if row.K == 1}
    # The first clip met its like once in two, the second shares one of two labels with its first match.
    assert fine == pytest.approx(((1.0 + 0.0) / 2 + 1 / 2) / 2)
    plain = part(first, dataset(labels), dataset(labels), right, numbers=first)
    assert {row.fine for row in evaluate_parts([*parts, plain]).rows} == {None}


def test_categories_are_reported_over_the_queries_of_all_parts_together() -> None:
    labels = np.zeros((4, 8), dtype=np.uint8)
    labels[[0, 2], 0] = 1
    labels[:2, 1] = 1
    tagged = np.zeros((4, 8))
    tagged[:, 0] = [0.2, 0.1, 0.9, 0.8]
    tagged[:, 1] = [0.6, 0.7, 0.3, 0.6]
    parts = []
    for asked in (np.array([0, 1]), np.array([2, 3])):
        plain = part(asked, dataset(labels), dataset(labels), np.zeros((4, 4), np.float32))
        parts.append(Part(plain.benchmark, plain.methods, presence={"x": tagged[asked]}))
    # Each part alone detects engines perfectly, and has no figure of the second category, which is constant in it.
    assert evaluate_parts(parts).presence == {"x": {"engine": 3 / 4, "machinery-impact": 3.5 / 4}}
    assert "presence" not in evaluate_parts([part(np.arange(4), *made_up(0, 4))]).document()


def test_probabilities_of_all_parts_are_held_together_against_what_came_true() -> None:
    half, sure = Curve((0.0,), (0.5,)), Curve((0.0, 1.0), (0.0, 1.0))
    calibration = Calibration(half, sure, sure, half, (sure,) * 8, (sure,) * 8)
    queries, database, scores = made_up(3, 5)
    parts = []
    for asked in (np.array([0, 1]), np.array([2, 3, 4])):
        plain = part(asked, queries, database, scores)
        parts.append(Part(plain.benchmark, plain.methods, {"x": calibration}))
    whole = part(np.arange(5), queries, database, scores)
    found = evaluate_parts(parts).document()["calibration"]
    assert (
        found == evaluate(whole.benchmark, whole.methods, calibrations={"x": calibration}).document()["calibration"]
    )
    assert {entry["pairs"] for entry in found} == {"all", "top"}
    assert sum(entry["pairs"] for entry in found[0]["bins"]) == 5 * 9

"""How often the same source is found again, and which queries are left out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model.calibration import Curve
from hub.training.benchmark import Benchmark
from hub.training.compared_methods import part_of
from hub.training.evaluation import Evaluation, Part, evaluate_parts, interval
from hub.training.source_recall import Asked, K
from shared.errors import InvalidError
from tests.hub.training.toys import TOY, checkpoint, clips, identity

NAMES = st.lists(st.sampled_from(["", "saw", "dog", "fan"]), min_size=1, max_size=14)


def naive(
    queries: list[str], database: list[str], scores: npt.NDArray[np.float32], own: list[int] | None
) -> tuple[dict[int, list[float]], int, int]:
    """Letter by letter: hits by K of queries that are asked, how many are alone, and how many of unknown source."""
    hits: dict[int, list[float]] = {k: [] for k in K}
    alone = unknown = 0
    for query, source in enumerate(queries):
        rows = [row for row in range(len(database)) if own is None or row != own[query]]
        if not source:
            unknown += 1
        elif all(database[row] != source for row in rows):
            alone += 1
        else:
            best = sorted(rows, key=lambda row: (-scores[query, row], row))
            for k in K:
                hits[k].append(float(any(database[row] == source for row in best[:k])))
    return hits, alone, unknown


def figures(found: Evaluation) -> dict[int, float]:
    return {row.K: row.recall for row in found.recalls}


@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES, st.integers(0, 2**32))
def test_recall_equals_its_definition(queries: list[str], database: list[str], seed: int) -> None:
    benchmark = Benchmark(clips(queries), clips(database))
    scores = np.random.default_rng(seed).integers(0, 4, (len(queries), len(database))).astype(np.float32)
    found = evaluate_parts([Part(benchmark, {"x": lambda query: scores[query]})])
    hits, alone, unknown = naive(queries, database, scores, None)
    assert found.asked == [Asked("same-source", len(hits[1]), alone, unknown)]
    assert figures(found) == ({k: float(np.mean(hit)) for k, hit in hits.items()} if hits[1] else {})
    for row in found.recalls:
        assert (row.low, row.high) == interval(np.array(hits[row.K]))
        assert (row.method, row.measure) == ("x", "same-source")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["", "saw", "dog"]), min_size=2, max_size=14), st.integers(0, 2**32))
def test_a_clip_that_is_searched_for_among_the_others_never_finds_itself(names: list[str], seed: int) -> None:
    data = clips(names)
    own = np.arange(len(names))
    scores = np.random.default_rng(seed).random((len(names), len(names)), dtype=np.float32)
    scores[own, own] = 2.0
    found = evaluate_parts([Part(Benchmark(data, data, own=own), {"x": lambda query: scores[query]})])
    hits, alone, unknown = naive(names, names, scores, own.tolist())
    assert found.asked == [Asked("same-source", len(hits[1]), alone, unknown)]
    assert figures(found) == ({k: float(np.mean(hit)) for k, hit in hits.items()} if hits[1] else {})
    agreed = (data.labels[:, None] == data.labels[None]).sum(axis=2)
    first = np.where(own[:, None] == own[None], -1.0, scores).argmax(axis=1)
    (row,) = [row for row in found.rows if (row.s, row.K, row.queries) == (8, 1, "all")]
    assert row.map == pytest.approx(np.mean(agreed[own, first] == 8))


def test_one_clip_alone_has_no_others() -> None:
    with pytest.raises(InvalidError, match="one clip alone"):
        Benchmark(clips(["saw"]), clips(["saw"]), own=np.array([0]))


def test_without_a_column_of_sources_nothing_is_reported_of_them() -> None:
    data = replace(clips(["saw", "dog"]), sources=None)
    found = evaluate_parts([Part(Benchmark(data, data), {"x": lambda _query: np.zeros(2, np.float32)})])
    assert (found.recalls, found.asked, found.sources) == ([], [], {})
    assert "asked" not in found.document()
    assert {"measure"} & {key for row in found.document()["results"] for key in row} == set()


def test_the_queries_left_out_are_stated_with_their_counts() -> None:
    queries, database = clips(["saw", "saw", "fan", ""]), clips(["saw", "dog", "", ""])
    scores = np.array([0.0, 3.0, 2.0, 1.0], np.float32)
    document = evaluate_parts([Part(Benchmark(queries, database), {"x": lambda _query: scores})]).document()
    assert document["asked"] == [
        {"measure": "same-source", "queries": 2, "left_out": {"source_nowhere_else": 1, "source_unknown": 1}}
    ]
    rows = [row for row in document["results"] if row.get("measure") == "same-source"]
    assert [(row["method"], row["K"], row["recall"]) for row in rows] == [("x", 1, 0.0), ("x", 10, 1.0)]


def test_a_clip_that_is_asked_in_several_parts_counts_once_with_the_mean_of_its_answers() -> None:
    database = clips(["saw", "dog"])
    right, wrong = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    parts = [
        Part(Benchmark(clips(["saw"]), database), {"x": lambda _: right}, numbers=np.array([4])),
        Part(Benchmark(clips(["saw"]), database), {"x": lambda _: wrong}, numbers=np.array([4])),
        # Alone in this part, but not in the next.
        Part(Benchmark(clips(["dog"]), clips(["saw"])), {"x": lambda _: right[:1]}, numbers=np.array([7])),
        Part(Benchmark(clips(["dog"]), database), {"x": lambda _: wrong}, numbers=np.array([7])),
        Part(Benchmark(clips(["fan"]), database), {"x": lambda _: wrong}, numbers=np.array([8])),
    ]
    found = evaluate_parts(parts)
    assert figures(found)[1] == pytest.approx((0.5 + 1.0) / 2)
    assert found.asked == [Asked("same-source", 2, 1, 0)]


def halves(names: list[str]) -> Benchmark:
    first, second = clips(names, seed=1), clips(names, seed=2)
    return Benchmark(first, second, other=np.arange(len(names)))


def test_the_other_half_is_another_measure_and_has_no_figures_of_kinds() -> None:
    benchmark = halves(["saw", "saw", "dog"])
    scores = np.array([[1, 2, 0], [0, 1, 2], [0, 1, 2]], np.float32)
    found = evaluate_parts([Part(benchmark, {"x": lambda query: scores[query]}, presence={"x": np.zeros((3, 8))})])
    assert [(row.measure, row.K, row.recall) for row in found.recalls] == [
        ("other-half", 1, pytest.approx(1 / 3)),
        ("other-half", 10, 1.0),
    ]
    assert found.rows == []
    assert found.presence == {}
    assert found.asked == [Asked("other-half", 3, 0, 0)]
    some = benchmark.first(2)
    assert some.other is not None
    assert some.other.tolist() == [0, 1]
    np.testing.assert_array_equal(some.database.features, benchmark.database.features[[0, 2]])


def test_checkpoints_rank_by_both_by_kind_and_by_source() -> None:
    names = [f"voice-{number}" for number in range(9)]
    benchmark = halves(names)
    known = checkpoint(known=identity(weight=0.5))
    part = part_of(benchmark, {}, {"mine": known})
    assert list(part.methods) == ["mine", "mine-kind", "mine-source"]
    ranks = {name: np.stack([rank(query) for query in range(9)]) for name, rank in part.methods.items()}
    worth = 0.5 * np.maximum(ranks["mine-source"], 0.0)
    np.testing.assert_allclose(ranks["mine"], ranks["mine-kind"] + worth, atol=1e-5)
    with torch.inference_mode():
        own, theirs = (
            known.identity.network(torch.from_numpy(TOY.dequantise(data.features))).numpy()
            for data in (benchmark.queries, benchmark.database)
            if known.identity
        )
    np.testing.assert_allclose(ranks["mine-source"], own @ theirs.T, atol=0.01)
    found = {(row.method, row.K): row.recall for row in evaluate_parts([part]).recalls}
    assert found["mine-source", 1] == 1.0
    assert found["mine-kind", 1] < 1.0


def test_a_checkpoint_without_an_identity_ranks_by_both_as_by_kind() -> None:
    plain = checkpoint()
    part = part_of(halves(["saw", "dog"]), {}, {"mine": plain})
    assert list(part.methods) == ["mine", "mine-kind"]
    for query in range(2):
        np.testing.assert_array_equal(part.methods["mine"](query), part.methods["mine-kind"](query))
    assert part.identities == {}
    assert part.calibrations == {"mine": plain.calibration}


def test_probabilities_of_the_same_source_are_held_against_what_came_true() -> None:
    half, sure = Curve((0.0,), (0.5,)), Curve((-1.0, 1.0), (0.0, 1.0))
    known = replace(identity(), pair=half, match=sure)
    queries, database = clips(["saw", "fan", ""]), clips(["saw", "dog", ""])
    found = evaluate_parts([part_of(Benchmark(queries, database), {}, {"mine": checkpoint(known=known)})])
    # Two queries and two clips are of known source, one of these four pairs is of one source.
    assert {key: kept.counts.sum() for key, kept in found.sources.items()} == {
        (method, pairs): 4 for method in ("mine", "mine-source") for pairs in ("all", "top")
    }
    assert found.sources["mine", "all"].error() == pytest.approx(0.5 - 1 / 4)
    assert found.sources["mine", "all"].came.sum() == 1
    assert found.sources["mine", "top"].predicted.sum() != 2.0, "matches are judged by a curve of their own"
    reported = [entry for entry in found.document()["calibration"] if "measure" in entry]
    assert {(entry["method"], entry["measure"], entry["pairs"]) for entry in reported} == {
        (method, "same-source", pairs) for method in ("mine", "mine-source") for pairs in ("all", "top")
    }


def test_levels_are_calibrated_by_what_ranks_by_kind_whatever_else_is_added() -> None:
    data, line = clips(["saw", "dog", "fan"]), Curve((0.0, 8.0), (0.0, 1.0))
    known = checkpoint(known=identity(weight=100.0))
    found = evaluate_parts([part_of(Benchmark(data, data), {}, {"mine": known})])
    by_kind, by_both = (found.reliability[name, 8, "all"] for name in ("mine-kind", "mine"))
    np.testing.assert_array_equal(by_kind.predicted, by_both.predicted)
    assert by_both.predicted.sum() < 9 * line(np.array([8.0]))[0]

"""Classes from a few examples: what is drawn, and what the nearest of it predicts."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.training.few_shot import (
    Accuracy,
    Classes,
    best_matches,
    few_shot,
    nearest_example,
    nearest_mean,
)
from shared.errors import InvalidError

FOLDS = ("fold-1", "fold-2", "fold-3")


def grid(each: int, names: tuple[str, ...] = ("dog", "rain", "saw")) -> Classes:
    """A number of clips of each class in each of three folds."""
    rows = [(name, fold) for name in names for fold in FOLDS for _ in range(each)]
    return Classes(np.array([name for name, _ in rows]), np.array([fold for _, fold in rows]))


def units(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


@given(st.integers(1, 4), st.integers(1, 8), st.sampled_from(FOLDS), st.integers(0, 99))
def test_examples_are_different_clips_of_their_class_from_other_folds(
    each: int, examples: int, fold: str, seed: int
) -> None:
    classes = grid(each)
    rng = np.random.default_rng(seed)
    if examples > 2 * each:
        with pytest.raises(InvalidError, match=f"{2 * each} clips outside {fold}"):
            classes.draw(fold, examples, rng)
        return
    rows = classes.draw(fold, examples, rng)
    assert rows.shape == (3, examples)
    for number, name in enumerate(("dog", "rain", "saw")):
        assert set(classes.names[rows[number]].tolist()) == {name}
        assert len(set(rows[number].tolist())) == examples
    assert fold not in classes.folds[rows]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32))
def test_the_nearest_is_found_as_by_looking_at_each(count: int, examples: int, queries: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, drawn = units(rng.normal(size=(queries, 6))), units(rng.normal(size=(count, examples, 6)))
    for query in range(queries):
        means = [np.mean([drawn[c, m] for m in range(examples)], axis=0) for c in range(count)]
        cosines = [asked[query] @ mean / np.linalg.norm(mean) for mean in means]
        assert nearest_mean(asked, drawn)[query] == int(np.argmax(cosines))
        best = [max(float(asked[query] @ drawn[c, m]) for m in range(examples)) for c in range(count)]
        assert nearest_example(asked, drawn)[query] == int(np.argmax(best))


def test_vectors_that_distinguish_classes_recognise_all_and_others_as_many_as_chance() -> None:
    classes = grid(5)
    reported = units(np.eye(3)[classes.numbers] + 0.01)
    blind = units(np.random.default_rng(0).normal(size=(45, 8)))
    found = {
        (row.method, row.rule, row.examples, row.fold): row
        for row in few_shot(classes, {"labelled": reported, "blind": blind}, draws=20)
    }
    assert len(found) == 2 * 2 * 3 * 4
    for rule in ("nearest-mean", "nearest-example"):
        for examples in (1, 3, 5):
            perfect = found["labelled", rule, examples, "all"]
            assert (perfect.accuracy, perfect.low, perfect.high) == pytest.approx((1.0, 1.0, 1.0))
            assert found["blind", rule, examples, "all"].accuracy == pytest.approx(1 / 3, abs=0.15)
            by_fold = [found["blind", rule, examples, fold].accuracy for fold in FOLDS]
            assert np.mean(by_fold) == pytest.approx(found["blind", rule, examples, "all"].accuracy)


def test_the_same_seed_draws_the_same_examples_whatever_else_is_measured() -> None:
    classes = grid(4)
    vectors = units(np.random.default_rng(1).normal(size=(36, 8)))
    alone = list(few_shot(classes, {"x": vectors}, draws=3, seed=5))
    beside = [row for row in few_shot(classes, {"y": vectors, "x": vectors}, draws=3, seed=5) if row.method == "x"]
    assert alone == beside
    assert alone != list(few_shot(classes, {"x": vectors}, draws=3, seed=6))


def test_the_best_match_is_of_another_fold() -> None:
    classes = Classes(np.array(["dog", "dog", "rain", "rain"]), np.array(["fold-1", "fold-1", "fold-2", "fold-1"]))
    scores = np.array([[9, 8, 1, 8], [8, 9, 1, 8], [1, 2, 9, 3], [9, 9, 1, 9]], np.float32)
    found = {row.fold: row for row in best_matches(classes, {"x": scores})}
    assert found["fold-1"].accuracy == pytest.approx(1 / 3)
    assert found["fold-2"].accuracy == 1.0
    assert found["all"].accuracy == 0.5
    assert found["all"].document() == {
        "method": "x",
        "measure": "same-class",
        "K": 1,
        "fold": "all",
        "accuracy": 0.5,
        "low": pytest.approx(0.0, abs=0.1),
        "high": pytest.approx(1.0, abs=0.1),
    }


def test_a_figure_states_what_it_is_of() -> None:
    row = Accuracy("x", "nearest-mean", 3, "fold-5", 0.12345, 0.1, 0.2)
    assert row.document() == {
        "method": "x",
        "measure": "few-shot",
        "rule": "nearest-mean",
        "examples": 3,
        "fold": "fold-5",
        "accuracy": 0.1234 if round(0.12345, 4) == 0.1234 else 0.1235,
        "low": 0.1,
        "high": 0.2,
    }


@pytest.mark.parametrize(("names", "folds"), [(["a", "a"], ["1", "2"]), (["a", "b"], ["1", "1"]), ([], [])])
def test_one_class_or_one_fold_is_refused(names: list[str], folds: list[str]) -> None:
    with pytest.raises(InvalidError, match="two classes and two folds"):
        Classes(np.array(names, dtype=np.str_), np.array(folds, dtype=np.str_))

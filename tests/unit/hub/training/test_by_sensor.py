"""Sensors in folds: nobody is asked about a sensor it has learnt."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.checkpoint import Checkpoint
from hub.model.tagged import TaggedConfig, TaggedNetwork
from hub.training.by_sensor import FOLDS, Heard, between, folds, over_folds
from hub.training.dataset import Dataset
from hub.training.evaluate import evaluate_parts
from shared.errors import Invalid
from shared.space import SMALL


def clips(groups: list[str]) -> Dataset:
    rng = np.random.default_rng(0)
    labels = (rng.random((len(groups), 8)) < 0.4).astype(np.uint8)
    features = np.clip(
        np.repeat(labels, 16, axis=1)[:, None] * 90 + rng.integers(0, 90, (len(groups), 10, 128)), 0, 255
    )
    return Dataset(SMALL, features.astype(np.uint8), labels, np.array(groups))


@given(st.lists(st.integers(0, 40), min_size=4, max_size=80), st.integers(0, 9))
def test_each_sensor_is_in_one_fold_and_folds_are_of_a_size(sensors: list[int], seed: int) -> None:
    groups = [f"sensor-{number}" for number in sensors] + ["fold-1", ""]
    named = sorted({f"sensor-{number}" for number in sensors})
    data = clips(groups)
    if len(named) < FOLDS:
        with pytest.raises(Invalid, match="cannot be divided into 4 parts"):
            folds(data, seed)
        return
    found = folds(data, seed)
    assert sorted(sensor for fold in found for sensor in fold) == named
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert found == folds(data, seed)


def test_divisions_differ() -> None:
    data = clips([f"sensor-{number}" for number in range(12)])
    assert len({str(folds(data, seed)) for seed in range(5)}) == 5


@pytest.fixture
def network() -> Checkpoint:
    return Checkpoint(TaggedNetwork(TaggedConfig(*SMALL.shape, trunk=(8,))).eval().requires_grad_(False), SMALL, {})


def test_what_is_fitted_never_learnt_a_sensor_that_is_searched_by(network: Checkpoint) -> None:
    ours = clips([f"sensor-{number % 6}" for number in range(36)])
    asked: list[set[str]] = []
    learnt: list[set[str]] = []

    def fit(data: Dataset) -> Checkpoint:
        learnt.append(set(data.groups.tolist()))
        return network

    def watched() -> Iterator[object]:
        for part in over_folds(Heard(ours, {"other": ours}), fit, divisions=2):
            asked.append(set(part.benchmark.queries.groups.tolist()))
            assert set(part.benchmark.database.groups.tolist()) == learnt[-1]
            assert part.numbers is not None
            np.testing.assert_array_equal(ours.groups[part.numbers], part.benchmark.queries.groups)
            yield part

    found = evaluate_parts(watched())  # type: ignore[arg-type]
    assert len(asked) == len(learnt) == 2 * FOLDS
    assert all(not one & other for one, other in zip(asked, learnt, strict=True))
    assert found.queries == 36, "each clip counts once, though it is asked in two divisions"
    assert {row.method for row in found.rows} == {"random", "other", "linear", "shipped"}
    assert set(found.presence) == {"other", "linear", "shipped"}


def test_two_folders_are_compared_with_networks_as_they_are(network: Checkpoint) -> None:
    queries, database = clips(["sensor-1"] * 9), clips(["sensor-2"] * 20)
    part = between(Heard(queries, {}), Heard(database, {}), {"mine": network})
    assert set(part.methods) == {"random", "linear", "mine"}
    assert part.numbers is None
    assert all(rank(3).shape == (20,) for rank in part.methods.values())

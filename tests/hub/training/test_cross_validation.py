"""Sensors in folds: no network is asked about a sensor that it was trained on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.model.calibration import Calibration, Curve
from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.cross_validation import FOLDS, EmbeddedDataset, between, embed_dataset, folds, over_folds
from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader
from hub.training.evaluation import evaluate_parts
from hub.training.linear_probe import LinearProbe
from shared.backbones import register_backbone
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace
from shared.taxonomy import CATEGORIES
from tests.backbone_factory import write_backbone

TOY = FeatureSpace("toy/1", frames=3, dimension=8, low=-1.0, high=1.0)


def clips(groups: list[str]) -> Dataset:
    rng = np.random.default_rng(0)
    labels = (rng.random((len(groups), 8)) < 0.4).astype(np.uint8)
    features = np.clip(
        np.repeat(labels, 16, axis=1)[:, None] * 90 + rng.integers(0, 90, (len(groups), 10, 128)), 0, 255
    )
    return Dataset(EARWITNESS_SMALL, features.astype(np.uint8), labels, np.array(groups))


@given(st.lists(st.integers(0, 40), min_size=4, max_size=80), st.integers(0, 9))
def test_each_sensor_is_in_one_fold_and_folds_are_of_a_size(sensors: list[int], seed: int) -> None:
    groups = [f"sensor-{number}" for number in sensors] + ["fold-1", ""]
    named = sorted({f"sensor-{number}" for number in sensors})
    data = clips(groups)
    if len(named) < FOLDS:
        with pytest.raises(InvalidError, match="cannot be divided into 4 parts"):
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
    return Checkpoint(
        TaggingEnsemble(TaggedConfig(*EARWITNESS_SMALL.shape, trunk=(8,))).eval().requires_grad_(False),
        EARWITNESS_SMALL,
        {},
    )


def test_what_is_fitted_is_not_trained_on_a_sensor_that_is_searched_by(network: Checkpoint) -> None:
    ours = clips([f"sensor-{number % 6}" for number in range(36)])
    asked: list[set[str]] = []
    learned: list[set[str]] = []

    def fit(data: Dataset) -> Checkpoint:
        learned.append(set(data.groups.tolist()))
        return network

    def watched() -> Iterator[object]:
        for part in over_folds(EmbeddedDataset(ours, {"other": ours}), fit, divisions=2):
            asked.append(set(part.benchmark.queries.groups.tolist()))
            assert set(part.benchmark.database.groups.tolist()) == learned[-1]
            assert part.numbers is not None
            np.testing.assert_array_equal(ours.groups[part.numbers], part.benchmark.queries.groups)
            yield part

    found = evaluate_parts(watched())  # type: ignore[arg-type]
    assert len(asked) == len(learned) == 2 * FOLDS
    assert all(not one & other for one, other in zip(asked, learned, strict=True))
    assert found.queries == 36, "each clip counts once, though it is asked in two divisions"
    assert {row.method for row in found.rows} == {"random", "cosine", "other", "linear", "shipped", "shipped-kind"}
    assert set(found.presence) == {"other", "linear", "shipped"}


def test_two_folders_are_compared_with_networks_as_they_are(network: Checkpoint) -> None:
    queries, database = clips(["sensor-1"] * 9), clips(["sensor-2"] * 20)
    part = between(EmbeddedDataset(queries, {}), EmbeddedDataset(database, {}), {"mine": network})
    assert set(part.methods) == {"random", "cosine", "linear", "mine", "mine-kind"}
    assert part.numbers is None
    assert all(rank(3).shape == (20,) for rank in part.methods.values())


def toy(groups: list[str], seed: int = 0) -> Dataset:
    """Few values, so that yardsticks learn fast."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((len(groups), 8)) < 0.4).astype(np.uint8)
    features = labels[:, None] * 90 + rng.integers(0, 90, (len(groups), *TOY.shape))
    return Dataset(TOY, features.astype(np.uint8), labels, np.array(groups))


def toy_network(seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    network = TaggingEnsemble(TaggedConfig(*TOY.shape, trunk=(8,))).eval().requires_grad_(False)
    return Checkpoint(network, TOY, {})


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=12).map(lambda more: [0, 1, 2, 3, *more]),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_each_clip_of_a_sensor_asks_once_per_division_and_others_only_answer(
    sensors: list[int], divisions: int, seed: int
) -> None:
    data = toy(["", *(f"sensor-{number}" for number in sensors), "fold-1"])
    learned: list[Dataset] = []

    def fit(clips: Dataset) -> Checkpoint:
        learned.append(clips)
        return toy_network()

    parts = list(over_folds(EmbeddedDataset(data, {}), fit, name="mine", seed=seed, divisions=divisions))
    assert len(parts) == len(learned) == FOLDS * divisions
    asked = np.concatenate([part.numbers for part in parts if part.numbers is not None])
    times = np.bincount(asked, minlength=len(data))
    assert times.tolist() == [0, *[divisions] * len(sensors), 0]
    for part, clips in zip(parts, learned, strict=True):
        assert not set(clips.groups.tolist()) & set(part.benchmark.queries.groups.tolist())
        assert {"", "fold-1"} <= set(clips.groups.tolist())
        np.testing.assert_array_equal(clips.features, part.benchmark.database.features)
        assert len(part.benchmark.queries) + len(clips) == len(data)
        assert set(part.methods) == {"random", "cosine", "linear", "mine", "mine-kind"}


def test_divisions_begin_with_the_seed_and_go_on_with_the_next() -> None:
    received = EmbeddedDataset(toy([f"sensor-{number}" for number in range(10)]), {})

    def asked(seed: int, divisions: int) -> list[set[str]]:
        parts = over_folds(received, lambda _: toy_network(), seed=seed, divisions=divisions)
        return [set(part.benchmark.queries.groups.tolist()) for part in parts]

    assert asked(3, 2) == asked(3, 1) + asked(4, 1)
    assert asked(3, 1) != asked(4, 1)


def test_the_same_seed_gives_the_same_figures_and_another_another_chance() -> None:
    received = EmbeddedDataset(toy([f"sensor-{number % 5}" for number in range(30)]), {})
    first, again, other = (
        evaluate_parts(over_folds(received, lambda _: toy_network(), seed=seed)).document() for seed in (1, 1, 2)
    )
    assert first == again
    chance = [[row for row in found["results"] if row["method"] == "random"] for found in (first, other)]
    assert chance[0] != chance[1]


def test_yardsticks_learn_the_database_and_tag_the_queries_in_their_own_space() -> None:
    queries, database = toy(["sensor-1"] * 7, 1), toy(["sensor-2"] * 20, 2)
    others = (Dataset(TOY, 255 - data.features, data.labels, data.groups) for data in (queries, database))
    turned, learned = others
    part = between(
        EmbeddedDataset(queries, {"turned": turned}),
        EmbeddedDataset(database, {"turned": learned}),
        {"mine": toy_network()},
    )
    np.testing.assert_array_equal(part.presence["linear"], LinearProbe.of(database).tags(queries))
    np.testing.assert_array_equal(part.presence["turned"], LinearProbe.of(learned).tags(turned))
    assert part.presence["mine"].shape == (7, 8)
    assert "random" not in part.presence


def test_only_networks_that_are_calibrated_are_held_to_what_they_state() -> None:
    sure = Curve((0.0, 8.0), (0.0, 1.0))
    calibration = Calibration(sure, sure, sure, sure, (sure,) * 8, (sure,) * 8)
    networks = {"plain": toy_network(), "calibrated": replace(toy_network(1), calibration=calibration)}
    part = between(EmbeddedDataset(toy(["a"] * 5), {}), EmbeddedDataset(toy(["b"] * 9, 1), {}), networks)
    assert part.calibrations == {"calibrated": calibration}


def test_networks_of_another_space_and_folders_without_clips_are_refused() -> None:
    some, none = EmbeddedDataset(toy(["a"] * 5), {}), EmbeddedDataset(toy([]), {})
    small = TaggingEnsemble(TaggedConfig(*VGGISH.shape, trunk=(8,))).eval()
    with pytest.raises(InvalidError, match="cannot rank toy/1"):
        between(some, some, {"mine": Checkpoint(small, VGGISH, {})})
    for queries, database in ((some, none), (none, some)):
        with pytest.raises(InvalidError, match="needs queries and a database"):
            between(queries, database, {})


def test_recordings_are_embedded_in_all_spaces_clip_by_clip(tmp_path: Path) -> None:
    rows = [",".join(["clip", "sensor_id", *CATEGORIES])]
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.sin(np.arange(8_000) / (number + 3)), 8_000)
        rows.append(f"{number}.wav,{number}," + ",".join("01"[number == c] for c in range(8)))
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    brought = register_backbone(write_backbone(tmp_path, "by-sensor")).space
    received = embed_dataset(tmp_path, DatasetReader(brought.id), {"logmel": DatasetReader(LOGMEL.id)})
    assert received.ours.space == brought
    assert received.others["logmel"].space == LOGMEL
    last = received.take(np.array([False, False, True]))
    for data in (last.ours, last.others["logmel"]):
        assert data.groups.tolist() == ["sensor-2"]
        assert data.labels.tolist() == [[0, 0, 1, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(last.others["logmel"].features[0], received.others["logmel"].features[2])
    (tmp_path / "0.wav").unlink()
    with pytest.raises(UnavailableError, match=r"0\.wav"):
        embed_dataset(tmp_path, DatasetReader(brought.id), {})

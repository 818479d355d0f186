"""Recipes: what a feature space and the data at hand make of an order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hub.model.checkpoint import Checkpoint, default_checkpoint, load
from hub.model.tagger import TaggingEnsemble
from hub.training import recipes
from hub.training.dataset import Dataset
from hub.training.datasets import DatasetReader
from hub.training.datasets.feature_file import save_features
from hub.training.datasets.synthetic import synthesise
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace


def clips(
    count: int, groups: list[str] | None = None, *, space: FeatureSpace = EARWITNESS_SMALL, fine: int = 0
) -> Dataset:
    """Each category lifts its own sixteen values."""
    rng = np.random.default_rng(count)
    labels = (rng.random((count, 8)) < 0.4).astype(np.uint8)
    features = np.repeat(labels, 16, axis=1)[:, None] * 90 + rng.integers(0, 90, (count, *space.shape))
    finer = rng.integers(0, 2, (count, fine), dtype=np.uint8) if fine else None
    names = np.array([""] * count if groups is None else groups, dtype=np.str_)
    return Dataset(space, features.astype(np.uint8), labels, names, finer)


def trained(data: Dataset, order: recipes.TrainingSpec, aside: Dataset | None = None) -> Checkpoint:
    def ignore(*_: object) -> None: ...

    nothing = data.take(np.array([], dtype=np.int64))
    return recipes.run_training(data, nothing if aside is None else aside, order, on_epoch=ignore, on_step=ignore)


def started() -> Checkpoint:
    start = recipes.default_initialisation(EARWITNESS_SMALL.id, recipes.TAGGED)
    assert start is not None
    return start


def distance(one: Checkpoint, other: Checkpoint) -> float:
    weights = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return sum(float((a - b).square().sum()) for a, b in weights)


def test_a_network_with_a_start_is_trained_by_the_plan_for_it_and_stays_nearer_to_it() -> None:
    data = clips(48, fine=521)
    near = trained(data, recipes.TrainingSpec(recipes.TAGGED, 2, epochs=1, start=started()))
    far = trained(data, recipes.TrainingSpec(recipes.TAGGED, 2, epochs=1))
    assert (near.record["plan"]["pretrain"]["epochs"], near.record["plan"]["tune"]["epochs"]) == (0, 1)
    assert near.record["plan"]["kept"] == recipes.STARTED_PLAN.kept > 0
    assert near.record["plan"]["seed"] == 2
    assert (far.record["plan"]["pretrain"]["epochs"], far.record["plan"]["kept"]) == (1, 0.0)
    assert {epoch["stage"] for epoch in near.record["history"]} == {"tune"}
    assert distance(near, started()) < distance(far, started()) / 10


def test_most_epochs_are_the_recipes_even_if_more_are_ordered() -> None:
    plan = recipes._shortened(recipes.STARTED_PLAN, 1_000)
    assert (plan.pretrain.epochs, plan.tune.epochs) == (0, recipes.STARTED_PLAN.tune.epochs)
    assert recipes._shortened(recipes.STARTED_PLAN, None) == recipes.STARTED_PLAN


def test_clips_of_sensors_are_the_domain_of_all_spaces_but_the_benchmarks() -> None:
    data = clips(40, ["sensor-1"] * 10 + ["sensor-2"] * 10 + [""] * 20)
    assert trained(data, recipes.TrainingSpec(recipes.TAGGED, epochs=1)).record["domain"] == 20
    embeddings = replace(data, space=VGGISH)
    assert trained(embeddings, recipes.TrainingSpec(recipes.TAGS_ONLY, epochs=1)).record["domain"] == 40


@pytest.mark.parametrize("held", [0, recipes.FEWEST_HELD - 1, recipes.FEWEST_HELD])
def test_the_papers_networks_are_calibrated_if_enough_clips_are_held_out(held: int) -> None:
    order = recipes.TrainingSpec("paper", epochs=1, validation=False)
    found = trained(clips(60, space=VGGISH), order, clips(held, space=VGGISH))
    assert (found.calibration is not None) == (held >= recipes.FEWEST_HELD)


def test_a_start_that_does_not_fit_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    data = clips(30)
    paper = trained(data, recipes.TrainingSpec("paper", epochs=1, validation=False))
    for start in (load(default_checkpoint(LOGMEL.id)), load(default_checkpoint(VGGISH.id)), paper):
        order = recipes.TrainingSpec(recipes.TAGGED, epochs=1, start=start, state=tmp_path / "state")
        with pytest.raises(
            InvalidError, match=f"training on {EARWITNESS_SMALL.id} cannot start from a checkpoint of "
        ):
            trained(data, order)
    alone = trained(data, recipes.TrainingSpec(recipes.TAGS_ONLY, epochs=1))
    for method, start in ((recipes.TAGGED, alone), (recipes.TAGS_ONLY, started())):
        with pytest.raises(InvalidError, match="is no start for one of"):
            trained(data, recipes.TrainingSpec(method, epochs=1, start=start, state=tmp_path / "state"))
    assert not list(tmp_path.iterdir())


def test_what_was_trained_is_a_start_itself() -> None:
    first = trained(clips(40), recipes.TrainingSpec(recipes.TAGGED, epochs=1, start=started()))
    assert isinstance(first.network, TaggingEnsemble)
    before = {name: tensor.clone() for name, tensor in first.network.state_dict().items()}
    second = trained(clips(36), recipes.TrainingSpec(recipes.TAGGED, epochs=1, start=first))
    assert second.network.config == first.network.config
    assert (
        0
        < distance(second, first)
        < distance(second, trained(clips(36, fine=521), recipes.TrainingSpec(recipes.TAGGED, epochs=1)))
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.network.state_dict().items())


def test_data_with_finer_labels_as_sonyc_ust_has_can_start_as_the_command_does() -> None:
    data = clips(40, fine=5)
    found = trained(data, recipes.TrainingSpec(recipes.TAGGED, epochs=1, start=started()))
    assert distance(found, started()) > 0


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidError, match="unknown network 'mine'; one of tagged, tag-and-compare, paper"):
        recipes.TrainingSpec("mine")


def test_sources_are_gathered_and_groups_held_out(tmp_path: Path) -> None:
    save_features(tmp_path / "one", clips(5))
    save_features(tmp_path / "two", clips(7))
    reader = DatasetReader(EARWITNESS_SMALL.id)
    data, aside = recipes.load_data(recipes.Sources((tmp_path / "one", tmp_path / "two"), 2), reader, ["sensor-2"], 4)
    assert (len(data), len(aside)) == (5 + 7 + 2, 0)
    made = synthesise(2, 4, reader.feature_cache().extractor, lambda: None)
    np.testing.assert_array_equal(data.features[-2:], made.features)
    with pytest.raises(InvalidError, match="no data given"):
        recipes.load_data(recipes.Sources(), reader, [], 0)


def test_few_clips_have_no_quality_and_categories_that_all_have_none_either() -> None:
    assert recipes.presence_quality(started(), clips(1)) == {}
    data = clips(20)
    data.labels[:, 0], data.labels[:, 1] = 0, 1
    data.labels[:, 2] = np.arange(20) % 2
    quality = recipes.presence_quality(started(), data)
    assert {"engine", "machinery-impact"} & set(quality) == set()
    assert {"non-machinery-impact", "pairs"} <= set(quality)
    assert all(0.0 <= value <= 1.0 for value in quality.values())

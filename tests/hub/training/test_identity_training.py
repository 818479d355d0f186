import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hub.cli import app
from hub.domain.closest_source import Margins
from hub.model.checkpoint import Checkpoint, load, save
from hub.model.identity import STEPS, IdentityConfig
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.dataset import Dataset
from hub.training.identity_network_training import IdentityPlan, learn
from hub.training.identity_training import plan_of, teach
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.taxonomy import CATEGORIES

QUICK = IdentityPlan(values=8, steps=30, clips=40, parts=2, weight=0.75)


def clips(count: int) -> np.ndarray:
    """Each clip has a source of its own in the first values, and noise in all others."""
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (count, *EARWITNESS_SMALL.shape))
    features[:, :, :6] = np.clip(
        rng.integers(40, 216, (count, 1, 6)) + rng.integers(-12, 13, (count, EARWITNESS_SMALL.frames, 6)), 0, 255
    )
    return features.astype(np.uint8)


def data(count: int = 120, groups: int = 0) -> Dataset:
    names = [f"sensor-{number % groups}" if groups else "" for number in range(count)]
    return Dataset(EARWITNESS_SMALL, clips(count), np.zeros((count, len(CATEGORIES)), np.uint8), np.array(names))


@pytest.fixture
def untaught() -> Checkpoint:
    torch.manual_seed(0)
    network = TaggingEnsemble(TaggedConfig(10, 128, trunk=(8,))).eval().requires_grad_(requires_grad=False)
    return Checkpoint(network, EARWITNESS_SMALL, {"seed": 3, "clips": 7})


def test_a_trained_identity_finds_the_other_half_better_than_a_cosine(untaught: Checkpoint) -> None:
    reported: list[tuple[str, float]] = []
    fitted = teach(untaught, data(), QUICK, progress=lambda what, share: reported.append((what, share)))
    assert fitted.identity is not None
    assert fitted.network is untaught.network
    about = fitted.record["identity"]
    halves = [EARWITNESS_SMALL.dequantise(clips(120)[:, part]).mean(axis=1) for part in (slice(5), slice(5, 10))]
    plain = [half / np.linalg.norm(half, axis=1, keepdims=True) for half in halves]
    cosine = float(((plain[0] @ plain[1].T).argmax(axis=1) == np.arange(120)).mean())
    assert about["first"] > cosine + 0.2
    assert about["ten"] >= about["first"]
    assert (about["clips"], fitted.record["seed"]) == (120, 3)
    assert reported[-1] == ("training", 1.0)
    assert {what for what, _ in reported} == {"training", "measuring, part 1 of 2", "measuring, part 2 of 2"}


def test_what_is_trained_is_an_identity_of_whole_steps_with_the_weight_of_the_plan(untaught: Checkpoint) -> None:
    identity = teach(untaught, data(), QUICK).identity
    assert identity is not None
    assert float(identity.network.weight) == 0.75
    assert float(identity.network.floor) == pytest.approx(0.6)
    made = identity.network(torch.from_numpy(EARWITNESS_SMALL.dequantise(clips(5))))
    assert made.shape == (5, 8)
    assert torch.equal(made, torch.round(made * STEPS) / STEPS)
    assert identity.match(np.array([1.0]))[0] > identity.match(np.array([-1.0]))[0]


def test_the_same_seed_teaches_the_same_identity() -> None:
    config = IdentityConfig(*EARWITNESS_SMALL.shape, 8)
    first, again, other = (learn(data(), config, replace(QUICK, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.projection.weight, again.projection.weight)
    assert not torch.equal(first.projection.weight, other.projection.weight)


def test_hidden_units_correct_the_projection_with_steps_and_are_left_out_without(untaught: Checkpoint) -> None:
    hidden = replace(QUICK, hidden=6)
    identity = teach(untaught, data(), hidden).identity
    assert identity is not None
    assert identity.network.get_parameter("correction.3.weight").any()
    first, again = (learn(data(), identity.network.config, hidden).state_dict() for _ in range(2))
    assert torch.equal(first["correction.3.weight"], again["correction.3.weight"])
    still = teach(untaught, data(), replace(hidden, steps=0)).identity
    assert still is not None
    assert still.network.correction is None
    assert [replace(hidden, steps=None).steps_of(clips) for clips in (100, 10_000)] == [0, 3_000]


def test_without_steps_it_is_whitening_and_a_start_is_kept(untaught: Checkpoint) -> None:
    begun = teach(untaught, data(), QUICK).identity
    assert begun is not None
    still = learn(data(), begun.network.config, replace(QUICK, steps=0), begun.network)
    assert torch.equal(still.projection.weight, begun.network.projection.weight)
    white = learn(data(), begun.network.config, replace(QUICK, steps=0))
    assert not torch.equal(white.projection.weight, begun.network.projection.weight)


def test_a_sensor_is_not_divided_between_learning_and_measuring(untaught: Checkpoint) -> None:
    about = teach(untaught, data(groups=4), QUICK).record["identity"]
    assert about["queries"] == 120
    with pytest.raises(InvalidError, match="1 groups of clips cannot be divided"):
        teach(untaught, data(groups=1), QUICK)


def test_only_clips_of_sensors_are_asked_if_there_are_any(untaught: Checkpoint) -> None:
    given = data(groups=4)
    mixed = replace(given, groups=np.where(given.groups == "sensor-3", "fold-1", given.groups))
    assert teach(untaught, mixed, QUICK).record["identity"]["queries"] == 90


def test_too_few_clips_other_features_and_senseless_plans_are_refused(untaught: Checkpoint) -> None:
    with pytest.raises(InvalidError, match="give at least 20"):
        teach(untaught, data(19), QUICK)
    alike = data()
    with pytest.raises(InvalidError, match="cannot teach a checkpoint of"):
        teach(untaught, replace(alike, space=VGGISH), QUICK)
    with pytest.raises(InvalidError, match="is no start for"):
        teach(untaught, alike, replace(QUICK, values=4), start=teach(untaught, alike, QUICK).identity)
    for senseless in (
        {"steps": -1},
        {"values": 65},
        {"rate": 1.0},
        {"weight": -1.0},
        {"shrinkage": 1.5},
        {"parts": 1},
        {"hidden": -1},
    ):
        with pytest.raises(InvalidError):
            IdentityPlan(**senseless)


def test_the_command_teaches_a_checkpoint_and_changes_nothing_else(untaught: Checkpoint, tmp_path: Path) -> None:
    labels = np.zeros((120, len(CATEGORIES)), np.uint8)
    np.savez(tmp_path / "features.npz", space=EARWITNESS_SMALL.id, features=clips(120), labels=labels)
    path = tmp_path / "a.safetensors"
    save(path, untaught)
    before = load(path)
    arguments = (
        "checkpoint",
        "train-identity",
        "--checkpoint",
        str(path),
        "--data",
        str(tmp_path),
        "--cache",
        "-",
        "--steps",
        "5",
    )
    shape = ("--hidden", "7", "--margins", "0.3", "0.2")
    ran = CliRunner().invoke(app, [*arguments, *shape, "--weight", "0.5", "--floor", "0.25", "--json"])
    assert ran.exit_code == 0, ran.output
    stated = json.loads(ran.stdout)
    assert stated["checkpoint"] == str(path)
    assert (stated["weight"], stated["floor"]) == (0.5, 0.25)
    assert {"first", "ten", "ece", "reliability"} <= set(stated)
    after = load(path)
    assert after.identity is not None
    assert float(after.identity.network.weight) == 0.5
    plan = plan_of(after)
    assert (plan.weight, plan.floor, plan.hidden, plan.margins) == (0.5, 0.25, 7, Margins(0.3, 0.2))
    assert after.identity.network.config.hidden == 7
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(tensor, after.network.state_dict()[name]), name
    assert {key: value for key, value in after.record.items() if key != "identity"} == before.record
    ran = CliRunner().invoke(
        app, [*arguments, "--out", str(tmp_path / "b.safetensors"), "--plot", str(tmp_path / "p.svg")]
    )
    assert ran.exit_code == 0, ran.output
    assert "among ten" in ran.output
    assert "predicted probability" in (tmp_path / "p.svg").read_text()
    assert load(tmp_path / "b.safetensors").record["identity"]["plan"]["weight"] == 0.5

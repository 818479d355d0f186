import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hub.cli import app
from hub.model.checkpoint import Checkpoint, default_checkpoint, load, save
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.model.sketch import SketchConfig, SketchNetwork
from hub.search.scoring.scorer import Scorer
from hub.search.scoring.sketches import LearntSketch
from hub.training.sketch_training import SketchPlan, train_sketch
from shared.errors import InvalidError
from shared.feature_space import VGGISH
from shared.synthetic_features import splice_clips
from shared.taxonomy import CATEGORIES

SMALL = SketchPlan(queries=60, events=800, steps=150, step_queries=40, step_events=400, blocks=1)


def clips(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 1, 128)).repeat(10, axis=1).astype(np.uint8)


@pytest.fixture
def untaught() -> Checkpoint:
    torch.manual_seed(0)
    network = SiameseNetwork(NetworkConfig(10, 128, tower=(32, 16), pair=(32, 16)))
    with torch.no_grad():
        for _ in range(10):
            network(*torch.randn(2, 64, 10, 128))
        network.situation.weight.mul_(6.0)
    return Checkpoint(network.eval().requires_grad_(False), VGGISH, {"seed": 3})


def test_a_trained_sketch_orders_events_nearly_as_the_pair_network_does(untaught: Checkpoint) -> None:
    reported: list[str] = []
    fitted = train_sketch(untaught, clips(300), SMALL, lambda what, _share: reported.append(what))
    assert fitted.sketch is not None
    assert set(reported) == {"scoring", "training", "measuring"}
    scorer = Scorer(fitted)
    events, queries = (
        scorer.embed(splice_clips(clips(300), 500, np.random.default_rng(7))),
        scorer.embed(clips(300)[:20]),
    )
    sketch = LearntSketch(fitted.sketch, scorer.layout)
    imitated = sketch.of_queries(queries) @ sketch.of_events(events).T
    half = scorer.precompute(events)
    exact = np.stack([scorer.ranks(query, half) for query in queries])
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(imitated, exact, strict=True)]
    assert np.mean(correlation) > 0.5
    recall = fitted.record["sketch"]["recall"]
    assert list(recall.values()) == sorted(recall.values())
    assert fitted.record["seed"] == 3


def test_a_sketch_is_kept_in_the_checkpoint(untaught: Checkpoint, tmp_path: Path) -> None:
    network = SketchNetwork(SketchConfig(steps=10, width=16, hidden=8, values=8)).eval()
    save(tmp_path / "a.safetensors", replace(untaught, sketch=network))
    back = load(tmp_path / "a.safetensors")
    assert back.sketch is not None
    towers = torch.rand(4, 10, 16)
    torch.testing.assert_close(back.sketch.of_events(towers), network.of_events(towers))
    assert Scorer(back).fingerprint != Scorer(untaught).fingerprint


def test_a_sketch_for_towers_of_another_width_is_refused(untaught: Checkpoint, tmp_path: Path) -> None:
    network = SketchNetwork(SketchConfig(steps=10, width=17, hidden=8, values=8)).eval()
    save(tmp_path / "a.safetensors", replace(untaught, sketch=network))
    with pytest.raises(InvalidError, match="sketch"):
        load(tmp_path / "a.safetensors")


def test_too_few_clips_and_senseless_plans_are_refused(untaught: Checkpoint) -> None:
    with pytest.raises(InvalidError, match="too few"):
        train_sketch(untaught, clips(19))
    with pytest.raises(InvalidError):
        SketchPlan(steps=0)
    with pytest.raises(InvalidError):
        SketchConfig(steps=10, width=16, values=1)


def test_the_command_teaches_a_checkpoint_and_reports_its_recall(untaught: Checkpoint, tmp_path: Path) -> None:
    labels = np.zeros((40, len(CATEGORIES)), np.uint8)
    labels[:, 0] = 1
    np.savez(tmp_path / "features.npz", space=VGGISH.id, features=clips(40), labels=labels)
    save(tmp_path / "a.safetensors", untaught)
    arguments = ("--checkpoint", str(tmp_path / "a.safetensors"), "--data", str(tmp_path), "--cache", "-")
    ran = CliRunner().invoke(
        app, ["checkpoint", "train-sketch", *arguments, "--blocks", "1", "--steps", "1", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    assert list(json.loads(ran.stdout)["recall_at_10"]) == ["100", "300", "1000", "3000"]
    assert load(tmp_path / "a.safetensors").sketch is not None


def test_a_tagged_checkpoint_needs_no_sketch(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        app,
        ["checkpoint", "train-sketch", "--checkpoint", str(default_checkpoint(VGGISH.id)), "--data", str(tmp_path)],
    )
    assert ran.exit_code == 2
    assert "no training is needed" in ran.output

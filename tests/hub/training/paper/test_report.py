import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from hub.cli import experiments as report_commands
from hub.training import plots, recipes
from hub.training.paper import experiments
from hub.training.paper.experiments import Experiment
from hub.training.paper.report import write_results
from hub.training.tagger_schedule import Stage, TaggedPlan
from shared.feature_space import LOGMEL, VGGISH
from shared.taxonomy import CATEGORIES


@pytest.fixture(scope="module")
def audioset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("audioset"), np.random.default_rng(0)
    for name, clips in (("train", 90), ("eval_dev", 12)):
        coarse = (rng.random((clips, 8)) < 0.3).astype(np.uint8)
        coarse[:, 0] |= coarse.sum(axis=1) == 0
        raised = np.repeat(coarse, 16, axis=1)[:, None, :] * 90
        embedding = (rng.integers(0, 120, (clips, 10, 128)) + raised).astype(np.uint8)
        fine = np.packbits(np.pad(coarse, ((0, 0), (0, 519))), axis=1)
        np.savez(folder / f"{name}.npz", embedding=embedding, coarse=coarse, audioset_labels=fine)
    np.savez(folder / "urban_benchmark.npz", database=np.arange(20, 90), query=np.arange(12))
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    rows = [",".join(["clip", "sensor_id", *CATEGORIES])]
    for number in range(8):
        soundfile.write(folder / f"{number}.wav", 0.1 * np.sin(np.arange(8_000) / (number + 3)), 8_000)
        rows.append(
            ",".join(
                [f"{number}.wav", ("1", "2", "23", "35")[number % 4], *("01"[number % 4 == c] for c in range(8))]
            )
        )
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def some() -> Iterator[Experiment]:
    yield Experiment(VGGISH.id, "untrained")
    yield Experiment(VGGISH.id, "committed")
    yield Experiment(LOGMEL.id, "untrained")
    yield from (Experiment(VGGISH.id, method, seed) for method in ("tagged", "tag-and-compare") for seed in (0, 1))
    yield Experiment(VGGISH.id, "single-siamese-attention")
    yield Experiment(VGGISH.id, "single-attention")


def test_a_report_trains_measures_and_goes_on_where_it_stopped(
    audioset: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "experiments", some)
    monkeypatch.setitem(experiments.EPOCHS, VGGISH.id, 1)
    short = TaggedPlan(pretrain=Stage(1, 64, 1e-3), tune=Stage(1, 64, 1e-3))
    monkeypatch.setattr(recipes, "VGGISH_PLAN", short)
    app = typer.Typer()
    report_commands.register(app)
    line = ["experiments", "run", "--audioset", str(audioset), "--recordings", str(recordings)]
    line += ["--into", str(tmp_path / "docs"), "--work", str(tmp_path / "work"), "--cache", str(tmp_path / "cache")]
    first = CliRunner().invoke(app, line)
    assert first.exit_code == 0, first.output
    assert "from 9 of 9 experiments" in first.stdout
    page = (tmp_path / "docs" / "results.md").read_text()
    for row in (
        "| random | 1 |",
        "| cosine |",
        "| tagged | 2 |",
        "| tag-plus-cosine | 2 |",
        "| paper | 1 |",
        "| shipped",
    ):
        assert row in page
    assert "Where the paper's design loses" in page
    assert "Where the network that ships loses" in page
    assert re.search(r"- `tagged` against `cosine`: (nowhere behind|behind in \d+ of 14 cells: )", page)
    assert "- `single-siamese-attention` against `single-attention`: " in page
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 8
    assert "--architecture tagged --seed 1 --calibration-from vggish-tagged-0.safetensors" in page
    for name in ("vggish-main", "vggish-variants", "logmel-variants"):
        assert f"results/{name}.svg" in page
        assert "<svg" in (tmp_path / "docs" / "results" / f"{name}.svg").read_text()
    record = json.loads((tmp_path / "docs" / "results" / "vggish-tagged-1.json").read_text())
    assert set(record["chosen"]) == {"shift", "weight"}
    assert record["queries"] == 12
    assert {entry["pairs"] for entry in record["calibration"]} == {"all", "top"}

    kept = (tmp_path / "docs" / "results" / "vggish-untrained-0.json").stat().st_mtime_ns
    (tmp_path / "docs" / "results" / "vggish-tagged-1.json").unlink()
    again = CliRunner().invoke(app, [*line, "--no-run"])
    assert "from 8 of 9 experiments" in again.stdout
    again = CliRunner().invoke(app, line)
    assert "from 9 of 9 experiments" in again.stdout
    assert (tmp_path / "docs" / "results" / "vggish-untrained-0.json").stat().st_mtime_ns == kept
    assert (
        json.loads((tmp_path / "docs" / "results" / "vggish-tagged-1.json").read_text())["results"]
        == record["results"]
    )

    (tmp_path / "docs" / "results" / "vggish-tagged-1.json").write_text("{")
    damaged = CliRunner().invoke(app, [*line, "--no-run"])
    assert damaged.exit_code == 2
    assert "damaged" in damaged.stderr


def test_all_variants_of_both_spaces_are_planned_with_three_seeds_of_the_main_ones() -> None:
    planned = list(experiments.experiments())
    assert len(planned) == len(set(planned))
    names = [(one.space, one.method) for one in planned]
    for space in (VGGISH.id, LOGMEL.id):
        for siamese in ("", "-siamese"):
            for attention in ("", "-attention"):
                assert (space, f"single{siamese}{attention}") in names
                assert (space, f"multi{siamese}{attention}") in names
    for method in ("tagged", "tag-and-compare", "single-siamese-attention"):
        assert names.count((VGGISH.id, method)) == 3


def test_the_same_records_give_the_same_page_and_plots(tmp_path: Path) -> None:
    def row(method: str, s: int, k: int) -> dict[str, Any]:
        return {"method": method, "s": s, "K": k, "queries": "all", "map": 0.5, "low": 0.4, "high": 0.6}

    results = [row("random", s, k) for s in (8, 7) for k in (1, 5, 10, 30, 50, 100)]
    record = {
        "space": VGGISH.id,
        "method": "untrained",
        "seed": 0,
        "commit": "abc",
        "data": ["audioset"],
        "queries": 3,
        "database": 4,
        "commands": ["earwitness-hub evaluate"],
        "minutes": {"train": 0, "measure": 1},
        "results": results,
        "calibration": [],
    }
    for name in ("a", "b"):
        write_results([record], tmp_path / name)
    for file in ("results.md", "results/vggish-main.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert "| random | 1 | .500 |" in (tmp_path / "a" / "results.md").read_text()


def test_training_is_drawn_run_by_run_with_a_line_per_member(tmp_path: Path) -> None:
    history = [
        {"run": run, "member": member, "stage": stage, "loss": 0.3, "map_8": quality, "map_7": quality}
        for run, quality in (("validate", 0.4), ("final", None))
        for member in (1, 2)
        for stage in ("pretrain", "tune")
    ]
    plots.training(tmp_path / "new" / "a.svg", history)
    drawn = (tmp_path / "new" / "a.svg").read_text()
    for name, times in (("validate: map_8", 1), ("validate: loss", 1), ("final: loss", 1), ("final: map_8", 0)):
        assert drawn.count(f">{name}<") == times
    plots.training(tmp_path / "b.svg", [{"stage": "final", "number": 1, "loss": 0.5}])
    assert ">final: loss<" in (tmp_path / "b.svg").read_text()

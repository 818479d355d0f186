"""The command `distil`; that it shows its help is tested in `test_learning`."""

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hub.cli import distill
from hub.training.distillation import debian_packages, pipeline
from hub.training.distillation.distillation import DistilPlan

app = typer.Typer()
distill.register(app)
typer.Typer.callback(app)(lambda: None)
PLAIN = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"}
invoke = CliRunner(env=PLAIN).invoke


def test_its_help_names_every_option() -> None:
    reported = invoke(app, ["backbone", "distill", "--help"])
    assert reported.exit_code == 0
    for option in (
        "--into",
        "--data",
        "--leave-out",
        "--work",
        "--blocks",
        "--seed",
        "--teacher",
        "--id",
        "--keep-backbone",
    ):
        assert option in reported.stdout


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([], "--into"),
        (["--into", "x", "--blocks", "0"], "--blocks"),
        (["--into", "x", "--seed", "-1"], "--seed"),
        (["--into", "x", "--blocks", "many"], "--blocks"),
        (["--into", "x", "surplus"], "surplus"),
    ],
)
def test_bad_arguments_are_named(line: list[str], reason: str) -> None:
    reported = invoke(app, ["backbone", "distill", *line])
    assert reported.exit_code == 2
    assert reason in reported.stderr


def test_without_apt_one_line_states_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reported = invoke(
        app, ["backbone", "distill", "--into", str(tmp_path / "made"), "--work", str(tmp_path / "work")]
    )
    assert reported.exit_code == 1
    assert reported.stderr.startswith("earwitness-hub: ")
    assert "apt-get and dpkg-deb are needed" in reported.stderr
    assert reported.stderr.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_without_the_extra_one_line_states_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hub.training.distillation.distillation", None)
    reported = invoke(app, ["backbone", "distill", "--into", str(tmp_path), "--work", str(tmp_path)])
    assert reported.exit_code == 1
    assert "pip install 'earwitness[distil]'" in reported.stderr


def test_a_folder_without_recordings_is_invalid_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (debian_packages, pipeline):
        monkeypatch.setattr(module, "PACKAGES", ())
    line = [
        "backbone",
        "distill",
        "--into",
        str(tmp_path / "made"),
        "--work",
        str(tmp_path / "work"),
        "--data",
        str(tmp_path),
    ]
    reported = invoke(app, line)
    assert reported.exit_code == 2
    assert f"no recordings in {tmp_path}" in reported.stderr.replace("\n", "")


def test_what_is_asked_for_is_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def make(work: Path, order: pipeline.Order, plan: DistilPlan, _send: object) -> Path:
        asked.extend([work, order, plan])
        return order.into / "earwitness-small.toml"

    monkeypatch.setattr(pipeline, "build_backbone", make)
    monkeypatch.setenv("HOME", str(tmp_path))
    line = [
        "backbone",
        "distill",
        "--into",
        "made",
        "--data",
        "a",
        "--data",
        "b",
        "--leave-out",
        "5-",
        "--work",
        "~/w/k",
    ]
    reported = invoke(app, [*line, "--blocks", "3", "--seed", "7"])
    assert reported.exit_code == 0, reported.output
    work = tmp_path / "w" / "k"
    assert asked == [work, pipeline.Order(Path("made"), (Path("a"), Path("b")), "5-"), DistilPlan(blocks=3, seed=7)]
    assert "train --space made/earwitness-small.toml" in reported.stdout.replace("\n", " ")

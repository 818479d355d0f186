"""What holds for every command of both programs: output for machines, an example, completion by the shell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from edge.cli import app as edge_app
from hub.cli import app as hub_app

PROGRAMS = {"earwitness-edge": edge_app, "earwitness-hub": hub_app}
WITHOUT_JSON = {
    "earwitness-edge conformance": "prints a Markdown page",
    "earwitness-edge config show": "prints a settings file, which is for machines as it is",
    "earwitness-hub serve": "prints nothing; it logs, as JSON with log.format = json",
}


def commands() -> Iterator[tuple[str, Any]]:
    for program, app in PROGRAMS.items():
        yield from walk(typer.main.get_command(app), program)


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if (children := getattr(command, "commands", None)) is None:
        yield path, command
        return
    for name, child in children.items():
        yield from walk(child, f"{path} {name}")


def test_every_command_prints_for_machines_or_has_a_reason() -> None:
    silent = {path for path, command in commands() if not any("--json" in one.opts for one in command.params)}
    assert silent == set(WITHOUT_JSON)


def test_every_commands_help_has_an_example_of_it() -> None:
    without = [path for path, command in commands() if path not in f"{command.help}"]
    assert not without


def complete(program: str, *words: str, shell: str = "bash") -> list[str]:
    """What the shell is offered for the last word."""
    ran = subprocess.run(
        [Path(sys.executable).with_name(program)],
        env={
            **os.environ,
            f"_{program.upper().replace('-', '_')}_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": " ".join([program, *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("program", "words", "offered"),
    [
        ("earwitness-edge", ["ru"], ["run"]),
        ("earwitness-hub", ["sear"], ["search"]),
        ("earwitness-hub", ["train", "--space", "ear"], ["earwitness-small"]),
        ("earwitness-hub", ["train", "--architecture", "pap"], ["paper"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_the_shell_completes(program: str, words: list[str], offered: list[str]) -> None:
    assert complete(program, *words) == offered


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(program: str, shell: str) -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name(program)],
        env={**os.environ, f"_{program.upper().replace('-', '_')}_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"complete_{shell}" in ran.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_completion_can_be_installed(program: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"'{Path(sys.executable).with_name(program)}' --install-completion bash; cat ~/.bashrc"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert program in ran.stdout

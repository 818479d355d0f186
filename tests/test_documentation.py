"""Every setting, topic, metric and command is documented: the reference page is exactly what the code defines."""

import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_reference_is_what_the_code_states() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["page"]()
    assert (ROOT / "docs" / "reference.md").read_text() == made, "run: python docs/make_reference.py"


def test_the_description_of_the_api_is_what_the_code_states() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_openapi.py"))["page"]()
    assert (ROOT / "docs" / "openapi.json").read_text() == made, "run: python docs/make_openapi.py"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    for requirement in [*project["dependencies"], *extras["edge"], *extras["hub"], *extras["train"]]:
        name = re.split(r"[<>=]", requirement)[0]
        if name.startswith(f"{project['name']}["):  # other extras of ours
            continue
        assert name.lower() in reasons.lower(), f"{name} has no reason"


def test_the_readmes_first_command_writes_what_the_readme_then_names(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (line,) = re.findall(r"^\$ (earwitness-hub deployment create .*)$", readme, re.MULTILINE)
    program, *arguments = shlex.split(line, comments=True)
    command = [str(Path(sys.executable).parent / program), *arguments]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    named = set(re.findall(r"\bnoise/[\w./-]*\w", readme))
    assert len(named) > 2
    for path in named:
        assert (tmp_path / path).exists(), f"README.md names {path}"
    assert "broker.example" in (tmp_path / "noise/sensors/harbour/street-1/edge.toml").read_text()


def test_every_command_of_the_readme_that_needs_settings_names_them() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = "check|serve|search|thresholds|dead-letters|run"
    needy = re.findall(rf"^\$ (earwitness-(?:hub|edge) (?:{commands}) .*)$", readme, re.MULTILINE)
    assert len(needy) > 6
    for line in needy:
        assert " --config " in line, line

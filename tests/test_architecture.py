"""The direction of the arrows: shared <- edge, hub; no torch outside hub; nothing imports hub.training."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "shared": ("torch", "torchaudio", "redis", "fastapi", "edge", "hub", "tests"),
    "edge": ("torch", "torchaudio", "redis", "fastapi", "scipy", "hub", "tests"),
    "hub": ("edge", "tests"),
}
TRAINING_ALLOWED = ("hub/training/", "hub/cli/")
DOMAIN_MAY = {"numpy", "pydantic", "shared"} | set(sys.stdlib_module_names)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    for path in modules(package):
        wrong = [name for name in imports(path) if name.split(".")[0] in FORBIDDEN[package]]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_one_but_the_command_line_imports_training() -> None:
    for path in modules("hub"):
        relative = path.relative_to(ROOT).as_posix()
        if not relative.startswith(TRAINING_ALLOWED):
            wrong = [name for name in imports(path) if name.startswith("hub.training")]
            assert not wrong, f"{relative} imports {wrong}"


def test_the_domain_imports_only_values_numpy_and_pydantic() -> None:
    for path in modules("hub/domain"):
        names = set(imports(path))
        wrong = [one for one in names if one.split(".")[0] not in DOMAIN_MAY and not one.startswith("hub.domain")]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_module_has_a_name_without_meaning() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert not [path for package in FORBIDDEN for path in modules(package) if path.stem in nothing]


def test_the_edge_runs_without_torch_redis_or_metrics_installed() -> None:
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchaudio", "redis", "fastapi", "prometheus_client", "hub"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from edge.cli import main
sys.argv = ["earwitness-edge", "run", "--help"]
main()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert "speed" in ran.stdout + ran.stderr or "--set" in ran.stdout


def test_help_and_commands_without_a_network_do_not_wait_for_pytorch() -> None:
    code = """
import sys
from typer.testing import CliRunner
from hub.cli import app
away = ["--set", "redis.url=redis://127.0.0.1:1/0"]
for line in (["--help"], ["train", "--help"], ["bench", "--help"], ["feedback", "list", *away]):
    print(CliRunner().invoke(app, line).output)
assert "torch" not in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert "store" in ran.stdout

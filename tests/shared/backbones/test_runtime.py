"""ONNX Runtime sends its maker nothing: no name is looked up, no file is written."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import program

ROOT = Path(__file__).parents[3]
IMPORTS = (
    "from shared.backbones.onnx_backbone import Backbone; from shared.backbones import SMALL_FILE;"
    " Backbone(SMALL_FILE)"
)
WAITS = "; import threading; threading.Event().wait(13)"
"""The runtime's first look-up comes nine seconds after its import."""


def test_one_module_imports_the_runtime() -> None:
    importers = set()
    for package in ("edge", "hub", "shared"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import) and any(alias.name == "onnxruntime" for alias in node.names):
                    importers.add(path.relative_to(ROOT).as_posix())
    assert importers == {"shared/backbones/runtime.py"}


@pytest.mark.parametrize(
    "name",
    ["edge.Dockerfile", "hub.Dockerfile", "systemd/earwitness-edge.service", "systemd/earwitness-hub.service"],
)
def test_images_and_units_turn_telemetry_off(name: str) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / "deploy" / name).read_text()


def traced(tmp_path: Path, script: str) -> tuple[str, list[Path]]:
    """Connections that a script makes in a network namespace of its own, and what it leaves in its home."""
    home = tmp_path / "home"
    home.mkdir()
    trace = tmp_path / "trace"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    strace = [program("strace"), "-f", "-qq", "-e", "trace=connect,sendto,sendmmsg", "-o", str(trace)]
    command = [
        *("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
        *(*strace, sys.executable, "-B", "-c", script),
    ]
    subprocess.run(command, env={**env, "HOME": str(home)}, check=True, cwd=tmp_path, timeout=120)
    return trace.read_text(), [path for path in home.rglob("*") if path.is_file()]


def test_nothing_is_looked_up_and_nothing_written(tmp_path: Path) -> None:
    trace, files = traced(tmp_path, IMPORTS + WAITS)
    assert not re.findall(r"AF_INET|microsoft", trace), trace
    assert files == []

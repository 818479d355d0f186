"""Install one extra of this project into a virtual environment, with the versions of constraints.txt.

`make` runs it. PyTorch comes first, as its builds differ in size by gigabytes:

1. `--torch-index URL`: from that index. `--torch-index pypi`: from PyPI.
2. Otherwise, on Linux without an NVIDIA GPU: from PyTorch's own index of CPU builds, if that answers within
   seconds and has the version of constraints.txt.
3. Otherwise from PyPI.

It prints the source, the size of the download and how to choose another. It uses only the standard library.
"""

from __future__ import annotations  # so that an old Python reaches the check of its version

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"
PYPI: Final = "pypi"
CONNECT_S: Final = 4.0
"""Longest wait for an index to connect or to send more."""
ANSWER_S: Final = 15.0
"""Longest wait for all of its answer, a page of about a megabyte."""
_MAX_PAGE_BYTES: Final = 10_000_000
_OLDEST: Final = (3, 11)

# Downloads for torch 2.14.1 and what only it needs on Linux x86_64: the sum of its wheels.
_CPU_GB: Final = "0.2 GB"
_CUDA_GB: Final = "3.0 GB"


class Choice(NamedTuple):
    """Where PyTorch comes from.

    Attributes:
        url: address of a package index (PEP 503), or None for PyPI, as pip is configured.
        line: message for people: the download and how to choose another.
        wished: whether the user chose it, so that no other may replace it.
    """

    url: str | None
    line: str
    wished: bool = False


def has_nvidia_gpu() -> bool:
    """Return whether the NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def offers(index: str, version: str, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> bool:
    """Return whether a package index answers in time and lists a wheel of torch of this version.

    Args:
        index: its address, such as `CPU_INDEX`.
        version: without a local part: 2.14.1 finds `2.14.1+cpu` too.
        connect_s: longest wait for the server to connect or to send more.
        answer_s: longest wait for everything, the look-up of its name included.
    """
    pages: list[str] = []

    def ask() -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(f"{index.rstrip('/')}/torch/", timeout=connect_s) as answer,  # noqa: S310
        ):
            pages.append(answer.read(_MAX_PAGE_BYTES).decode(errors="replace"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(answer_s)
    return any(re.search(rf"torch-{re.escape(version)}(\+|%2B|-)", page, re.IGNORECASE) for page in pages)


def choose(torch_index: str, *, version: str, system: str, gpu: bool, cpu_index: str = CPU_INDEX) -> Choice:
    """Decide where PyTorch comes from.

    Args:
        torch_index: the user's choice: an address, `pypi`, or empty for none.
        version: of torch in constraints.txt.
        system: `sys.platform`.
        gpu: whether there is an NVIDIA GPU.
        cpu_index: the index of CPU builds to try.
    """
    if torch_index not in {"", PYPI}:
        return Choice(torch_index, f"PyTorch {version} comes from {torch_index}, as set by TORCH_INDEX.", wished=True)
    if system != "linux":
        return Choice(None, f"PyTorch {version} comes from PyPI: about {_CPU_GB}.")
    large = f"PyTorch {version} comes from PyPI, for NVIDIA GPUs: downloads about {_CUDA_GB}"
    if torch_index == PYPI:
        return Choice(None, f"{large}, as set by TORCH_INDEX.")
    if gpu:
        return Choice(None, f"{large}; for the CPU build, about {_CPU_GB}: make TORCH_INDEX={cpu_index}")
    if offers(cpu_index, version):
        return Choice(
            cpu_index,
            f"PyTorch {version} comes from {cpu_index}, without CUDA: downloads about {_CPU_GB}; "
            f"for the build for NVIDIA GPUs, about {_CUDA_GB}: make TORCH_INDEX={PYPI}",
        )
    return Choice(
        None,
        f"{large}, because {cpu_index} does not offer it here; "
        f"for a CPU build, about {_CPU_GB}: make TORCH_INDEX=URL of an index that has it",
    )


def pinned(constraints: str, package: str) -> str | None:
    """Return the version of a package in the text of a constraints file, or None if it has none."""
    found = re.search(rf"^{re.escape(package)}==([^\s;]+)", constraints, re.MULTILINE)
    return found[1] if found else None


def install(extra: str, venv: Path, *, choice: Choice | None, project: Path = ROOT) -> None:
    """Install an extra of the project, editable, and PyTorch before it.

    Args:
        extra: such as `demo`.
        venv: a virtual environment with pip.
        choice: where PyTorch comes from; None leaves it to pip.
        project: the folder with pyproject.toml and constraints.txt.

    Raises:
        subprocess.CalledProcessError: pip failed; its output states the reason.
    """
    # Python compiles a module when it imports it first; pip would compile all 8,500 of them, which takes 20 s.
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--no-compile"]
    constraints = ["--constraint", str(project / "constraints.txt")]
    if choice is not None and choice.url is not None:
        # Nothing but these two: what they need is pinned, and this index lacks some of those versions.
        index = ["--index-url", choice.url, "--no-deps"]
        found = subprocess.run([*pip, *constraints, *index, "torch", "torchaudio"], check=choice.wished)
        if found.returncode:
            print(f"{choice.url} has no torch for this machine; PyPI's follows, about {_CUDA_GB}.", flush=True)
    subprocess.run([*pip, *constraints, "--editable", f"{project}[{extra}]"], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(prog="deploy/install.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extra", help="extra: demo, train, export, distil, test, fuzz, check, docs or dev")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="made if it is missing (default: .venv)")
    parser.add_argument("--torch-index", default="", help=f"address of a package index, or {PYPI}")
    given = parser.parse_args(arguments)
    if sys.version_info < _OLDEST:
        running = ".".join(map(str, sys.version_info[:3]))
        print(
            f"Earwitness needs Python 3.11 or newer; this is {running}. Use: make PYTHON=python3.12", file=sys.stderr
        )
        return 2
    try:
        if not (given.venv / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(given.venv)], check=True)
        version = pinned((ROOT / "constraints.txt").read_text(), "torch")
        choice = None
        if version is not None and not list(given.venv.glob(f"lib/python*/site-packages/torch-{version}*.dist-info")):
            choice = choose(given.torch_index, version=version, system=sys.platform, gpu=has_nvidia_gpu())
            print(choice.line, flush=True)
        install(given.extra, given.venv, choice=choice)
    except subprocess.CalledProcessError as error:
        return int(error.returncode) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

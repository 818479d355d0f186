"""Which build of PyTorch is installed, decided and installed with real package indexes on loopback."""

import base64
import functools
import hashlib
import http.server
import importlib.util
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.install import PYPI, choose, has_nvidia_gpu, install, offers, pinned
from tests.ports import free_port

VERSION = "2.14.1"

BACKEND = """
import base64, hashlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    files = {
        "tiny-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\nProvides-Extra: demo\\n"
        "Requires-Dist: torch>=2.9; extra == \\"demo\\"\\n",
        "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr("tiny-1.dist-info/RECORD", "".join(f"{path},,\\n" for path in files))
    return name
"""
"""A build back end that needs nothing from an index."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Path]:
    """A folder whose `address` file contains where it is served; `torch/` in it is a page of PEP 503."""
    folder = tmp_path / "index"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        (folder / "address").write_text(f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def address(index: Path) -> str:
    return (index / "address").read_text()


def fill(index: Path, version: str) -> None:
    """Have an index offer one wheel of torch and one of torchaudio."""
    for package in ("torch", "torchaudio"):
        _offer(index, package, version)


def _offer(index: Path, package: str, version: str) -> None:
    page = index / package
    page.mkdir()
    name = f"{package}-{version}-py3-none-any.whl"
    files = {
        f"{package}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{package}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(page / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text)}\n"
        wheel.writestr(f"{package}-{version}.dist-info/RECORD", record)
    (page / "index.html").write_text(f'<a href="{name.replace("+", "%2B")}">{name}</a>')


@pytest.mark.parametrize("version", ["2.14.1+cpu", "2.14.1"])
def test_an_index_that_has_the_pinned_version_offers_it(index: Path, version: str) -> None:
    fill(index, version)
    assert offers(address(index), VERSION)
    assert offers(f"{address(index)}/", VERSION)


@pytest.mark.parametrize("version", ["2.14.10+cpu", "2.13.0+cpu"])
def test_an_index_with_other_versions_does_not_offer_it(index: Path, version: str) -> None:
    fill(index, version)
    assert not offers(address(index), VERSION)


def test_an_index_that_is_away_or_not_one_offers_nothing(index: Path) -> None:
    assert not offers(f"http://127.0.0.1:{free_port()}", VERSION)
    assert not offers(address(index), VERSION)
    assert not offers("no address", VERSION)


def test_an_index_that_does_not_answer_is_not_waited_for() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as silent:  # accepts, as it listens; never answers
        assert not offers(f"http://127.0.0.1:{silent.server_port}", VERSION, connect_s=0.2)


def test_without_a_gpu_the_small_build_is_taken_where_it_can_be_reached(index: Path) -> None:
    fill(index, "2.14.1+cpu")
    choice = choose("", version=VERSION, system="linux", gpu=False, cpu_index=address(index))
    assert choice.url == address(index)
    assert "without CUDA: downloads about 0.2 GB" in choice.line
    assert f"TORCH_INDEX={PYPI}" in choice.line


def test_where_the_small_build_cannot_be_reached_pypis_is_taken_and_the_line_states_why() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    choice = choose("", version=VERSION, system="linux", gpu=False, cpu_index=away)
    assert choice.url is None
    assert "downloads about 3.0 GB" in choice.line
    assert f"because {away} does not offer it" in choice.line
    assert "TORCH_INDEX=" in choice.line


def test_with_a_gpu_and_on_macos_no_index_is_asked(index: Path) -> None:
    fill(index, "2.14.1+cpu")
    for system, gpu in (("linux", True), ("darwin", False)):
        assert choose("", version=VERSION, system=system, gpu=gpu, cpu_index=address(index)).url is None


@pytest.mark.parametrize("gpu", [True, False])
def test_a_wish_is_followed(gpu: bool, index: Path) -> None:
    fill(index, "2.14.1+cpu")
    wished = choose("https://example.org/rocm", version=VERSION, system="linux", gpu=gpu, cpu_index=address(index))
    assert wished.url == "https://example.org/rocm"
    assert choose(PYPI, version=VERSION, system="linux", gpu=gpu, cpu_index=address(index)).url is None


@pytest.mark.parametrize("torch_index", ["", PYPI, "https://example.org/rocm"])
@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_it_is_one_line(torch_index: str, gpu: bool, system: str) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    line = choose(torch_index, version=VERSION, system=system, gpu=gpu, cpu_index=away).line
    assert line.startswith(f"PyTorch {VERSION} comes from ")
    assert "\n" not in line


def test_a_pin_is_read_with_and_without_a_marker() -> None:
    text = "torch-other==1\ntorch==2.14.1 ; sys_platform == 'linux'\nnumpy==2.4.6\n"
    assert pinned(text, "torch") == "2.14.1"
    assert pinned(text, "numpy") == "2.4.6"
    assert pinned(text, "absent") is None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside a virtual environment with nothing but pip, and no index that pip would ask by itself."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "constraints.txt").write_text(f"torch=={VERSION}\n")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}")
    pip = importlib.util.find_spec("pip")
    assert pip is not None
    assert pip.origin is not None
    venv.create(tmp_path / "venv", symlinks=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "pip").symlink_to(Path(pip.origin).parent)  # installing pip once more takes seconds
    return folder


def installed(folder: Path) -> list[str]:
    command = [str(folder / "bin" / "python"), "-m", "pip", "list", "--format=freeze"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_pin_takes_the_small_build(index: Path, project: Path, tmp_path: Path) -> None:
    fill(index, "2.14.1+cpu")
    choice = choose("", version=VERSION, system="linux", gpu=False, cpu_index=address(index))
    install("demo", tmp_path / "venv", choice=choice, project=project)
    assert {"torch==2.14.1+cpu", "tiny==1"} <= set(installed(tmp_path / "venv"))


def test_the_pin_takes_pypis_build(
    index: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(index, VERSION)
    monkeypatch.setenv("PIP_INDEX_URL", address(index))
    away = f"http://127.0.0.1:{free_port()}"
    choice = choose("", version=VERSION, system="linux", gpu=False, cpu_index=away)
    install("demo", tmp_path / "venv", choice=choice, project=project)
    assert {f"torch=={VERSION}", "tiny==1"} <= set(installed(tmp_path / "venv"))


def test_an_index_without_a_wheel_for_this_machine_gives_way_to_pypi_unless_it_was_wished(
    index: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(index, VERSION)
    other = index / "other" / "torch"
    other.mkdir(parents=True)
    (other / "index.html").write_text('<a href="torch-2.14.1%2Bcpu-cp311-cp311-win32.whl">torch</a>')
    monkeypatch.setenv("PIP_INDEX_URL", address(index))
    without = f"{address(index)}/other"
    wished = choose(without, version=VERSION, system="linux", gpu=False)
    with pytest.raises(subprocess.CalledProcessError):
        install("demo", tmp_path / "venv", choice=wished, project=project)
    choice = choose("", version=VERSION, system="linux", gpu=False, cpu_index=without)
    assert choice.url == without
    install("demo", tmp_path / "venv", choice=choice, project=project)
    assert f"{without} has no torch for this machine" in capfd.readouterr().out
    assert f"torch=={VERSION}" in installed(tmp_path / "venv")


def test_the_driver_of_a_gpu_is_seen_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_nvidia_gpu()


def test_the_help_names_the_extras() -> None:
    reported = subprocess.run(
        [sys.executable, "-m", "deploy.install", "--help"], check=True, capture_output=True, text=True
    )
    assert "demo" in reported.stdout
    assert "--torch-index" in reported.stdout

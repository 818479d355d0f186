"""The installer of sensors, run below a root folder with a real pip and wheel, without packages from an index."""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from shared.settings import load_settings
from tests.programs import program

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "install-sensor.sh"
UNIT = "etc/systemd/system/earwitness-edge.service"
MODES = {"edge.toml": 0o644, "servers.crt": 0o644, "sensor.crt": 0o644, "sensor.key": 0o600}
WHEEL = "earwitness-0.1.0-py3-none-any.whl"


def run(*arguments: str | Path, code: int = 0) -> str:
    """What the installer prints; its exit code must be the given one."""
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A sensor's folder, with files of the names that `deployment add-sensor` writes."""
    folder = tmp_path / "street-1"
    folder.mkdir()
    for name in MODES:
        (folder / name).write_text(f"# {name}\n")
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of this checkout's sensor, beside a constraints.txt."""
    written = {
        str(path.relative_to(ROOT)): path.read_bytes() for part in ("edge", "shared") for path in code_of(part)
    }
    about = "earwitness-0.1.0.dist-info"
    written[f"{about}/METADATA"] = b"Metadata-Version: 2.1\nName: earwitness\nVersion: 0.1.0\nProvides-Extra: edge\n"
    written[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    written[f"{about}/entry_points.txt"] = b"[console_scripts]\nearwitness-edge = edge.cli:main\n"
    record = "".join(f"{name},sha256={digest_of(data)},{len(data)}\n" for name, data in written.items())
    written[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    target = tmp_path / WHEEL
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in written.items():
            archive.writestr(name, data)
    (tmp_path / "constraints.txt").write_text("numpy>=1\n")
    return target


def code_of(part: str) -> list[Path]:
    return [path for path in sorted((ROOT / part).rglob("*")) if path.suffix in {".py", ".toml", ".typed"}]


def digest_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder whose virtual environment has a link to pip, because a copy takes seconds. pip asks no index."""
    folder = tmp_path / "card"
    made = folder / "opt" / "earwitness"
    venv.create(made, symlinks=True)
    pip = importlib.util.find_spec("pip")
    assert pip is not None
    assert pip.origin is not None
    (packages,) = (made / "lib").glob("python*/site-packages")
    (packages / "pip").symlink_to(Path(pip.origin).parent)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_COMPILE", "1")
    monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))  # the dependencies
    return folder


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time of the last change and content of every file but compiled code."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_mode & 0o777, status.st_mtime_ns, path.read_bytes())
    return found


def test_it_is_accepted_by_shellcheck_and_its_help_names_every_option() -> None:
    ran = subprocess.run([program("shellcheck"), str(SCRIPT)], capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == ""
    parsed = re.findall(r"^        (--[^)\n\"]+)\)", SCRIPT.read_text(), re.MULTILINE)
    options = {option for line in parsed for option in line.split(" | ")}
    shown = run("--help")
    assert len(options) > 15
    assert [option for option in options if option not in shown] == []


def test_a_sensor_is_installed_below_a_folder_and_a_second_run_changes_nothing(
    root: Path, wheel: Path, files: Path
) -> None:
    systemd_analyze = program("systemd-analyze")
    options = ("--root", root, "--source", wheel, "--files", files, "--hardware-watchdog")
    assert "would install" in run(*options, "--dry-run")
    assert not (root / "etc").exists()

    run(*options)
    installed = tree(root)
    for name, mode in MODES.items():
        assert installed[f"etc/earwitness/{name}"][::2] == (mode, (files / name).read_bytes())
    assert installed[UNIT][2] == (ROOT / "deploy" / "systemd" / "earwitness-edge.service").read_bytes()
    assert b"\nRuntimeWatchdogSec=15\n" in installed["etc/systemd/system.conf.d/earwitness-watchdog.conf"][2]
    link = root / "etc/systemd/system/multi-user.target.wants/earwitness-edge.service"
    assert link.is_symlink()
    script = root / "opt/earwitness/bin/earwitness-edge"
    assert str(root) not in script.read_text(), "the folder of the root is another path when the card runs"
    copied = root.parent / "earwitness-edge.service"
    copied.write_text((root / UNIT).read_text().replace("/opt/earwitness/bin", str(script.parent)))
    verified = subprocess.run([systemd_analyze, "verify", copied], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")

    assert "nothing changed" in run(*options)
    assert tree(root) == installed
    (files / "edge.toml").write_text("# another\n")
    assert "edge.toml, which differs (--overwrite replaces it)" in run(*options)
    assert tree(root) == installed

    check_settings(root, wheel, files)

    assert "kept: " in run("--root", root, "--uninstall")
    assert (root / "etc/earwitness/sensor.key").exists()
    for removed in (link, root / UNIT, root / "opt/earwitness"):
        assert not os.path.lexists(removed)
    run("--root", root, "--uninstall", "--purge")
    assert tree(root) == {}
    assert "nothing is installed" in run("--root", root, "--uninstall")


def check_settings(root: Path, wheel: Path, files: Path) -> None:
    """Names and a broker make the settings."""
    written = root / "etc/earwitness/edge.toml"
    written.unlink()
    certificates = ("--ca", files / "servers.crt", "--cert", files / "sensor.crt", "--key", files / "sensor.key")
    options = (
        "--root",
        root,
        "--source",
        wheel,
        "--site",
        "harbour",
        "--broker",
        "noise.example:8884",
        *certificates,
    )
    run(*options, "--sensor", "street-2", "--set", "source.device=USB")
    settings = load_settings(EdgeSettings, written, [])
    assert (settings.sensor.site, settings.sensor.name) == ("harbour", "street-2")
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.tls) == ("noise.example", 8884, True)
    assert settings.mqtt.key_file == Path("/etc/earwitness/sensor.key")
    assert (settings.source.kind, settings.source.device) == ("microphone", "USB")
    assert settings.spool_path() == Path("/var/lib/earwitness-edge/spool.db")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--nothing"], "unknown argument --nothing"),
        (["--files"], "--files needs a value"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--root", "/nowhere"], "--root /nowhere is no folder"),
        (["--dry-run", "--source", "/nowhere"], "--source /nowhere does not exist"),
        (["--dry-run", "--site", "a"], "--sensor is missing"),
        (["--dry-run", "--files", "/nowhere"], "--files /nowhere has no edge.toml that can be read"),
        (["--dry-run", "--extra", "hub"], "--extra hub: edge or privacy"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], fault: str) -> None:
    assert f"install-sensor.sh: {fault}" in run(*arguments, code=2)


def test_without_root_the_error_names_sudo(tmp_path: Path) -> None:
    script = shutil.copy(SCRIPT, tmp_path)
    for folder in tmp_path.parents[:-2]:
        folder.chmod(folder.stat().st_mode | 0o111)
    tmp_path.chmod(0o755)
    user = 65_534 if os.getuid() == 0 else None
    ran = subprocess.run(["bash", script], capture_output=True, text=True, check=False, user=user)
    assert (ran.returncode, "run it again with sudo" in ran.stderr) == (1, True)

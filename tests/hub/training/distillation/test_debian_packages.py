"""Recordings from Debian packages; how they are fetched whole is tested in `test_learning`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from hub.training.distillation import debian_packages
from hub.training.distillation.debian_packages import PACKAGES, RELEASE, fetch_packages
from shared.errors import UnavailableError
from tests.programs import program

PACKAGE = "tiny-sounds"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A real package with one file, of a version with an epoch as apt writes it."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "bark.wav").write_bytes(b"RIFF")
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {PACKAGE}\nVersion: 1:2\nArchitecture: all\nMaintainer: us <a@example.org>\nDescription: sounds\n"
    )
    made = tmp_path / f"{PACKAGE}_1%3a2_all.deb"
    subprocess.run([program("dpkg-deb"), "--build", tree, made], check=True, capture_output=True)
    return made


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get first on the path, to be written by the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(debian_packages, "PACKAGES", (PACKAGE,))
    return programs / "apt-get"


def script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def test_the_list_is_sorted_and_of_names_that_debian_allows() -> None:
    assert list(PACKAGES) == sorted(PACKAGES)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in PACKAGES)


def test_a_package_is_only_downloaded_and_nothing_is_left_but_what_was_in_it(
    archive: Path, apt: Path, tmp_path: Path
) -> None:
    script(apt, f'echo "$@" > {tmp_path}/arguments', f"cp {archive} .")
    into = fetch_packages(tmp_path / "some" / "where")
    assert into == tmp_path / "some" / "where"
    assert (tmp_path / "arguments").read_text().split() == ["download", "--quiet", PACKAGE]
    assert [path.name for path in into.iterdir()] == [PACKAGE]
    assert (into / PACKAGE / "usr" / "share" / "bark.wav").read_bytes() == b"RIFF"


def test_what_was_half_unpacked_when_it_was_stopped_is_unpacked_again(
    archive: Path, apt: Path, tmp_path: Path
) -> None:
    script(apt, f"cp {archive} .")
    into = tmp_path / "unpacked"
    (into / f".{PACKAGE}" / "usr" / "share").mkdir(parents=True)
    (into / f".{PACKAGE}" / "usr" / "share" / "bark.wav").write_bytes(b"RI")
    fetch_packages(into)
    assert [path.name for path in into.iterdir()] == [PACKAGE]
    assert (into / PACKAGE / "usr" / "share" / "bark.wav").read_bytes() == b"RIFF"


def test_what_apt_complains_of_is_passed_on(apt: Path, tmp_path: Path) -> None:
    script(apt, "echo 'E: Unable to locate' >&2", "exit 100")
    with pytest.raises(UnavailableError, match=rf"download --quiet {PACKAGE} failed: E: Unable to locate$"):
        fetch_packages(tmp_path / "unpacked")


def test_a_damaged_package_is_reported_and_not_taken_for_unpacked(apt: Path, tmp_path: Path) -> None:
    script(apt, f"echo nonsense > {PACKAGE}_1_all.deb")
    with pytest.raises(UnavailableError, match="--extract"):
        fetch_packages(tmp_path / "unpacked")
    assert not (tmp_path / "unpacked" / PACKAGE).exists()


def test_a_machine_with_apt_but_no_dpkg_gets_an_error_with_the_needed_debian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "apt-get", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UnavailableError, match=f"Debian {RELEASE}: apt-get and dpkg-deb are needed"):
        fetch_packages(tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_nothing_is_asked_of_apt_if_all_is_there(apt: Path, tmp_path: Path) -> None:
    script(apt, "exit 1")
    (tmp_path / "unpacked" / PACKAGE).mkdir(parents=True)
    reported: list[str] = []
    fetch_packages(tmp_path / "unpacked", reported.append)
    assert reported == [PACKAGE]

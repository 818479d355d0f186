"""`make test-deps` installs what is missing, once, and reports in words what keeps it from doing so."""

import os
from pathlib import Path

import pytest

from tests.system_packages import Needed, main, read_table

PURPOSE = "does what no other program does"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.toml"
    path.write_text(
        f'[programs.earful]\npackage = "earful-tools"\npurpose = "{PURPOSE}"\n'
        f'[programs.sh]\npackage = "dash"\npurpose = "is everywhere"\n[libraries]\n'
    )
    return path


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get on a path without sudo; it notes its arguments, and installs a program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "chmod"):
        (folder / name).symlink_to(f"/bin/{name}")
    apt = folder / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\necho "#!/bin/sh" > {folder}/earful\nchmod +x {folder}/earful\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return folder


def apt_calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_what_is_missing_is_named_and_installed_once(
    table: Path, apt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--table", str(table)]) == 0
    printed = capsys.readouterr().out
    assert f"missing: earful (Debian package earful-tools): {PURPOSE}" in printed
    assert "Installing with apt-get: earful-tools" in printed
    install = "install --yes --quiet --no-install-recommends earful-tools"
    assert apt_calls(apt) == ["update --quiet", install]
    assert main(["--table", str(table)]) == 0
    assert apt_calls(apt) == ["update --quiet", install], "the second time there is nothing to do"
    assert capsys.readouterr().out == "All 2 programs and libraries that tests need are installed.\n"


def test_a_dry_run_names_what_is_missing_and_installs_nothing(table: Path, apt: Path) -> None:
    assert main(["--table", str(table), "--dry-run"]) == 1
    assert apt_calls(apt) == []


def test_a_user_without_sudo_gets_the_command_that_root_has_to_run(
    table: Path, apt: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["--table", str(table)]) == 1
    words = capsys.readouterr().err
    assert words.startswith("Only root can install packages, and sudo is not here. As root, run: apt-get install ")
    assert words.endswith(" earful-tools\n")
    assert apt_calls(apt) == []


def test_a_user_with_sudo_is_asked_through_it(
    table: Path, apt: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (apt / "sudo").write_text('#!/bin/sh\n[ "$1" = DEBIAN_FRONTEND=noninteractive ] && shift && exec "$@"\n')
    (apt / "sudo").chmod(0o755)
    assert main(["--table", str(table)]) == 0
    assert "sudo may ask for your password" in capsys.readouterr().out
    assert len(apt_calls(apt)) == 2


def test_an_installation_that_fails_or_brings_nothing_is_reported(
    table: Path, apt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (apt / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    assert main(["--table", str(table)]) == 1
    assert "`apt-get update --quiet` failed" in capsys.readouterr().err
    (apt / "apt-get").write_text("#!/bin/sh\n")
    assert main(["--table", str(table)]) == 1
    assert "Still missing after the installation: earful" in capsys.readouterr().err
    (apt / "apt-get").unlink()
    assert main(["--table", str(table)]) == 1
    assert "apt-get is not here" in capsys.readouterr().err


def test_a_library_is_there_only_if_it_can_be_loaded() -> None:
    assert Needed("library", "c", "libc6", PURPOSE).locate() is not None
    assert Needed("library", "no-such-library", "none", PURPOSE).locate() is None


def test_the_table_lists_each_name_once_in_order() -> None:
    programs = [needed.name for needed in read_table() if needed.kind == "program"]
    assert programs == sorted(programs)
    assert os.sep not in "".join(programs)

"""The file of a backup: private, complete or refused, and checked by other programs too."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hub.store.backup.backup_file import CONTENTS, FORMAT, HEADER, SOUND, BackupReader, BackupWriter, holds_rows
from hub.store.backup.values import Row
from shared.errors import InvalidError, UnavailableError

ROWS = [Row(b"ew:alert:%d" % number, "string", True, None, bytes(100)) for number in range(50)]
CLIP = f"{SOUND}demo/street-1/2026-06-01/demo.street-1.boot.1.flac"


def quiet(_done: int, _of: int) -> None:
    """Report no progress."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "backup.tar"
    with BackupWriter(file, {"schema": 2}) as writer:
        for row in ROWS:
            writer.add_row(row)
        writer.add_file(CLIP, io.BytesIO(b"fLaC" + bytes(2_000)), 2_004)
        writer.finish({"keys": 50})
    return file


def test_rows_and_parts_come_back(path: Path) -> None:
    reader = BackupReader(path)
    assert reader.header() == {"format": FORMAT, "schema": 2}
    assert reader.verify(quiet) == {"keys": 50}
    found: list[Row] = []
    names = []
    for name, part in reader.parts():
        names.append(name)
        if holds_rows(name):
            found += reader.rows(part)
    assert found == ROWS
    assert names == [HEADER, CLIP, "store/000001.cbor", CONTENTS, "SHA256SUMS"]


def test_the_file_is_its_owners_alone_and_stands_under_its_name_when_it_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    with BackupWriter(file, {}) as writer:
        assert [one.stat().st_mode & 0o777 for one in tmp_path.iterdir()] == [0o600]
        assert not file.exists()
        writer.finish({})
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidError, match="exists: give another name"):
        BackupWriter(file, {})
    with pytest.raises(UnavailableError), BackupWriter(tmp_path / "no folder" / "backup.tar", {}):
        pass
    other = tmp_path / "cut.tar"
    with pytest.raises(KeyError), BackupWriter(other, {}):
        raise KeyError
    assert [one.name for one in tmp_path.iterdir()] == ["backup.tar"]


def test_tar_and_sha256sum_check_it(path: Path, tmp_path: Path) -> None:
    command = f"tar --extract --file {path} && sha256sum --check --strict --quiet SHA256SUMS"
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True)
    assert (tmp_path / CLIP).stat().st_size == 2_004


def test_any_changed_byte_of_content_is_found_and_named(path: Path) -> None:
    whole = path.read_bytes()
    for sign, name in ((b"fLaC", CLIP), (b"ew:alert:7", "store/000001.cbor"), (b'"keys"', CONTENTS)):
        at = whole.index(sign)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InvalidError, match=f"damaged: the part {name} does not match its checksum"):
            BackupReader(path).verify(quiet)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole.rstrip(b"\0")) * share)])
    with pytest.raises(InvalidError, match="is damaged"):
        BackupReader(path).verify(quiet)


def test_changed_blocks_are_refused(path: Path) -> None:
    whole = path.read_bytes().rstrip(b"\0")
    for at in range(0, len(whole), 512):
        path.write_bytes(whole[:at] + bytes(512) + whole[at + 512 :])
        with pytest.raises(InvalidError):
            BackupReader(path).verify(quiet)


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(10_240)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other"
    file.write_bytes(content)
    with pytest.raises(InvalidError):
        BackupReader(file).header()


def test_a_backup_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "backup.tar"
    monkeypatch.setattr("hub.store.backup.backup_file.FORMAT", "earwitness-backup/9")
    with BackupWriter(file, {}) as writer:
        writer.finish({})
    monkeypatch.undo()
    with pytest.raises(InvalidError, match="format 'earwitness-backup/9'"):
        BackupReader(file).header()


def test_what_is_no_row_is_refused(path: Path) -> None:
    reader: Any = BackupReader(path)
    with pytest.raises(InvalidError, match=r"cannot be read|is none"):
        list(reader.rows(io.BytesIO(b"\x85\x01")))

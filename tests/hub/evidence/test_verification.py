"""A report that was changed is found, and what was changed is named."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from hub.evidence.archive import MANIFEST, PDF, PUBLIC_KEY, SIGNATURE, SIGNED, EvidenceArchive, hash_list
from hub.evidence.signing import PublicKey, SigningKey
from hub.evidence.verification import Finding, verify

FILES = {"clips/a.flac": b"fLaC", "levels.csv": b"60.1\r\n"}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("key") / "evidence.key")


def sealed(key: SigningKey) -> bytes:
    """A small report as the hub writes it."""
    file = io.BytesIO()
    archive = EvidenceArchive(file)
    for name, data in {**FILES, PUBLIC_KEY: key.public.pem}.items():
        archive.add(name, [data])
    archive.add(MANIFEST, [hash_list(archive.hashes)])
    archive.add(PDF, [b"%PDF-"])
    signed = hash_list({name: archive.hashes[name] for name in (MANIFEST, PDF)})
    archive.add(SIGNED, [signed])
    archive.add(SIGNATURE, [key.sign(signed)])
    archive.close()
    return file.getvalue()


def rewritten(data: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """The same archive with some files added, replaced or removed, each in the form of the hub."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    file = io.BytesIO()
    copy = EvidenceArchive(file)
    for name, content in {**files, **changes}.items():
        if content is not None:
            copy.add(name, [content])
    copy.close()
    return file.getvalue()


def findings(folder: Path, data: bytes, key: PublicKey | None = None) -> tuple[Finding, ...]:
    path = folder / "report.zip"
    path.write_bytes(data)
    return verify(path, key).findings


def test_a_report_is_as_it_was_signed_with_and_without_the_key(tmp_path: Path, key: SigningKey) -> None:
    data = sealed(key)
    assert findings(tmp_path, data) == ()
    assert findings(tmp_path, data, key.public) == ()
    found = verify(tmp_path / "report.zip")
    assert (found.files, found.fingerprint) == (7, key.public.fingerprint)


def test_a_changed_byte_is_found_wherever_it_is_and_its_file_named(tmp_path: Path, key: SigningKey) -> None:
    data = sealed(key)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {
            place: info.filename
            for info in archive.infolist()
            for start in [info.header_offset + 30 + len(info.filename)]
            for place in range(start, start + info.file_size)
        }
    for place in range(0, len(data), 5):
        changed = bytearray(data)
        changed[place] ^= 0x10
        found = findings(tmp_path, bytes(changed))
        assert found, place
        if place in contents:
            assert contents[place] in {one.name for one in found}, place


def test_bytes_that_belong_to_no_file_are_found(tmp_path: Path, key: SigningKey) -> None:
    data = sealed(key)
    for changed in (b"x" + data, data + b"x", data[:-1], b"", b"no zip"):
        assert [one.name for one in findings(tmp_path, changed)] == ["report.zip"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"levels.csv": b"59.1\r\n"}, {"levels.csv"}),
        ({"clips/a.flac": None}, {"clips/a.flac"}),
        ({"extra.csv": b""}, {"extra.csv"}),
        ({PDF: None}, {PDF}),
        ({MANIFEST: b""}, {MANIFEST, "levels.csv", "clips/a.flac", PUBLIC_KEY}),
        ({SIGNED: b""}, {SIGNED, SIGNATURE, MANIFEST, PDF}),
        ({SIGNATURE: None}, {SIGNED, SIGNATURE}),
        ({PUBLIC_KEY: b"none"}, {PUBLIC_KEY}),
    ],
)
def test_a_changed_missing_or_further_file_is_named(
    tmp_path: Path, key: SigningKey, changes: dict[str, bytes | None], named: set[str]
) -> None:
    assert {one.name for one in findings(tmp_path, rewritten(sealed(key), changes), key.public)} == named


def test_a_report_that_another_key_signed_is_refused_by_the_given_key(tmp_path: Path, key: SigningKey) -> None:
    other = SigningKey.open(tmp_path / "other.key")
    forged = sealed(other)
    assert findings(tmp_path, forged) == ()
    assert {one.name for one in findings(tmp_path, forged, key.public)} == {PUBLIC_KEY, SIGNED, SIGNATURE}

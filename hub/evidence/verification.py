"""Verify an evidence report: signature, hashes, and the form of the archive. It needs no store."""

import hashlib
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from hub.evidence.archive import (
    LAST,
    MANIFEST,
    PDF,
    PUBLIC_KEY,
    SIGNATURE,
    SIGNED,
    EvidenceArchive,
    parse_hash_list,
)
from hub.evidence.signing import PublicKey
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable

_CHUNK: Final = 1 << 20
_MOST_LISTED: Final = 64 * 1024 * 1024
"""Most bytes of a list of hashes."""

_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError, ValueError)
"""Exceptions of reading a damaged archive."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: the file, or the archive itself, and what."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a check.

    Attributes:
        findings: what is wrong; none if the report is as it was signed.
        files: number of files that were checked.
        fingerprint: of the public key that was used; "" if there is none.
    """

    findings: tuple[Finding, ...]
    files: int
    fingerprint: str


def verify(path: Path, key: PublicKey | None = None) -> Verification:
    """Check an evidence report.

    Args:
        path: of the zip.
        key: must have signed it; None: the key inside, which shows only that nothing was changed after signing.

    Raises:
        UnavailableError: the file cannot be read.
    """
    name = printable(path.name)
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnavailableError(f"cannot read {printable(path)}: {error.strerror}") from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _verified(name, file, archive, key)
        except _DAMAGED as error:
            return Verification((Finding(name, f"the archive cannot be read: {error}"),), 0, "")


def _verified(name: str, file: IO[bytes], archive: zipfile.ZipFile, key: PublicKey | None) -> Verification:
    names = archive.namelist()
    twice = sorted(one for one, number in Counter(names).items() if number > 1)
    findings = [Finding(one, "the file occurs twice") for one in twice]
    found: dict[str, str | None] = {one: _digest(archive, one) for one in dict.fromkeys(names)}
    lists = {one: _content(archive, one) for one in (MANIFEST, SIGNED, SIGNATURE, PUBLIC_KEY) if one in found}
    signer, problem = _signer(lists.get(PUBLIC_KEY, b""), key)
    findings += problem
    if signer is not None and not signer.signed(lists.get(SIGNED, b""), lists.get(SIGNATURE, b"")):
        findings.append(Finding(SIGNED, f"{SIGNATURE} is not the signature of this file by the key"))
        findings.append(Finding(SIGNATURE, f"it is not the signature of {SIGNED} by the key"))
    signed, manifest = (parse_hash_list(lists.get(one, b"")) for one in (SIGNED, MANIFEST))
    stated = {one: digest for one, digest in signed.items() if one in {MANIFEST, PDF}}
    stated |= {one: digest for one, digest in manifest.items() if one not in LAST}
    findings += _compared(found, stated)
    if not findings and not _is_in_form(file, archive):
        findings.append(Finding(name, "the archive has other bytes than those of its files"))
    return Verification(tuple(findings), len(found), "" if signer is None else signer.fingerprint)


def _signer(inside: bytes, key: PublicKey | None) -> tuple[PublicKey | None, list[Finding]]:
    """Return the key that must have signed, and what is wrong with the key inside."""
    try:
        own = PublicKey.from_pem(inside, PUBLIC_KEY)
    except InvalidError as error:
        return key, [Finding(PUBLIC_KEY, str(error))]
    if key is not None and own.fingerprint != key.fingerprint:
        return key, [Finding(PUBLIC_KEY, f"another key ({own.fingerprint}) than the given one ({key.fingerprint})")]
    return own, []


def _compared(found: Mapping[str, str | None], stated: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the files that are missing, changed, or in no list."""
    for one in (MANIFEST, PDF):
        if one not in stated:
            yield Finding(one, f"{SIGNED} does not list it")
    for one, digest in stated.items():
        if one not in found:
            yield Finding(one, "the file is missing")
        elif found[one] != digest:
            yield Finding(one, "the file was changed")
    for one in found:
        if one not in stated and one not in {MANIFEST, PDF, SIGNED, SIGNATURE}:
            yield Finding(one, f"{MANIFEST} does not list it")


def _digest(archive: zipfile.ZipFile, name: str) -> str | None:
    """Return the SHA-256 of a file; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with archive.open(name) as file:
            while part := file.read(_CHUNK):
                digest.update(part)
    except _DAMAGED:
        return None
    return digest.hexdigest()


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of a small file; empty if it cannot be read."""
    try:
        with archive.open(name) as file:
            return file.read(_MOST_LISTED)
    except _DAMAGED:
        return b""


def _is_in_form(file: IO[bytes], archive: zipfile.ZipFile) -> bool:
    """Return whether the archive is byte for byte what its files make."""
    with tempfile.TemporaryFile() as again:
        with closing(EvidenceArchive(again)) as copy:
            for name in archive.namelist():
                with archive.open(name) as source:
                    copy.add(name, iter(partial(source.read, _CHUNK), b""))
        file.seek(0)
        again.seek(0)
        while True:
            ours, theirs = again.read(_CHUNK), file.read(_CHUNK)
            if ours != theirs:
                return False
            if not ours:
                return True

"""The file of a backup: a tar archive that only its owner may read, with a checksum of each part.

| part | content |
|---|---|
| `backup.json` | first: format, schema version, program, hub, time |
| `store/000001.cbor` ... | rows of keys (`hub.store.backup.values`), a CBOR sequence each |
| `users.json` | users and API tokens |
| `sound/...` | files of sound, as in `store.audio_dir` |
| `contents.json` | numbers of keys and files, position of the stream of changes |
| `SHA256SUMS` | last: checksums of all parts before it; `sha256sum --check` reads it |

A file that lacks its last part is damaged. Source: POSIX.1-2001, pax; RFC 8742; GNU coreutils, sha256sum.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, Self

import cbor2

from hub.store.backup.values import Row, row_of
from shared.errors import InvalidError, UnavailableError
from shared.paths import printable

FORMAT: Final = "earwitness-backup/1"
HEADER: Final = "backup.json"
CONTENTS: Final = "contents.json"
USERS: Final = "users.json"
SOUND: Final = "sound/"
_STORE: Final = "store/"
_SUMS: Final = "SHA256SUMS"
_MODE: Final = 0o600
_PART_BYTES: Final = 8 * 1024 * 1024
_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Longest part that is read as a whole, besides rows."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, of how many)."""


class BackupWriter:
    """Writes a backup; the file stands under its name once `finish` has ended.

    Args:
        path: the file; it must not exist.
        header: what `backup.json` states besides the format.

    Raises:
        InvalidError: the file exists.
        UnavailableError: it cannot be written.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        if path.exists():
            raise InvalidError(f"{printable(path)} exists: give another name, or remove it")
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._rows = bytearray()
        self._parts = 0
        with _translated(path):
            self._partial.unlink(missing_ok=True)
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._sums = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self.add(HEADER, _document({"format": FORMAT, **header}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        with suppress(OSError):  # of a full disk, which another error states
            self._tar.close()
            self._file.close()
        self._sums.close()
        self._partial.unlink(missing_ok=True)

    def add_row(self, row: Row) -> None:
        """Write a row of a key."""
        self._rows += cbor2.dumps(row)
        if len(self._rows) >= _PART_BYTES:
            self._flush()

    def add(self, name: str, data: bytes) -> None:
        """Write a part."""
        self.add_file(name, io.BytesIO(data), len(data))

    def add_file(self, name: str, file: IO[bytes], size: int) -> None:
        """Write a part from an open file of a known size, in bytes."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, _MODE
        hashed = _Hashing(file)
        with _translated(self._path):
            self._tar.addfile(info, hashed)
        self._tar.members = []  # type: ignore[attr-defined] # else it remembers all of them
        self._sums.write(_line(hashed.digest(), name))

    def finish(self, contents: dict[str, Any]) -> int:
        """Write what is left, and give the file its name.

        Args:
            contents: what `contents.json` states.

        Returns:
            Bytes of the file.
        """
        self._flush()
        self.add(CONTENTS, _document(contents))
        size = self._sums.seek(0, os.SEEK_END)
        self._sums.seek(0)
        info = tarfile.TarInfo(_SUMS)
        info.size, info.mode = size, _MODE
        with _translated(self._path):
            self._tar.addfile(info, self._sums)
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._partial.replace(self._path)
            return self._path.stat().st_size

    def _flush(self) -> None:
        if self._rows:
            self._parts += 1
            self.add(f"{_STORE}{self._parts:06}.cbor", bytes(self._rows))
            self._rows.clear()


class BackupReader:
    """Reads a backup.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def header(self) -> dict[str, Any]:
        """Return what `backup.json` states.

        Raises:
            InvalidError: the file is no backup, or of a format that this program does not know.
            UnavailableError: it cannot be read.
        """
        for name, part in self.parts():
            found = _json(part) if name == HEADER else None
            if not isinstance(found, dict) or "format" not in found:
                break
            if found["format"] != FORMAT:
                raise InvalidError(
                    f"{printable(self._path)} has the format {found['format']!r}, this program knows {FORMAT}: take"
                    " the earwitness-hub that made it, or a newer one"
                )
            return found
        raise InvalidError(f"{printable(self._path)} is no backup of earwitness-hub")

    def verify(self, progress: Progress) -> dict[str, Any]:
        """Compare all parts with their checksums, and return what `contents.json` states.

        Raises:
            InvalidError: a part is damaged or missing; the text names it.
            UnavailableError: the file cannot be read.
        """
        contents: dict[str, Any] | None = None
        ended = False
        with tempfile.TemporaryFile() as sums:
            for name, part in self.parts(progress):
                if ended:
                    raise self._damaged(f"the part {name} follows the checksums")
                if name == _SUMS:
                    self._compare(sums, part)
                    ended = True
                    continue
                hashed = _Hashing(part)
                if name == CONTENTS:
                    contents = _json(hashed)
                while hashed.read(1 << 20):
                    pass
                sums.write(_line(hashed.digest(), name))
        if not ended or not isinstance(contents, dict):
            raise self._damaged("it ends early")
        return contents

    def rows(self, part: IO[bytes]) -> Iterator[Row]:
        """Yield the rows of a part whose name `holds_rows`.

        Raises:
            InvalidError: it holds something else.
        """
        data = io.BytesIO(part.read())
        decoder, end = cbor2.CBORDecoder(data), data.getbuffer().nbytes
        while data.seek(0, os.SEEK_CUR) < end:
            try:
                value = decoder.decode()
            except (cbor2.CBORDecodeError, ValueError) as error:
                raise self._damaged(f"a row cannot be read ({error})") from error
            yield row_of(value)

    def parts(self, progress: Progress = lambda *_: None) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield the name and content of each part; the content must be read before the next part.

        Raises:
            InvalidError: the file is damaged.
            UnavailableError: it cannot be read.
        """
        with _translated(self._path, "read"), self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            try:
                with tarfile.open(fileobj=file, mode="r|") as tar:
                    for member in tar:
                        content = tar.extractfile(member) if member.isreg() else None
                        if content is None:
                            raise self._damaged(f"{printable(member.name)} is no part of a backup")
                        yield member.name, io.BufferedReader(_Content(content, self._damaged), 1 << 20)
                        tar.members = []  # type: ignore[attr-defined] # else it remembers all of them
                        progress(file.seek(0, os.SEEK_CUR), size)
            except (tarfile.TarError, EOFError) as error:
                raise self._damaged(str(error)) from error

    def _compare(self, sums: IO[bytes], part: IO[bytes]) -> None:
        sums.seek(0)
        for stated in part:
            if stated != (found := sums.readline()):
                name = (stated.split(b"  ")[-1] or found.split(b"  ")[-1]).strip().decode(errors="replace")
                raise self._damaged(f"the part {printable(name)} does not match its checksum")
        if sums.readline():
            raise self._damaged("a part has no checksum")

    def _damaged(self, why: str) -> InvalidError:
        return InvalidError(f"{printable(self._path)} is damaged: {why}. Nothing was written; take another backup")


def holds_rows(name: str) -> bool:
    """Return whether a part holds rows of keys."""
    return name.startswith(_STORE)


class _Content(io.RawIOBase):
    """The content of a part; damage is an `InvalidError`."""

    def __init__(self, file: IO[bytes], damaged: Callable[[str], InvalidError]) -> None:
        self._file = file
        self._damaged = damaged

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        try:
            data = self._file.read(len(buffer))
        except tarfile.TarError as error:
            raise self._damaged(str(error)) from error
        buffer[: len(data)] = data
        return len(data)


class _Hashing:
    """A file that is read, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def _line(digest: str, name: str) -> bytes:
    return f"{digest}  {name}\n".encode()


def _document(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=1).encode() + b"\n"


def _json(part: Any) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(part.read(_DOCUMENT_BYTES))
    except ValueError:
        return None


@contextmanager
def _translated(path: Path, what: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"cannot {what} {printable(path)}: {error.strerror or error}") from error

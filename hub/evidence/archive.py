"""The zip of an evidence report: written and read in one form only, so that each of its bytes can be checked.

Files are stored without compression, with the time of 1980 that zip files begin with. `MANIFEST` lists the SHA-256
of each file before it. `SIGNED` lists those of the manifest and of the PDF, which states the hash of the manifest on
each page. `SIGNATURE` signs `SIGNED`. Both lists have the form of `sha256sum`, so that other programs check them.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

MANIFEST: Final = "manifest.sha256"
PDF: Final = "report.pdf"
SIGNED: Final = "signed.sha256"
SIGNATURE: Final = "signed.sha256.sig"
PUBLIC_KEY: Final = "public-key.pem"
LAST: Final = (MANIFEST, PDF, SIGNED, SIGNATURE)
"""The last files, in order."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_CHUNK: Final = 1 << 20


class EvidenceArchive:
    """Writes the files of a report.

    Args:
        file: to write to; it can be read and searched.

    Attributes:
        hashes: SHA-256 of each file written, in order.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self.hashes: dict[str, str] = {}

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file."""
        digest = hashlib.sha256()
        with self._zip.open(entry(name), "w") as file:
            for part in parts:
                digest.update(part)
                file.write(part)
        self.hashes[name] = digest.hexdigest()

    def close(self) -> None:
        """Write the directory of the archive."""
        self._zip.close()


def entry(name: str) -> zipfile.ZipInfo:
    """Return the head of a file in the archive."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = 0o100644 << 16
    return info


def hash_list(hashes: dict[str, str]) -> bytes:
    """Return hashes as `sha256sum` writes them."""
    return "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode()


def parse_hash_list(data: bytes) -> dict[str, str]:
    """Return the hashes of a list by file; lines of another form are left out."""
    lines = (line.split("  ", 1) for line in data.decode(errors="replace").splitlines())
    return {line[1]: line[0] for line in lines if len(line) == 2}


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in parts."""
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            yield part

"""Files of a deployment: written whole or not at all, and read in words."""

import os
from pathlib import Path

from hub.deployment.certificate_authority import Authority, IssuedCertificate
from shared.errors import InvalidError


def write_pair(folder: Path, name: str, issued: IssuedCertificate) -> None:
    """Write a certificate and its key."""
    write(folder / f"{name}.key", issued.key, secret=True)
    write(folder / f"{name}.crt", issued.certificate)


def write(path: Path, content: str | bytes, *, secret: bool = False) -> None:
    """Write a file whole or not at all; a secret one is never readable by others, not for a moment."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def read(path: Path) -> bytes:
    """What a file holds.

    Raises:
        Invalid: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidError(f"cannot read {path}: {error.strerror}") from error


def authority_of(folder: Path, name: str) -> Authority:
    """One of the deployment's authorities, from its folder `ca`.

    Raises:
        Invalid: a file is missing or damaged.
    """
    own = folder / "ca"
    return Authority.read(own / f"{name}.crt", own / f"{name}.key", own / f"{name}.crl")

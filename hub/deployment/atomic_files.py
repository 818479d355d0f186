"""Read the files of a deployment, and write them atomically."""

import os
from pathlib import Path

from hub.deployment.certificate_authority import Authority, IssuedCertificate
from shared.errors import InvalidError


def write_pair(folder: Path, name: str, issued: IssuedCertificate) -> None:
    """Write a certificate and its key."""
    write(folder / f"{name}.key", issued.key, secret=True)
    write(folder / f"{name}.crt", issued.certificate)


def write(path: Path, content: str | bytes, *, secret: bool = False) -> None:
    """Write a file atomically; a secret file is readable by its owner only from the start."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InvalidError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidError(f"cannot read {path}: {error.strerror}") from error


def authority_of(folder: Path, name: str) -> Authority:
    """Return one of the deployment's authorities, from the folder `ca`.

    Raises:
        InvalidError: a file is missing or damaged.
    """
    ca = folder / "ca"
    return Authority.read(ca / f"{name}.crt", ca / f"{name}.key", ca / f"{name}.crl")

"""The Ed25519 key that signs evidence reports (RFC 8032), and its fingerprint."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from shared.errors import InvalidError, UnavailableError
from shared.paths import printable

_OTHERS: Final = 0o077
_MOST_BYTES: Final = 65_536


class PublicKey:
    """A public key that verifies reports.

    Args:
        key: the key.
    """

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> "PublicKey":
        """Return the key of a PEM file.

        Args:
            pem: content of the file.
            name: of the file, for errors.

        Raises:
            InvalidError: no PEM file of an Ed25519 public key.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidError(f"{name} is no public key in PEM form") from error
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidError(f"{name} is no Ed25519 key")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """Return the key as a PEM file."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the key (SubjectPublicKeyInfo, DER) as hexadecimal digits."""
        return hashlib.sha256(self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Return whether the signature is that of the data."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private key of a hub.

    Args:
        key: the key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data, 64 bytes."""
        return self._key.sign(data)

    @classmethod
    def open(cls, path: Path) -> "SigningKey":
        """Return the key of a file; create the file with a new key, for its owner only, if it does not exist.

        Raises:
            InvalidError: the file holds no Ed25519 key without a passphrase, or other users may read it.
            UnavailableError: the file cannot be read or written.
        """
        name = printable(path)
        try:
            if not path.exists():
                _create(path)
            if path.stat().st_mode & _OTHERS:
                raise InvalidError(f"other users of this machine may read {name}: chmod 600 it")
            with path.open("rb") as file:
                pem = file.read(_MOST_BYTES)
        except OSError as error:
            raise UnavailableError(
                f"cannot read or create {name}: {error.strerror}; set evidence.signing_key to a file in a folder that"
                " the hub may write to"
            ) from error
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidError(
                f"{name} is no private key in PEM form without a passphrase: restore it from a copy, or move it away"
                " so that a new key is created"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidError(f"{name} is no Ed25519 key")
        return cls(key)


def _create(path: Path) -> None:
    """Write a new key; keep the one that another process writes at the same time."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)  # of mode 0600
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        if os.getuid() == 0:
            owner = path.parent.stat()
            os.chown(partial, owner.st_uid, owner.st_gid)
        with suppress(FileExistsError):
            path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)

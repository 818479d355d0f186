"""The key pair of an inspector: create it, and open sealed sound with the private key.

A private key file has the format of `age-keygen`. With a passphrase it is itself a file in the age format, as
`age --passphrase` writes it. So the programs `age` and `rage` open sealed sound as well.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyrage

from hub.deployment.atomic_files import write
from shared.errors import InvalidError, UnavailableError
from shared.events import EventId
from shared.flac_tags import read_tags
from shared.paths import printable
from shared.sealed_sound import EVENT_TAG, HEADER, TIME_TAG
from shared.text_files import decoded

ARMORED: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
MOST_KEY_BYTES: Final = 65_536
MOST_SEALED_BYTES: Final = 64 * 1024 * 1024
"""More than the largest event message, so a longer file is no sealed sound."""


@dataclass(frozen=True, slots=True)
class OpenedSound:
    """A sound that was opened.

    Attributes:
        flac: bytes of a FLAC file.
        event: id of the event that the sensor sealed it for; empty if it names no valid id.
        captured_at: capture time by the sensor's clock, ISO 8601; empty if it names none.
    """

    flac: bytes
    event: str
    captured_at: str


def create_key_pair(path: Path, created_at: datetime) -> str:
    """Write a new private key, readable by its owner only; return the public key.

    Args:
        path: file to create.
        created_at: time for the comment in the file.

    Raises:
        InvalidError: the file exists.
        UnavailableError: the file cannot be written.
    """
    if path.exists():
        raise InvalidError(
            f"{printable(path)} exists: sound that is sealed to its key could not be opened without it. Choose"
            " another name"
        )
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    content = f"# created: {created_at.isoformat(timespec='seconds')}\n# public key: {public}\n{identity}\n"
    try:
        write(path, content, secret=True)
    except OSError as error:
        raise UnavailableError(f"cannot write {printable(path)}: {error.strerror}") from error
    return public


class InspectorKey:
    """The private keys of a file.

    Args:
        path: private key file.
        passphrase: passphrase of an encrypted file; see `needs_passphrase`.

    Raises:
        InvalidError: no private key, or the passphrase is wrong.
        UnavailableError: the file cannot be read.
    """

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        name, data = printable(path), _read(path, MOST_KEY_BYTES)
        if _is_encrypted(data):
            try:
                data = pyrage.passphrase.decrypt(data, passphrase or "")
            except pyrage.DecryptError as error:
                raise InvalidError(f"{name}: the passphrase is wrong, or the file is damaged") from error
        lines = (line.strip() for line in decoded(data, name).splitlines())
        try:
            self._identities = [
                pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")
            ]
        except pyrage.IdentityError as error:
            raise InvalidError(f"{name} is no private key file: its lines must be AGE-SECRET-KEY-1...") from error
        if not self._identities:
            raise InvalidError(f"{name} has no private key (AGE-SECRET-KEY-1...)")

    def open(self, path: Path) -> OpenedSound:
        """Decrypt a sealed file.

        Raises:
            InvalidError: see `decrypt`, or the file is too large.
            UnavailableError: the file cannot be read.
        """
        return self.decrypt(_read(path, MOST_SEALED_BYTES), printable(path))

    def decrypt(self, data: bytes, name: str) -> OpenedSound:
        """Decrypt sealed sound.

        Args:
            data: bytes of an age file.
            name: its name, for errors.

        Raises:
            InvalidError: the data are damaged, no FLAC file, or sealed to another key.
        """
        try:
            flac: bytes = pyrage.decrypt(data, self._identities)
        except pyrage.DecryptError as error:
            raise InvalidError(
                f"{name} cannot be opened ({error}): it is sealed to another key, or damaged. The event's page names"
                " the public key"
            ) from error
        try:
            tags = read_tags(flac)
        except InvalidError as error:
            raise InvalidError(f"{name}: {error}") from error
        return OpenedSound(flac, _event_named(tags.get(EVENT_TAG, "")), tags.get(TIME_TAG, ""))


def needs_passphrase(path: Path) -> bool:
    """Return whether a private key file is encrypted.

    Raises:
        UnavailableError: the file cannot be read.
        InvalidError: the file is too large for a key.
    """
    return _is_encrypted(_read(path, MOST_KEY_BYTES))


def is_named_otherwise(path: Path, event: str) -> bool:
    """Return whether a file has the name of an event, but another one than the event that its sound names."""
    try:
        return str(EventId.parse(path.stem)) != event
    except InvalidError:  # the file was renamed
        return False


def write_sound(path: Path, flac: bytes) -> None:
    """Write an opened sound, readable by its owner only.

    Raises:
        UnavailableError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, flac, secret=True)
    except OSError as error:
        raise UnavailableError(f"cannot write {printable(path)}: {error.strerror}") from error


def _event_named(text: str) -> str:
    """Return a text if it is an event id, else "".

    Any holder of the public key can seal other tags, and the id becomes a file name.
    """
    try:
        return str(EventId.parse(text))
    except InvalidError:
        return ""


def _is_encrypted(data: bytes) -> bool:
    return data.startswith((HEADER, ARMORED))


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise UnavailableError(f"cannot read {printable(path)}: {error.strerror}") from error
    if len(data) > most_bytes:
        raise InvalidError(f"{printable(path)} is larger than {most_bytes:,} bytes")
    return data

"""Seal the audio of clips to public keys, so that the spool, the broker and the hub get ciphertext only.

The sensor holds public keys. It cannot open what it sealed. Audio is sealed in memory, before the event is written to
the spool.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.settings import EdgeSettings
from shared.errors import InvalidError
from shared.events import Event, Flac
from shared.flac_tags import with_tags
from shared.paths import expanded
from shared.sealed_sound import MOST_KEYS, SealedSound, key_list, tags_for
from shared.text_files import read_text

_PRIVATE: Final = "AGE-SECRET-KEY-"
_HOW: Final = "`earwitness-hub sealed create-key` or `age-keygen` creates a key pair"


class Sealer:
    """Encrypts the audio of events to public keys.

    Args:
        keys: public keys (`age1...`); each of their private keys opens the audio.

    Attributes:
        keys: the public keys.

    Raises:
        InvalidError: a key is invalid, there are none or too many, or the package pyrage is not installed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            import pyrage  # noqa: PLC0415 - only this mode needs it
        except ImportError as error:
            raise InvalidError("privacy.sealed_to needs a package: pip install 'earwitness[privacy]'") from error
        if not 1 <= len(keys) <= MOST_KEYS:
            raise InvalidError(f"privacy.sealed_to has {len(keys)} public keys, but needs 1 to {MOST_KEYS}; {_HOW}")
        self.keys = tuple(keys)
        self._encrypt = pyrage.encrypt
        try:
            self._recipients = [pyrage.x25519.Recipient.from_str(key) for key in keys]
        except pyrage.RecipientError as error:
            raise InvalidError(
                f"privacy.sealed_to has an invalid public key: each must be copied whole, from age1 on; {_HOW}"
            ) from error

    def seal(self, event: Event) -> Event:
        """Return an event with its audio encrypted; an event without audio is returned as it is.

        Raises:
            InvalidError: the audio is not next to an embedding, so the hub would need it in clear.
        """
        if isinstance(event.body, Flac):
            raise InvalidError("audio can only be sealed next to an embedding")
        if not isinstance(event.sound, Flac):
            return event
        tagged = with_tags(event.sound.data, tags_for(str(event.id), event.captured_at))
        return replace(event, sound=SealedSound(self._encrypt(tagged, self._recipients), self.keys))


def open_sealer(settings: EdgeSettings) -> Sealer | None:
    """Return the sealer of this sensor's audio; None if its audio is sent in clear, or not at all.

    Raises:
        InvalidError: the keys are invalid, one is private, or the package pyrage is not installed.
        UnavailableError: the file of public keys cannot be read.
    """
    given = settings.privacy.sealed_to
    return None if given is None else Sealer(read_public_keys(given))


def describe_sound(settings: EdgeSettings) -> str:
    """Return what the sensor sends next to embeddings, as text for `check`.

    Raises:
        InvalidError: see `open_sealer`.
        UnavailableError: see `open_sealer`.
    """
    sealer = open_sealer(settings)
    if not settings.sends_sound:
        return "no audio"
    return "audio next to them" if sealer is None else f"audio that is sealed to {key_list(sealer.keys)}"


def read_public_keys(given: str) -> list[str]:
    """Return the public keys of `privacy.sealed_to`: one key, or the keys in a file, one per line, `#` for comments.

    Raises:
        InvalidError: a private key was given.
        UnavailableError: the file cannot be read.
    """
    text = given if given.startswith(("age1", _PRIVATE)) else read_text(expanded(Path(given)))
    if _PRIVATE in text.upper():
        raise InvalidError(
            "privacy.sealed_to has a private key: remove it from this sensor, give the public key (age1...), and"
            " create another key pair if others could read it"
        )
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]

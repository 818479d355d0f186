"""The audio of a clip, encrypted on the sensor in the age format (`application/vnd.age`).

The plaintext is a FLAC file whose tags name the event (`tags_for`). So a file that stands under another event is
recognised when it is opened.

Source: C2SP, age-encryption.org/v1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.errors import InvalidError

MEDIA_TYPE: Final = "application/vnd.age"
"""Source: IANA, media types."""
SUFFIX: Final = ".age"
HEADER: Final = b"age-encryption.org/v1\n"
"""First line of every file in the format."""
PUBLIC_KEY_PATTERN: Final = r"^age1[02-9ac-hj-np-z]{58}$"
"""An X25519 recipient. Source: C2SP, age, the X25519 recipient type (Bech32)."""
MOST_KEYS: Final = 8
"""Maximum number of public keys that a clip is sealed to."""
EVENT_TAG: Final = "TITLE"
TIME_TAG: Final = "DATE"


@dataclass(frozen=True, slots=True)
class SealedSound:
    """The encrypted audio of a clip.

    Attributes:
        data: bytes of an age file.
        keys: public keys that it is sealed to, 1 to `MOST_KEYS`; each of their private keys opens it.

    Raises:
        InvalidError: no age file, or no valid keys.
    """

    data: bytes
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.data.startswith(HEADER):
            raise InvalidError("the sealed sound is not an age file")
        if not 1 <= len(self.keys) <= MOST_KEYS:
            raise InvalidError(f"the sound must be sealed to 1 to {MOST_KEYS} public keys, not {len(self.keys)}")
        for key in self.keys:
            if not re.fullmatch(PUBLIC_KEY_PATTERN, key):
                raise InvalidError("a public key of the sealed sound must be age1 and 58 characters of Bech32")


def tags_for(event_id: str, captured_at: datetime) -> dict[str, str]:
    """Return the FLAC tags that bind a sound to its event: event id, and capture time by the sensor's clock."""
    return {EVENT_TAG: event_id, TIME_TAG: captured_at.astimezone(UTC).isoformat()}


def key_list(keys: Sequence[str]) -> str:
    """Return public keys as text for people."""
    return " and ".join(keys)

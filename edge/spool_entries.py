"""What a spool tells: messages, those that are set aside and why, and how full it is."""

from dataclasses import dataclass
from typing import Final

TOO_LARGE: Final = "too large"
"""Reason of a row that is over the broker's maximum packet size."""
ENDS_CONNECTIONS: Final = "ends connections"
"""Reason of a row during whose transmission connections ended."""
UNSENDABLE: Final = "cannot be sent"
"""Reason of a row that no MQTT message can carry, such as one whose topic the disk has damaged."""


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One waiting message: its row (rising in the order of `put`), event id, topic and bytes."""

    row: int
    event: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that the broker cannot take: its row, the size of its payload in bytes, and why."""

    row: int
    size_bytes: int
    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class SpoolUsage:
    """How full a spool is.

    Attributes:
        pending: messages the broker does not have yet and can take.
        size_bytes: payload bytes kept, acknowledged rows included.
        max_bytes: most of these.
        aside: messages that the broker cannot take.
        lost: messages that a damaged file no longer gave, since the spool was opened.
    """

    pending: int
    size_bytes: int
    max_bytes: int
    aside: int = 0
    lost: int = 0

"""Values that a spool returns: messages, set-aside messages with their reasons, and usage."""

from dataclasses import dataclass
from typing import Final

from shared.messages.codec import JSON_CONTENT_TYPE
from shared.messages.event import EVENT_CONTENT_TYPE

TOO_LARGE: Final = "too large"
"""Reason for a row that exceeds the broker's maximum packet size."""
ENDS_CONNECTIONS: Final = "ends connections"
"""Reason for a row during whose transmission connections ended."""
UNSENDABLE: Final = "cannot be sent"
"""Reason for a row that no MQTT message can carry, such as one with a damaged topic."""
LEVELS_END: Final = "/levels"
"""End of the topic of a level series."""


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One spooled message: its row (ascending in the order of `put`), event id, topic and payload."""

    row: int
    event: str
    topic: str
    payload: bytes

    @property
    def has_levels(self) -> bool:
        """Return whether it is a level series, and not an event."""
        return self.topic.endswith(LEVELS_END)

    @property
    def content_type(self) -> str:
        """Return the MIME type of the payload."""
        return JSON_CONTENT_TYPE if self.has_levels else EVENT_CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that the broker cannot take: its row, payload size in bytes, topic and reason."""

    row: int
    size_bytes: int
    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class SpoolUsage:
    """Use of a spool.

    Attributes:
        pending: messages that the broker can take and does not have yet.
        size_bytes: payload bytes kept, including acknowledged rows.
        max_bytes: maximum of `size_bytes`.
        aside: messages that the broker cannot take.
        lost: messages that could not be read from a damaged file, since the spool was opened.
    """

    pending: int
    size_bytes: int
    max_bytes: int
    aside: int = 0
    lost: int = 0

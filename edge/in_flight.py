"""The rows of the spool under way to the broker: when to send more, and what PUBACKs and disconnections mean.

This module has rules and no I/O. A row whose transmission ends the connection repeatedly is *set aside*, so that it
does not block the rows after it. When a connection ends, the first row sent without a PUBACK is the *suspect*. The
publisher sends it again, alone. A connection that ends while one row alone is under way is a strike against this row.
A PUBACK clears the row.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS

IN_FLIGHT: Final = 16
"""Most messages under way; below paho's own limit of 20, so that paho queues none."""
BACKOFF_START_S: Final = 2.0
BACKOFF_CAP_S: Final = 30.0
STRIKES: Final = 3
"""A row is set aside after this many connections ended while it alone was under way."""
BLAMELESS: Final = frozenset({0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x96, 0x98, 0x9C, 0x9D, 0xA0})
"""Reasons of a disconnection that no message causes: server busy, shutting down, keep alive timeout, session taken
over, receive maximum exceeded, message rate too high, administrative action, use another server, server moved,
maximum connect time. Source: MQTT 5.0, 3.14.2.1."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker has this row."""

    row: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The broker refused this row, or no hub was subscribed. The row stays in the spool."""

    row: int
    reason: int
    wait_s: float


class InFlightWindow:
    """The rows under way, and the time at which more may follow.

    A refusal (reason >= 0x80) or "no matching subscribers" (0x10) starts a wait of 2 s that doubles up to 30 s. After
    the wait a single message is sent. Its success reopens the whole window. Several refusals within one wait count as
    one.

    Args:
        limit: maximum number of messages under way.

    Source: MQTT 5.0, 3.4.2.1 (PUBACK reason codes), 3.2.2.3.3 (receive maximum).
    """

    def __init__(self, limit: int = IN_FLIGHT) -> None:
        self._most = self._limit = limit
        self._rows: dict[int, int] = {}
        self._strikes: dict[int, int] = {}
        self._suspect: int | None = None
        self._attempts = 0
        self._until_s = 0.0

    @property
    def rows(self) -> Mapping[int, int]:
        """Return the rows under way by message id, in the order in which they were sent."""
        return MappingProxyType(self._rows)

    @property
    def suspect(self) -> int | None:
        """Return the row that must be sent next, and alone."""
        return self._suspect

    def connected(self, receive_maximum: int | None) -> None:
        """Start a connection; the broker accepts at most `receive_maximum` messages under way, if it sent one."""
        self._rows.clear()
        self._limit = self._most if receive_maximum is None else max(1, min(self._most, receive_maximum))

    def available(self, now_s: float) -> int:
        """Return how many more messages may be sent now; `now_s` is monotonic."""
        if now_s < self._until_s:
            return 0
        limit = 1 if self._attempts or self._suspect is not None else self._limit
        return max(0, limit - len(self._rows))

    def on_sent(self, mid: int, row: int) -> None:
        """Record that a row is under way as message `mid`."""
        self._rows[mid] = row

    def acquit(self, row: int) -> None:
        """Clear a row that did not end the connection, or is deleted."""
        self._strikes.pop(row, None)
        if self._suspect == row:
            self._suspect = None

    def on_puback(self, mid: int, reason: int, now_s: float, apart: Collection[int] = ()) -> Acked | Rejected | None:
        """Evaluate a PUBACK; return None if its message is not under way.

        Args:
            mid: id of the message.
            reason: reason code of the PUBACK.
            now_s: monotonic time.
            apart: rows whose refusal starts no wait, because it concerns no other rows.
        """
        row = self._rows.pop(mid, None)
        if row is None:
            return None
        self.acquit(row)
        if reason < FAILURE and reason != NO_MATCHING_SUBSCRIBERS:
            self._attempts = 0
            self._until_s = 0.0
            return Acked(row)
        if row in apart:
            return Rejected(row, reason, 0.0)
        if now_s >= self._until_s:
            wait_s = min(BACKOFF_CAP_S, BACKOFF_START_S * 2.0 ** min(self._attempts, 16))
            self._until_s = now_s + wait_s
            self._attempts += 1
        return Rejected(row, reason, self._until_s - now_s)

    def ended(self, code: int | None) -> int | None:
        """End a connection or an attempt at one. No row is under way afterwards.

        Args:
            code: reason code of the disconnection, if there was one.

        Returns:
            The row to set aside, or None. If it is sent again, it is set aside after one strike.
        """
        rows = list(self._rows.values())
        self._rows.clear()
        if not rows or code in BLAMELESS:
            return None
        if len(rows) > 1:
            self._suspect = rows[0]
            return None
        (row,) = rows
        strikes = self._strikes.get(row, 0) + 1
        if strikes < STRIKES:
            self._strikes[row] = strikes
            self._suspect = row
            return None
        self._strikes[row] = STRIKES - 1
        self._suspect = None
        return row

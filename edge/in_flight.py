"""Which rows of the spool are under way to the broker, and what its answers and the ends of connections mean.

This module has rules and no I/O. A row whose transmission ends the connection repeatedly is *set aside*, so that it
does not block the rows after it. The window finds that row: when a connection ends, the row sent first of those
without an answer is the suspect. The publisher sends it again, alone. A connection that ends while one row alone is
under way counts against this row; an answer clears it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS

IN_FLIGHT: Final = 16
"""Most messages under way; below paho's own limit of 20, so that paho queues none."""
BACKOFF_START_S: Final = 2.0
BACKOFF_CAP_S: Final = 30.0
STRIKES: Final = 3
"""So many connections must end while a row alone is under way until the row is set aside."""
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
    """The broker did not take this row, or nobody was there to receive it: it stays in the spool."""

    row: int
    reason: int
    wait_s: float


class InFlightWindow:
    """Which rows are under way, and when more may follow.

    A refusal (reason >= 0x80) or "no matching subscribers" (0x10) starts a wait of 2 s that doubles up to
    30 s; after it a single message probes, and its success reopens the whole window. Several bad answers
    within one wait count once.

    Args:
        limit: most messages under way.

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
        """Rows under way by message id, in the order in which they were sent."""
        return MappingProxyType(self._rows)

    @property
    def suspect(self) -> int | None:
        """The row that must be sent next, and alone."""
        return self._suspect

    def connected(self, receive_maximum: int | None) -> None:
        """A connection is up; the broker takes at most `receive_maximum` messages at a time, if it says so."""
        self._rows.clear()
        self._limit = self._most if receive_maximum is None else max(1, min(self._most, receive_maximum))

    def available(self, now_s: float) -> int:
        """How many more messages may be sent now; `now_s` is monotonic."""
        if now_s < self._until_s:
            return 0
        limit = 1 if self._attempts or self._suspect is not None else self._limit
        return max(0, limit - len(self._rows))

    def on_sent(self, mid: int, row: int) -> None:
        """A row is under way as message `mid`."""
        self._rows[mid] = row

    def acquit(self, row: int) -> None:
        """A row did not end the connection, or is gone."""
        self._strikes.pop(row, None)
        if self._suspect == row:
            self._suspect = None

    def on_puback(self, mid: int, reason: int, now_s: float) -> Acked | Rejected | None:
        """Judge a PUBACK; None if the message is not one of ours."""
        row = self._rows.pop(mid, None)
        if row is None:
            return None
        self.acquit(row)
        if reason < FAILURE and reason != NO_MATCHING_SUBSCRIBERS:
            self._attempts = 0
            self._until_s = 0.0
            return Acked(row)
        if now_s >= self._until_s:
            wait_s = min(BACKOFF_CAP_S, BACKOFF_START_S * 2.0 ** min(self._attempts, 16))
            self._until_s = now_s + wait_s
            self._attempts += 1
        return Rejected(row, reason, self._until_s - now_s)

    def ended(self, code: int | None) -> int | None:
        """The connection ended, or an attempt at one: nothing is under way any more.

        Args:
            code: the reason, if there was one.

        Returns:
            The row that must be set aside, if it is found; it gets a single further chance if it is sent again.
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

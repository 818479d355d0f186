"""The order in which rows of the spool are sent.

1. The suspect of the window (`edge.in_flight`), alone.
2. Live events: those put since events can be sent.
3. The backlog: events that were in the spool before, at most `BACKLOG_IN_FLIGHT` under way.
4. Repeats: events acknowledged recently on an earlier connection, at most `REPEATS_IN_FLIGHT` under way.
5. Events that the broker refused.
6. Events that were set aside because connections ended, one each `SECOND_CHANCE_S`.
"""

import logging
from typing import Final

from edge.in_flight import InFlightWindow
from edge.spool import Spool
from edge.spool_entries import ENDS_CONNECTIONS, SpoolEntry
from edge.spool_marks import SpoolMarks
from shared.errors import UnavailableError

log = logging.getLogger(__name__)

REPEATS_IN_FLIGHT: Final = 4
"""Most messages under way when a repeat is sent, so that a new event never waits behind many repeats."""
BACKLOG_IN_FLIGHT: Final = 2
"""Most messages of the backlog under way, so that a new event never waits behind many."""
SECOND_CHANCE_S: Final = 600.0
"""Seconds between retries of a message that was set aside because connections ended, when nothing else waits."""


class SendQueue:
    """Choose the rows to send next.

    Args:
        spool: source of the rows.
        marks: rows that are settled, though the spool does not have it yet.
        window: rows under way.
    """

    def __init__(self, spool: Spool, marks: SpoolMarks, window: InFlightWindow) -> None:
        self._spool = spool
        self._marks = marks
        self._window = window
        self._repeats: dict[int, None] = {}
        self._refused: set[int] = set()
        self._backlog_row = 0
        self._second_chance_s = 0.0
        self._second_chance_row = -1

    @property
    def repeats(self) -> frozenset[int]:
        """Return the rows that are sent again."""
        return frozenset(self._repeats)

    def start_backlog(self) -> None:
        """Events can be sent again: the rows of the spool are the backlog from now on."""
        self._backlog_row = self._spool.highest_row()

    def is_backlog(self, row: int) -> bool:
        """Return whether a row waited in the spool until events could be sent, and was not sent before."""
        return row <= self._backlog_row and row not in self._repeats

    def add_repeats(self, since_s: float) -> None:
        """Send again the rows acknowledged at or after `since_s`, in seconds of connection.

        Raises:
            UnavailableError: the disk cannot be read.
        """
        self._repeats |= dict.fromkeys(self._spool.acknowledged(since_s))
        self._repeats |= dict.fromkeys(self._marks.acknowledged(since_s))
        if self._repeats:
            log.info("connected again; the latest events are sent again", extra={"events": len(self._repeats)})

    def remove(self, row: int) -> bool:
        """Remove a row that the broker has or cannot take; return whether it was a repeat."""
        self._refused.discard(row)
        repeat = row in self._repeats
        self._repeats.pop(row, None)
        return repeat

    def refuse(self, row: int) -> None:
        """Put a row that the broker refused behind all others."""
        self._refused.add(row)

    def choose(self, room: int, now_s: float, *, levels: bool = True) -> list[SpoolEntry]:
        """Return the entries to send next, at most `room`.

        Args:
            room: how many messages may be sent, over 0.
            now_s: monotonic time.
            levels: whether level series may be sent.

        Raises:
            UnavailableError: the disk cannot be read.
        """
        if (suspect := self._window.suspect) is not None:
            entries = self._spool.load([suspect])
            if not entries:
                self._window.acquit(suspect)
            return entries
        under_way = set(self._window.rows.values())
        skip = under_way.union(self._marks)
        unsent = self._unsent(room, under_way, skip | self._refused, levels=levels)
        if unsent is not None:
            return unsent
        if repeats := self._next_repeats(room, under_way):
            return repeats
        if self._refused:
            self._refused.clear()
            return self._spool.peek(room, skip=skip, levels=levels)
        if not under_way and now_s >= self._second_chance_s:
            self._second_chance_s = now_s + SECOND_CHANCE_S
            return self._second_chance()
        return []

    def events_wait(self) -> bool:
        """Return whether the spool has events to send, beside level series, or rows are under way."""
        try:
            return bool(self._window.rows) or bool(self._spool.peek(1, skip=set(self._marks), levels=False))
        except UnavailableError:
            return True

    def _unsent(self, room: int, under_way: set[int], skip: set[int], *, levels: bool) -> list[SpoolEntry] | None:
        """Return entries that were never sent, live ones before the backlog; None if none waits."""
        live = self._spool.peek(room, skip=skip, after=self._backlog_row, levels=levels)
        if live:
            return live
        few = min(room, BACKLOG_IN_FLIGHT - sum(row <= self._backlog_row for row in under_way))
        backlog = self._spool.peek(max(1, few), skip=skip, levels=levels)
        return backlog[: max(0, few)] if backlog else None

    def _next_repeats(self, room: int, under_way: set[int]) -> list[SpoolEntry]:
        few = min(room, REPEATS_IN_FLIGHT - len(under_way))
        rows = [row for row in self._repeats if row not in under_way | self._refused][: max(0, few)]
        entries = self._spool.load(rows)
        for row in set(rows) - {entry.row for entry in entries}:  # evicted meanwhile
            del self._repeats[row]
        return entries

    def _second_chance(self) -> list[SpoolEntry]:
        """Release the next message that was set aside because connections ended; return it, if there is one."""
        rows = [message.row for message in self._spool.all_aside() if message.reason == ENDS_CONNECTIONS]
        row = next((row for row in rows if row > self._second_chance_row), next(iter(rows), None))
        if row is None:
            return []
        self._second_chance_row = row
        self._spool.release([row])
        return self._spool.load([row])

"""Which rows of the spool are acknowledged or set aside, kept in memory until the disk takes it."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from edge.spool import Spool


class SpoolMarks:
    """Marks of rows that the spool does not have yet. A failing disk loses none while the agent runs.

    Args:
        spool: destination of the marks.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._acknowledged: dict[int, float] = {}
        self._aside: dict[int, str] = {}

    def __len__(self) -> int:
        """Return the number of rows with a mark."""
        return len(self._acknowledged) + len(self._aside)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the rows with a mark."""
        yield from self._acknowledged
        yield from self._aside

    def acknowledge(self, row: int, stamp_s: float) -> None:
        """Mark a row as acknowledged by the broker at `stamp_s`, in seconds of connection."""
        self._acknowledged[row] = stamp_s

    def set_aside(self, row: int, reason: str) -> None:
        """Mark a row that the broker cannot take."""
        self._aside[row] = reason

    def acknowledged(self, since_s: float) -> list[int]:
        """Return the marked rows that were acknowledged at or after `since_s`."""
        return [row for row, stamp_s in self._acknowledged.items() if stamp_s >= since_s]

    def write(self) -> None:
        """Write the marks to the spool.

        Raises:
            UnavailableError: the disk does not take them.
        """
        for stamp_s, marks in groupby(list(self._acknowledged.items()), key=itemgetter(1)):
            rows = [row for row, _ in marks]
            self._spool.acknowledge(rows, stamp_s)
            for row in rows:
                del self._acknowledged[row]
        while self._aside:
            row, reason = next(iter(self._aside.items()))
            self._spool.set_aside(row, reason)
            del self._aside[row]

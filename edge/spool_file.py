"""The file of the spool: one transaction at a time, on a disk that may be full or damaged.

A damaged file is replaced by one with its readable rows (`edge.spool_recovery`). On a full disk the oldest
acknowledged rows are deleted. In both cases the transaction is tried once more. Any other error of the disk is
`UnavailableError`.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from edge.spool_recovery import is_damage, open_spool, salvage
from shared.errors import UnavailableError

T = TypeVar("T")

SALVAGE_REST_S: Final = 60.0
"""Shortest time in seconds between two repairs of a damaged file, so that a failed disk is not copied endlessly."""
_MOST_PAGES: Final = 2**31
FREED_AT_ONCE: Final = (8, 1)
"""Numbers of acknowledged rows to delete in one transaction on a full disk; fewer rows need less room."""


class SpoolFile:
    """The spool's file, and counts of its rows and bytes that follow each transaction.

    Args:
        path: SQLite file; its folder is created.

    Raises:
        UnavailableError: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._lost = self._bytes = self._pending = self._aside = self._highest_row = 0
        self._salvage_after_s = 0.0
        self._broken = False
        with _translated(path):
            try:
                self._db = open_spool(path)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._lost += salvage(path, str(error)).lost
                self._db = open_spool(path)
            self._count()

    def pending(self) -> int:
        """Return the number of messages that the broker does not have yet."""
        with self._lock:
            return self._pending

    def highest_row(self) -> int:
        """Return the highest row number used so far; 0 before the first."""
        return self._highest_row

    def close(self) -> None:
        """Release the file. The spool cannot be used afterwards."""
        with self._lock, _translated(self._path):
            self._db.close()

    def _do(self, work: Callable[[sqlite3.Connection], T], reserve_bytes: int = 0) -> T:
        """Run one transaction under the lock; the counts follow the file even if it fails.

        A damaged file is replaced, and on a full disk the oldest acknowledged rows are deleted. Then the transaction
        is tried once more.

        Args:
            work: the statements of the transaction.
            reserve_bytes: bytes of the disk that the file leaves free when it grows.
        """
        with self._lock, _translated(self._path):
            try:
                return self._transaction(work, reserve_bytes)
            except sqlite3.Error as error:
                if not (self._replaced(error) or self._freed(error)):
                    raise
            return self._transaction(work, reserve_bytes)

    def _transaction(self, work: Callable[[sqlite3.Connection], T], reserve_bytes: int = 0) -> T:
        counts = self._bytes, self._pending, self._aside
        self._bound(reserve_bytes)
        try:
            with self._db:
                return work(self._db)
        except BaseException:
            self._bytes, self._pending, self._aside = counts
            raise

    def _bound(self, reserve_bytes: int) -> None:
        """Limit the growth of the file to the free space of the disk.

        Otherwise a transaction may fit into the log and not into the file. Then the log never becomes free again.
        """
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
        growth = max(0, self._disk_left() - reserve_bytes) // page_bytes
        self._db.execute(f"PRAGMA max_page_count = {min(pages + growth, _MOST_PAGES)}")

    def _disk_left(self) -> int:
        """Return the free bytes of the disk."""
        disk = os.statvfs(self._path)
        return disk.f_bavail * disk.f_frsize

    def _replaced(self, error: sqlite3.Error) -> bool:
        """Replace a damaged file by one with its readable rows; return whether that was done."""
        now_s = time.monotonic()
        if not (is_damage(error) or self._broken) or now_s < self._salvage_after_s:
            return False
        self._salvage_after_s = now_s + SALVAGE_REST_S
        self._broken = True
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        before = self._pending + self._aside
        lost = salvage(self._path, str(error), self._highest_row).lost
        self._db = open_spool(self._path)
        self._count()
        self._lost += max(lost, before - self._pending - self._aside)
        self._broken = False
        return True

    def _freed(self, error: sqlite3.Error) -> bool:
        """Delete acknowledged rows if the disk is full; return whether any were deleted."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            return False
        query = (
            "SELECT row, LENGTH(payload) FROM clip JOIN mark USING (row) WHERE reason IS NULL ORDER BY row LIMIT ?"
        )
        for most in FREED_AT_ONCE:
            with contextlib.suppress(sqlite3.Error):
                return bool(self._transaction(lambda db: self._forget(db, db.execute(query, (most,)).fetchall())))  # noqa: B023
        return False

    def _forget(self, db: sqlite3.Connection, rows: list[tuple[int, int]]) -> int:
        for row, size in rows:
            db.execute("DELETE FROM clip WHERE row = ?", (row,))
            db.execute("DELETE FROM mark WHERE row = ?", (row,))
            db.execute("DELETE FROM content WHERE row = ?", (row,))
            self._bytes -= size
        return len(rows)

    def _count(self) -> None:
        total = self._db.execute("SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM clip").fetchone()
        marked = self._db.execute("SELECT COUNT(*), COUNT(reason) FROM mark").fetchone()
        used = self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence").fetchone()
        self._highest_row = max(self._highest_row, int(used[0]))
        self._bytes, self._pending, self._aside = int(total[1]), int(total[0] - marked[0]), int(marked[1])


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Convert errors of the disk to `UnavailableError`."""
    try:
        yield
    except sqlite3.Error as error:
        hint = " (another agent is using it)" if "locked" in str(error) else ""
        raise UnavailableError(f"spool {path}: {error}{hint}") from error
    except OSError as error:
        raise UnavailableError(f"spool {path}: {error.strerror or error}") from error

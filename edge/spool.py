"""The spool: clips wait on disk, in order, until the broker has them; they survive a kill and a power cut.

A row is *pending* until its PUBACK, then *acknowledged* and kept for a while: if the broker loses its memory
(it says so: session_present = 0), what it had acknowledged but not delivered is gone, and `reopen` makes the
rows of that while pending again. The hub recognises repeats by their id.

SQLite in WAL mode with synchronous = FULL: a `put` that returned is on the disk. The file is locked for one
process. All methods may be called from any thread. Times are seconds since the epoch, given by the caller.
"""

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from shared.errors import Busy, Unavailable

log = logging.getLogger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS clip (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  acknowledged_at REAL
);
CREATE INDEX IF NOT EXISTS pending ON clip (row) WHERE acknowledged_at IS NULL;
CREATE INDEX IF NOT EXISTS acknowledged ON clip (acknowledged_at) WHERE acknowledged_at IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One waiting message: its row (rising in the order of `put`), event id, topic and bytes."""

    row: int
    event: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a spool is.

    Attributes:
        pending: messages the broker does not have yet.
        size_bytes: payload bytes kept, acknowledged rows included.
        cap_bytes: most of these.
    """

    pending: int
    size_bytes: int
    cap_bytes: int


class Spool:
    """A bounded queue on disk.

    A damaged file is moved aside (`<name>.damaged-1`, ...) with an error in the log, and a new one is made.

    Args:
        path: SQLite file; its folder is created.
        cap_bytes: most payload bytes kept, acknowledged rows included.

    Raises:
        Unavailable: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._lock = Lock()
        with _translated(path):
            try:
                self._db = _open(path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                _move_aside(path, error)
                self._db = _open(path)
        self._path = path
        self._bytes: int = self._db.execute("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM clip").fetchone()[0]
        self._pending: int = self._count()

    def put(self, event: str, topic: str, payload: bytes, *, evict: bool = False) -> None:
        """Add a message at the end; a repeat of an event id changes nothing.

        Args:
            event: the event's id.
            topic: where it will be published.
            payload: the message.
            evict: when full, give up acknowledged rows, oldest first; for sources that cannot wait.

        Raises:
            Busy: the spool is full.
            Unavailable: the disk refuses.
        """
        with self._writing() as db:
            if db.execute("SELECT 1 FROM clip WHERE event = ?", (event,)).fetchone():
                return
            if evict and self._bytes + len(payload) > self._cap_bytes:
                self._evict(db, self._bytes + len(payload) - self._cap_bytes)
            if self._bytes + len(payload) > self._cap_bytes:
                raise Busy(f"the spool {self._path} is full: {self._bytes} of {self._cap_bytes} bytes")
            db.execute("INSERT INTO clip (event, topic, payload) VALUES (?, ?, ?)", (event, topic, payload))
            self._bytes += len(payload)
            self._pending += 1

    def next(self, limit: int, skip: Collection[int] = ()) -> list[Spooled]:
        """The oldest pending messages, in order, at most `limit`, without the rows in `skip`."""
        with self._writing() as db:
            rows = db.execute(
                "SELECT row FROM clip WHERE acknowledged_at IS NULL ORDER BY row LIMIT ?",
                (limit + len(skip),),
            )
            wanted = [row for (row,) in rows if row not in skip][:limit]
            return [
                Spooled(*db.execute("SELECT row, event, topic, payload FROM clip WHERE row = ?", (r,)).fetchone())
                for r in wanted
            ]

    def acknowledge(self, rows: Iterable[int], now_s: float) -> int:
        """Mark rows as taken by the broker; unknown or already acknowledged rows change nothing.

        Returns:
            How many were pending until now.
        """
        with self._writing() as db:
            done = db.executemany(
                "UPDATE clip SET acknowledged_at = ? WHERE row = ? AND acknowledged_at IS NULL",
                [(now_s, row) for row in rows],
            ).rowcount
            done = max(done, 0)
            self._pending -= done
            return done

    def reopen(self, since_s: float) -> int:
        """Make rows acknowledged at or after `since_s` pending again; returns how many."""
        with self._writing() as db:
            reopened = db.execute(
                "UPDATE clip SET acknowledged_at = NULL WHERE acknowledged_at >= ?", (since_s,)
            ).rowcount
            self._pending += reopened
            return reopened

    def purge(self, before_s: float) -> int:
        """Forget rows acknowledged before `before_s`; returns how many."""
        with self._writing() as db:
            freed, count = db.execute(
                "SELECT COALESCE(SUM(LENGTH(payload)), 0), COUNT(*) FROM clip WHERE acknowledged_at < ?",
                (before_s,),
            ).fetchone()
            if count:
                db.execute("DELETE FROM clip WHERE acknowledged_at < ?", (before_s,))
                self._bytes -= freed
            return int(count)

    def pending(self) -> int:
        """How many messages the broker does not have yet."""
        with self._lock:
            return self._pending

    def fill(self) -> Fill:
        """How full it is, at once: a write under way may be counted already, and is taken back if it fails."""
        # Without the lock: whoever writes holds it until the disk has it, and an SD card may take seconds.
        return Fill(self._pending, self._bytes, self._cap_bytes)

    def close(self) -> None:
        """Release the file. The spool cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def _evict(self, db: sqlite3.Connection, need_bytes: int) -> None:
        rows = db.execute(
            "SELECT row, LENGTH(payload) FROM clip WHERE acknowledged_at IS NOT NULL ORDER BY row"
        ).fetchall()
        for row, size in rows:
            if need_bytes <= 0:
                return
            db.execute("DELETE FROM clip WHERE row = ?", (row,))
            self._bytes -= size
            need_bytes -= size

    def _count(self) -> int:
        count: int = self._db.execute("SELECT COUNT(*) FROM clip WHERE acknowledged_at IS NULL").fetchone()[0]
        return count

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction under the lock; the counts follow the file even if it fails."""
        with self._lock, _translated(self._path):
            counts = self._bytes, self._pending
            try:
                with self._db:
                    yield self._db
            except BaseException:
                self._bytes, self._pending = counts
                raise


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(verdict)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _move_aside(path: Path, error: Exception) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    log.error(
        "spool damaged, moved aside; a new one was made",
        extra={"spool": str(path), "moved_to": str(aside), "reason": str(error)},
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what the disk says into `Unavailable`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        hint = " (another agent is using it)" if "locked" in str(error) else ""
        raise Unavailable(f"spool {path}: {error}{hint}") from error
    except OSError as error:
        raise Unavailable(f"spool {path}: {error.strerror or error}") from error

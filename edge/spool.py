"""The spool: clips wait on disk, in order, until the broker has them; they survive a kill and a power cut.

A row is *pending* until its PUBACK, then *acknowledged* and kept for a while: a broker that is killed forgets what it
had acknowledged and not yet written, and the publisher sends these rows again. The first acknowledgement counts. A
row that the broker cannot take is *set aside*, with the reason. The hub recognises repeats by their id.

SQLite in WAL mode with synchronous = FULL: a `put` that returned is on the disk. The file is locked for one
process. All methods may be called from any thread. Stamps of acknowledgements are seconds of connection to the broker
(`edge.connection_clock`), given by the caller. Whatever the disk says becomes `Unavailable`; a damaged file is
replaced by one with what can still be read (`edge.spool_recovery`), also while the agent runs.
"""

import logging
import sqlite3
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from edge.spool_entries import SetAside, SpoolEntry, SpoolUsage
from edge.spool_file import SpoolFile
from shared.errors import OverloadedError

log = logging.getLogger(__name__)

PURGED_AT_ONCE: Final = 16
UNREADABLE_REST_S: Final = 60.0
"""How long a row that the disk did not give is passed over."""
DISK_RESERVE_BYTES: Final = 1024**2
"""Bytes of the disk that a new clip leaves free, to acknowledge and to delete others."""


class Spool(SpoolFile):
    """A bounded queue on disk.

    Args:
        path: SQLite file; its folder is created.
        max_bytes: most payload bytes kept, acknowledged rows included.

    Raises:
        Unavailable: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path)
        self._max_bytes = max_bytes
        self._unreadable: dict[int, float] = {}
        self._told: set[int] = set()

    def put(self, event: str, topic: str, payload: bytes, *, evict: bool = False) -> int:
        """Add a message at the end; a repeat of an event id changes nothing.

        Args:
            event: the event's id.
            topic: where it will be published.
            payload: the message.
            evict: when full, give up acknowledged rows, oldest first, and then those that are set aside; for sources
                that cannot wait.

        Returns:
            How many rows that were set aside were given up.

        Raises:
            Busy: the spool is full.
            Unavailable: the disk refuses.
        """

        def work(db: sqlite3.Connection) -> int:
            if db.execute("SELECT 1 FROM clip WHERE event = ?", (event,)).fetchone():
                return 0
            given_up = self._evict(db, self._bytes + len(payload) - self._max_bytes) if evict else 0
            if self._bytes + len(payload) > self._max_bytes:
                raise OverloadedError(f"the spool {self._path} is full: {self._bytes} of {self._max_bytes} bytes")
            row = db.execute("INSERT INTO clip (event, topic, payload) VALUES (?, ?, ?)", (event, topic, payload))
            self._highest_row = max(self._highest_row, row.lastrowid or 0)
            db.execute("INSERT OR REPLACE INTO note VALUES ('newest', ?)", (event,))
            self._bytes += len(payload)
            self._pending += 1
            return given_up

        return self._do(work, reserve_bytes=DISK_RESERVE_BYTES + 2 * len(payload))

    def peek(self, limit: int, skip: Collection[int] = ()) -> list[SpoolEntry]:
        """The oldest pending messages, in order, at most `limit`, without the rows in `skip`.

        A row that the disk does not give is passed over for a while.
        """

        def work(db: sqlite3.Connection) -> list[SpoolEntry]:
            now_s = time.monotonic()
            self._unreadable = {row: until_s for row, until_s in self._unreadable.items() if now_s < until_s}
            without = {*skip, *self._unreadable}
            query = (
                "SELECT row FROM clip WHERE NOT EXISTS (SELECT 1 FROM mark WHERE mark.row = clip.row)"
                " ORDER BY row LIMIT ?"
            )
            rows = db.execute(query, (limit + len(without),)).fetchall()
            wanted = [row for (row,) in rows if row not in without][:limit]
            loaded = [found for row in wanted if (found := self._load(db, row)) is not None]
            given = {one.row for one in loaded}
            self._unreadable |= {row: now_s + UNREADABLE_REST_S for row in wanted if row not in given}
            return loaded

        return self._do(work)

    def unreadable(self) -> int:
        """How many pending messages the disk did not give when they were last asked for."""
        return len(self._unreadable)

    def load(self, rows: Iterable[int]) -> list[SpoolEntry]:
        """Messages by row, whatever their state; those that are gone are left out."""

        def work(db: sqlite3.Connection) -> list[SpoolEntry]:
            return [found for row in rows if (found := self._load(db, row)) is not None]

        return self._do(work)

    def acknowledge(self, rows: Iterable[int], now_s: float) -> int:
        """Mark rows as taken by the broker; unknown or already acknowledged rows change nothing.

        Returns:
            How many were not acknowledged until now.
        """

        def work(db: sqlite3.Connection) -> int:
            done = 0
            for row in rows:
                aside = db.execute("DELETE FROM mark WHERE row = ? AND reason IS NOT NULL", (row,)).rowcount
                marked = db.execute(
                    "INSERT OR IGNORE INTO mark (row, acknowledged_at) SELECT row, ? FROM clip WHERE row = ?",
                    (now_s, row),
                ).rowcount
                self._aside -= aside
                self._pending -= marked - aside
                done += marked
            return done

        return self._do(work)

    def acknowledged(self, since_s: float) -> list[int]:
        """Rows acknowledged at or after `since_s` that are still kept, in order."""

        def work(db: sqlite3.Connection) -> list[int]:
            found = db.execute("SELECT row FROM mark WHERE acknowledged_at >= ? ORDER BY row", (since_s,))
            return [row for (row,) in found]

        return self._do(work)

    def latest_stamp(self) -> float:
        """The highest stamp of an acknowledgement that is still kept; 0 without one."""
        return float(
            self._do(lambda db: db.execute("SELECT COALESCE(MAX(acknowledged_at), 0) FROM mark").fetchone()[0])
        )

    def purge(self, before_s: float, keep: Collection[int] = ()) -> int:
        """Forget rows acknowledged before `before_s`, but those in `keep`; returns how many."""

        def find(db: sqlite3.Connection) -> list[tuple[int, int]]:
            query = "SELECT row, LENGTH(payload) FROM clip JOIN mark USING (row) WHERE mark.acknowledged_at < ?"
            return [(row, size) for row, size in db.execute(query, (before_s,)) if row not in keep]

        old, purged = self._do(find), 0
        for at in range(0, len(old), PURGED_AT_ONCE):  # on a full disk there is no room for many at a time
            rows = old[at : at + PURGED_AT_ONCE]
            purged += self._do(lambda db: self._forget(db, rows))  # noqa: B023 - called at once
        return purged

    def set_aside(self, row: int, reason: str) -> None:
        """Take a pending message out of the queue, and keep it with the reason."""

        def work(db: sqlite3.Connection) -> None:
            marked = db.execute(
                "INSERT OR IGNORE INTO mark (row, reason) SELECT row, ? FROM clip WHERE row = ?", (reason, row)
            ).rowcount
            self._pending -= marked
            self._aside += marked

        self._do(work)

    def all_aside(self) -> list[SetAside]:
        """The messages that are set aside, oldest first."""

        def work(db: sqlite3.Connection) -> list[SetAside]:
            query = (
                "SELECT row, LENGTH(payload), topic, reason FROM clip JOIN mark USING (row)"
                " WHERE reason IS NOT NULL ORDER BY row"
            )
            return [SetAside(*found) for found in db.execute(query)]

        return self._do(work) if self._aside else []

    def release(self, rows: Iterable[int]) -> None:
        """Make messages that were set aside pending again."""

        def work(db: sqlite3.Connection) -> None:
            for row in rows:
                freed = db.execute("DELETE FROM mark WHERE row = ? AND reason IS NOT NULL", (row,)).rowcount
                self._aside -= freed
                self._pending += freed

        self._do(work)

    def note(self, name: str) -> str | None:
        """What was noted under a name: `newest` is the event id of the latest `put`."""

        def work(db: sqlite3.Connection) -> str | None:
            found = db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
            return None if found is None else str(found[0])

        return self._do(work)

    def set_note(self, name: str, value: str) -> None:
        """Keep a text under a name, over restarts."""
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value)))

    def usage(self) -> SpoolUsage:
        """How full it is, at once: a write under way may be counted already, and is taken back if it fails."""
        # Without the lock: whoever writes holds it until the disk has it, and an SD card may take seconds.
        return SpoolUsage(self._pending, self._bytes, self._max_bytes, self._aside, self._lost)

    def _load(self, db: sqlite3.Connection, row: int) -> SpoolEntry | None:
        """One message; None if it is gone, or if the disk does not give it."""
        try:
            found = db.execute("SELECT row, event, topic, payload FROM clip WHERE row = ?", (row,)).fetchone()
        except sqlite3.OperationalError as error:
            level = logging.DEBUG if row in self._told else logging.WARNING
            self._told.add(row)
            log.log(
                level, "a spooled event cannot be read: it is passed over", extra={"row": row, "reason": str(error)}
            )
            return None
        return None if found is None else SpoolEntry(*found)

    def _evict(self, db: sqlite3.Connection, need_bytes: int) -> int:
        """Make room; return how many rows of those that were set aside it cost."""
        if need_bytes <= 0:
            return 0
        chosen, found, aside = [], 0, 0
        for row, size, is_aside in db.execute(
            "SELECT row, LENGTH(payload), reason IS NOT NULL AS aside FROM clip JOIN mark USING (row)"
            " ORDER BY aside, row"
        ).fetchall():
            if found >= need_bytes:
                break
            chosen.append((row, size))
            found += size
            aside += is_aside
        self._forget(db, chosen)
        self._aside -= aside
        return aside

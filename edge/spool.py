"""The spool: a queue of events on disk, in order, until the broker has them. It survives a kill and a power cut.

A row is *pending* until its PUBACK, then *acknowledged* and kept for a while. A broker that is killed loses rows that
it acknowledged and had not written, so the publisher sends them again. The first acknowledgement counts. A row that
the broker cannot take is *set aside*, with the reason. The hub recognises repeats by their id.

SQLite runs in WAL mode with synchronous = FULL: a `put` that returned is on the disk. The file is locked for one
process. Any thread may call any method. The caller stamps acknowledgements with seconds of connection to the broker
(`edge.connection_clock`). Errors of the disk become `UnavailableError`. A damaged file is replaced by one with its
readable rows (`edge.spool_recovery`), also while the agent runs.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from edge.bounded_spool import PURGED_AT_ONCE, BoundedSpoolFile, Room
from edge.spool_entries import LEVELS_END, SetAside, SpoolEntry, SpoolUsage
from edge.spool_shedding import PENDING
from shared.errors import OverloadedError
from shared.messages.fields import Content

log = logging.getLogger(__name__)

UNREADABLE_REST_S: Final = 60.0
"""Seconds for which a row that could not be read is skipped."""
DISK_RESERVE_BYTES: Final = 1024**2
"""Bytes of the disk that a new event leaves free, to acknowledge and to delete others."""


class Spool(BoundedSpoolFile):
    """A bounded queue on disk.

    Args:
        path: SQLite file; its folder is created.
        max_bytes: most payload bytes kept, acknowledged rows included.
        clock: returns monotonic seconds. It measures the age of messages, so that a wrong clock sheds none; the time
            for which the sensor is off does not count.

    Raises:
        UnavailableError: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path, max_bytes, clock)
        self._unreadable: dict[int, float] = {}
        self._logged: set[int] = set()

    def put(
        self,
        event: str,
        topic: str,
        payload: bytes,
        *,
        evict: bool = False,
        content: Content = "sound",
        newest: bool = True,
    ) -> int:
        """Add a message at the end; a repeat of an id changes nothing.

        Args:
            event: id of the event, or of another message.
            topic: topic to publish it on.
            payload: the message.
            evict: when full, delete acknowledged rows, oldest first, then those that are set aside, and then shed
                pending ones (`edge.spool_shedding`); for sources that cannot wait.
            content: the most private part of the message; `levels` of a level series.
            newest: whether the note `newest` becomes this id; False for a message that is no event.

        Returns:
            The number of deleted events that the broker did not have.

        Raises:
            OverloadedError: the spool is full.
            UnavailableError: the disk refuses.
        """

        def work(db: sqlite3.Connection) -> Room:
            if db.execute("SELECT 1 FROM clip WHERE event = ?", (event,)).fetchone():
                return Room(b"", content)
            made = self._make_room(db, event, payload, content) if evict else Room(payload, content)
            if self._bytes + len(made.payload) > self._max_bytes:
                raise OverloadedError(f"the spool {self._path} is full: {self._bytes} of {self._max_bytes} bytes")
            row = db.execute(
                "INSERT INTO clip (event, topic, payload) VALUES (?, ?, ?)", (event, topic, made.payload)
            )
            self._highest_row = max(self._highest_row, row.lastrowid or 0)
            db.execute("INSERT INTO content VALUES (?, ?, ?)", (row.lastrowid, made.content, self._now_s()))
            if newest:
                db.execute("INSERT OR REPLACE INTO note VALUES ('newest', ?)", (event,))
            self._bytes += len(made.payload)
            self._pending += 1
            return made

        made = self._do(work, reserve_bytes=DISK_RESERVE_BYTES + 2 * len(payload))
        self.level_seconds_shed += made.level_seconds
        return made.deleted

    def peek(
        self, limit: int, skip: Collection[int] = (), *, after: int = 0, levels: bool = True
    ) -> list[SpoolEntry]:
        """Return the oldest pending messages after a row, in order, at most `limit`, without the rows in `skip`.

        A row that cannot be read is skipped for `UNREADABLE_REST_S`.

        Args:
            limit: maximum number of messages.
            skip: rows to leave out.
            after: row before the first; 0 for all.
            levels: whether level series are among them.
        """

        def work(db: sqlite3.Connection) -> list[SpoolEntry]:
            now_s = time.monotonic()
            self._unreadable = {row: until_s for row, until_s in self._unreadable.items() if now_s < until_s}
            without = {*skip, *self._unreadable}
            query = (
                "SELECT row FROM clip WHERE row > ? AND topic NOT LIKE ?"  # noqa: S608 - a constant
                f" AND {PENDING} ORDER BY row LIMIT ?"
            )
            levels_topic = "" if levels else f"%{LEVELS_END}"
            rows = db.execute(query, (after, levels_topic, limit + len(without))).fetchall()
            wanted = [row for (row,) in rows if row not in without][:limit]
            loaded = [entry for row in wanted if (entry := self._load(db, row)) is not None]
            readable = {entry.row for entry in loaded}
            self._unreadable |= {row: now_s + UNREADABLE_REST_S for row in wanted if row not in readable}
            return loaded

        return self._do(work)

    def unreadable(self) -> int:
        """Return the number of pending messages whose last read failed."""
        return len(self._unreadable)

    def load(self, rows: Iterable[int]) -> list[SpoolEntry]:
        """Return messages by row, in any state, without those that are deleted or unreadable."""

        def work(db: sqlite3.Connection) -> list[SpoolEntry]:
            return [entry for row in rows if (entry := self._load(db, row)) is not None]

        return self._do(work)

    def acknowledge(self, rows: Iterable[int], now_s: float) -> int:
        """Mark rows as acknowledged by the broker; unknown or already acknowledged rows change nothing.

        Returns:
            The number of newly acknowledged rows.
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
        """Return the rows acknowledged at or after `since_s` that are still kept, in order."""

        def work(db: sqlite3.Connection) -> list[int]:
            rows = db.execute("SELECT row FROM mark WHERE acknowledged_at >= ? ORDER BY row", (since_s,))
            return [row for (row,) in rows]

        return self._do(work)

    def latest_stamp(self) -> float:
        """Return the highest stamp of an acknowledgement that is still kept; 0 without one."""
        return float(
            self._do(lambda db: db.execute("SELECT COALESCE(MAX(acknowledged_at), 0) FROM mark").fetchone()[0])
        )

    def purge(self, before_s: float, keep: Collection[int] = ()) -> int:
        """Delete rows acknowledged before `before_s`, except those in `keep`; return their number."""

        def find(db: sqlite3.Connection) -> list[tuple[int, int]]:
            query = "SELECT row, LENGTH(payload) FROM clip JOIN mark USING (row) WHERE mark.acknowledged_at < ?"
            return [(row, size) for row, size in db.execute(query, (before_s,)) if row not in keep]

        old, purged = self._do(find), 0
        for at in range(0, len(old), PURGED_AT_ONCE):  # a full disk has no room to delete many at a time
            rows = old[at : at + PURGED_AT_ONCE]
            purged += self._do(lambda db: self._forget(db, rows))  # noqa: B023 - called at once
        return purged

    def set_aside(self, row: int, reason: str) -> None:
        """Remove a pending message from the queue, and keep it with the reason."""

        def work(db: sqlite3.Connection) -> None:
            marked = db.execute(
                "INSERT OR IGNORE INTO mark (row, reason) SELECT row, ? FROM clip WHERE row = ?", (reason, row)
            ).rowcount
            self._pending -= marked
            self._aside += marked

        self._do(work)

    def all_aside(self) -> list[SetAside]:
        """Return the messages that are set aside, oldest first."""

        def work(db: sqlite3.Connection) -> list[SetAside]:
            query = (
                "SELECT row, LENGTH(payload), topic, reason FROM clip JOIN mark USING (row)"
                " WHERE reason IS NOT NULL ORDER BY row"
            )
            return [SetAside(*columns) for columns in db.execute(query)]

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
        """Return the text stored under a name, or None: `newest` is the event id of the latest `put`."""

        def work(db: sqlite3.Connection) -> str | None:
            columns = db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
            return None if columns is None else str(columns[0])

        return self._do(work)

    def set_note(self, name: str, value: str) -> None:
        """Store a text under a name; it survives restarts."""
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value)))

    def usage(self) -> SpoolUsage:
        """Return how full the spool is, without waiting. A write under way may be counted; if it fails, it is not."""
        # No lock: a writer holds it until the disk has the data, and an SD card may take seconds.
        return SpoolUsage(self._pending, self._bytes, self._max_bytes, self._aside, self._lost)

    def _load(self, db: sqlite3.Connection, row: int) -> SpoolEntry | None:
        """Return one message; None if it is deleted or cannot be read."""
        try:
            columns = db.execute("SELECT row, event, topic, payload FROM clip WHERE row = ?", (row,)).fetchone()
        except sqlite3.OperationalError as error:
            level = logging.DEBUG if row in self._logged else logging.WARNING
            self._logged.add(row)
            log.log(level, "a spooled event cannot be read; it is skipped", extra={"row": row, "reason": str(error)})
            return None
        return None if columns is None else SpoolEntry(*columns)

"""The limits of a spool: bytes and age. What exceeds them is deleted or shed (`edge.spool_shedding`)."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edge.spool_file import SpoolFile
from edge.spool_shedding import PENDING, contents_up_to, oldest, ranges, record, strip_sound
from shared.messages.event_edits import without_sound
from shared.messages.fields import Content
from shared.messages.sensor import ShedRange

PURGED_AT_ONCE: Final = 16
"""Rows that one transaction deletes; a full disk has no room for many."""


class Room(NamedTuple):
    """What making room for a message did: pending and set-aside rows deleted, and what remains of the message."""

    deleted: int
    payload: bytes
    content: Content


class BoundedSpoolFile(SpoolFile):
    """A spool's file with a limit of bytes, and the running time that measures the age of its messages.

    Args:
        path: SQLite file; its folder is created.
        max_bytes: most payload bytes kept, acknowledged rows included.
        clock: returns monotonic seconds.

    Raises:
        Unavailable: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        super().__init__(path)
        self._clock = clock
        self._clock_offset_s = self._do(self._adopt) - clock()
        self._max_bytes = max_bytes

    def expire(self, max_age_s: float) -> int:
        """Delete pending messages that were put more than `max_age_s` of running time ago; return their number."""

        def work(db: sqlite3.Connection) -> int:
            query = (
                "SELECT clip.row, LENGTH(payload), event, content.content FROM clip JOIN content USING (row)"  # noqa: S608
                f" WHERE spooled_at < ? AND {PENDING} ORDER BY spooled_at, content.row LIMIT ?"
            )
            old = db.execute(query, (self._now_s() - max_age_s, PURGED_AT_ONCE)).fetchall()
            for _, _, event, content in old:
                record(db, event, content, "age")
            self._pending -= len(old)
            return self._forget(db, [(row, size) for row, size, _, _ in old])

        return self._do(work)

    def shed_ranges(self) -> tuple[ShedRange, ...]:
        """Return what was shed, by ranges of sequence numbers, the latest last."""
        return self._do(ranges)

    def _now_s(self) -> float:
        """Return the running time: seconds for which the spool was open, over all runs."""
        return self._clock_offset_s + self._clock()

    @staticmethod
    def _adopt(db: sqlite3.Connection) -> float:
        """Take rows of an earlier version for audio put now; return the running time."""
        (now_s,) = db.execute("SELECT COALESCE(MAX(spooled_at), 0) FROM content").fetchone()
        db.execute("INSERT OR IGNORE INTO content SELECT row, 'sound', ? FROM clip", (now_s,))
        return float(now_s)

    def _make_room(self, db: sqlite3.Connection, event: str, payload: bytes, content: Content) -> Room:
        """Delete and shed until a new message fits, which may lose its own audio; return what remains of it."""
        deleted = self._evict(db, self._bytes + len(payload) - self._max_bytes)
        deleted += self._shed(db, len(payload), content)
        if content == "sound" and self._bytes + len(payload) > self._max_bytes:
            rest = without_sound(payload)
            if rest is not None:
                deleted += self._shed(db, len(rest), "features")
                record(db, event, "sound", "full")
                return Room(deleted, rest, "features")
        return Room(deleted, payload, content)

    def _shed(self, db: sqlite3.Connection, new_bytes: int, new: Content) -> int:
        """Shed pending messages until a new one fits; return how many were deleted."""
        deleted = 0
        for content in contents_up_to(new):
            while self._bytes + new_bytes > self._max_bytes >= new_bytes:
                found = oldest(db, content)
                if found is None:
                    break
                row, event, payload = found
                freed = strip_sound(db, row, payload) if content == "sound" else None
                if freed is None:
                    self._forget(db, [(row, len(payload))])
                    self._pending -= 1
                    deleted += 1
                else:
                    self._bytes -= freed
                if freed != 0:
                    record(db, event, content, "full")
        return deleted

    def _evict(self, db: sqlite3.Connection, need_bytes: int) -> int:
        """Delete rows until `need_bytes` are free; return how many of them were set aside."""
        if need_bytes <= 0:
            return 0
        chosen, freed_bytes, aside = [], 0, 0
        for row, size, is_aside in db.execute(
            "SELECT row, LENGTH(payload), reason IS NOT NULL AS aside FROM clip JOIN mark USING (row)"
            " ORDER BY aside, row"
        ).fetchall():
            if freed_bytes >= need_bytes:
                break
            chosen.append((row, size))
            freed_bytes += size
            aside += is_aside
        self._forget(db, chosen)
        self._aside -= aside
        return aside

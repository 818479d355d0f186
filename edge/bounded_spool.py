"""The limits of a spool: bytes and age. What exceeds them is deleted or shed (`edge.spool_shedding`)."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edge.spool_entries import LEVELS_END
from edge.spool_file import SpoolFile
from edge.spool_shedding import PENDING, contents_up_to, level_seconds, oldest, ranges, record, strip_sound
from shared.messages.event_edits import without_sound
from shared.messages.fields import Content
from shared.messages.sensor import ShedRange

PURGED_AT_ONCE: Final = 16
"""Rows that one transaction deletes; a full disk has no room for many."""


class Room(NamedTuple):
    """What making room for a message did: events and seconds of levels deleted, and what remains of the message."""

    payload: bytes
    content: Content
    deleted: int = 0
    level_seconds: int = 0


class BoundedSpoolFile(SpoolFile):
    """A spool's file with a limit of bytes, and the running time that measures the age of its messages.

    Args:
        path: SQLite file; its folder is created.
        max_bytes: most payload bytes kept, acknowledged rows included.
        clock: returns monotonic seconds.

    Attributes:
        level_seconds_shed: seconds of the level series that this run shed.

    Raises:
        Unavailable: the file cannot be made or opened, or another process holds it.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        super().__init__(path)
        self._clock = clock
        self._clock_offset_s = self._do(self._adopt) - clock()
        self._max_bytes = max_bytes
        self.level_seconds_shed = 0

    def expire(self, max_age_s: float) -> int:
        """Delete messages that were put more than `max_age_s` of running time ago; return the number of events."""

        def work(db: sqlite3.Connection) -> tuple[int, int]:
            query = (
                "SELECT clip.row, LENGTH(payload), event, content.content,"  # noqa: S608 - a constant
                " CASE content.content WHEN 'levels' THEN payload END FROM clip JOIN content USING (row)"
                f" WHERE spooled_at < ? AND {PENDING} ORDER BY spooled_at, content.row LIMIT ?"
            )
            old = db.execute(query, (self._now_s() - max_age_s, PURGED_AT_ONCE)).fetchall()
            series = [payload for *_, payload in old if payload is not None]
            for _, _, event, content, _ in old:
                record(db, event, content, "age")
            self._pending -= len(old)
            self._forget(db, [(row, size) for row, size, *_ in old])
            return len(old) - len(series), sum(map(level_seconds, series))

        events, seconds = self._do(work)
        self.level_seconds_shed += seconds
        return events

    def shed_ranges(self) -> tuple[ShedRange, ...]:
        """Return what was shed, by ranges of sequence numbers, the latest last."""
        return self._do(ranges)

    def _now_s(self) -> float:
        """Return the running time: seconds for which the spool was open, over all runs."""
        return self._clock_offset_s + self._clock()

    @staticmethod
    def _adopt(db: sqlite3.Connection) -> float:
        """Take rows without a content for audio or level series put now; return the running time."""
        (now_s,) = db.execute("SELECT COALESCE(MAX(spooled_at), 0) FROM content").fetchone()
        db.execute(
            "INSERT OR IGNORE INTO content"
            " SELECT row, CASE WHEN topic LIKE ? THEN 'levels' ELSE 'sound' END, ? FROM clip",
            (f"%{LEVELS_END}", now_s),
        )
        return float(now_s)

    def _make_room(self, db: sqlite3.Connection, event: str, payload: bytes, content: Content) -> Room:
        """Delete and shed until a new message fits, which may lose its own audio; return what remains of it."""
        aside = self._evict(db, self._bytes + len(payload) - self._max_bytes)
        deleted, seconds = self._shed(db, len(payload), content)
        if content == "sound" and self._bytes + len(payload) > self._max_bytes:
            rest = without_sound(payload)
            if rest is not None:
                more, _ = self._shed(db, len(rest), "features")
                record(db, event, "sound", "full")
                return Room(rest, "features", aside + deleted + more)
        return Room(payload, content, aside + deleted, seconds)

    def _shed(self, db: sqlite3.Connection, new_bytes: int, new: Content) -> tuple[int, int]:
        """Shed pending messages until a new one fits; return the deleted events and seconds of levels."""
        deleted = seconds = 0
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
                    deleted += content != "levels"
                    seconds += level_seconds(payload) if content == "levels" else 0
                else:
                    self._bytes -= freed
                if freed != 0:
                    record(db, event, content, "full")
        return deleted, seconds

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

"""Shed pending messages of a full or old spool, in a fixed order, and record which.

1. Audio goes first: the oldest message with audio loses it and keeps its embedding. A message that is audio alone is
   deleted.
2. Then the oldest messages with embeddings are deleted, then level series.
3. A new message never sheds content that is kept longer than its own.

Each shed event is recorded by boot, content and reason, in ranges of sequence numbers. A level series has no sequence
number: its seconds are counted.
"""

import sqlite3
from typing import Final, Literal

from shared.errors import InvalidError
from shared.events import EventId
from shared.level_series import decode_series
from shared.messages.event_edits import without_sound
from shared.messages.fields import CONTENTS, Content
from shared.messages.sensor import ShedRange

MAX_RANGES: Final = 16
"""Most ranges that are kept and reported; the oldest are forgotten."""
SHEDDING_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS content (row INTEGER PRIMARY KEY, content TEXT NOT NULL, spooled_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS content_kind ON content (content);
CREATE INDEX IF NOT EXISTS content_age ON content (spooled_at);
CREATE TABLE IF NOT EXISTS shed (
  number INTEGER PRIMARY KEY, boot TEXT, content TEXT, reason TEXT,
  first_seq INTEGER, last_seq INTEGER, events INTEGER
);
"""
PENDING: Final = "NOT EXISTS (SELECT 1 FROM mark WHERE mark.row = clip.row)"
Reason = Literal["full", "age"]


def contents_up_to(content: Content) -> tuple[Content, ...]:
    """Return the contents that a new message may shed."""
    return CONTENTS[: CONTENTS.index(content) + 1]


def oldest(db: sqlite3.Connection, content: Content) -> tuple[int, str, bytes] | None:
    """Return row, event id and payload of the oldest pending message with a content; None without one."""
    query = (
        "SELECT clip.row, event, payload FROM clip JOIN content USING (row)"  # noqa: S608 - a constant
        f" WHERE content.content = ? AND {PENDING} ORDER BY content.row LIMIT 1"
    )
    found = db.execute(query, (content,)).fetchone()
    return None if found is None else (int(found[0]), str(found[1]), bytes(found[2]))


def strip_sound(db: sqlite3.Connection, row: int, payload: bytes) -> int | None:
    """Remove the audio of a message; return the freed bytes, or None if the message is audio alone."""
    rest = without_sound(payload)
    if rest is None:
        return None
    db.execute("UPDATE content SET content = 'features' WHERE row = ?", (row,))
    if len(rest) < len(payload):
        db.execute("UPDATE clip SET payload = ? WHERE row = ?", (rest, row))
    return len(payload) - len(rest)


def record(db: sqlite3.Connection, event: str, content: Content, reason: Reason) -> None:
    """Add one shed message to the ranges. An id that is not an event's is not recorded."""
    try:
        event_id = EventId.parse(event)
    except InvalidError:
        return
    changed = db.execute(
        "UPDATE shed SET last_seq = MAX(last_seq, ?1), events = events + 1 WHERE boot = ?2 AND content = ?3"
        " AND reason = ?4 AND ?1 BETWEEN first_seq AND last_seq + 1",
        (event_id.seq, event_id.boot, content, reason),
    ).rowcount
    if not changed:
        values = (event_id.boot, content, reason, event_id.seq, event_id.seq, 1)
        number = db.execute(
            "INSERT INTO shed (boot, content, reason, first_seq, last_seq, events) VALUES (?, ?, ?, ?, ?, ?)", values
        ).lastrowid
        db.execute("DELETE FROM shed WHERE number <= ?", ((number or 0) - MAX_RANGES,))


def level_seconds(payload: bytes) -> int:
    """Return the number of seconds of a level series; 0 of anything else."""
    try:
        return len(decode_series(payload).tenths)
    except InvalidError:
        return 0


def ranges(db: sqlite3.Connection) -> tuple[ShedRange, ...]:
    """Return the recorded ranges, oldest first."""
    names = ("boot", "content", "reason", "first_seq", "last_seq", "events")
    rows = db.execute(f"SELECT {', '.join(names)} FROM shed ORDER BY number")  # noqa: S608 - constants
    return tuple(ShedRange.model_validate(dict(zip(names, row, strict=True))) for row in rows)

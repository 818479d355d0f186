"""Recover the readable rows of a damaged spool into a new file, and keep the damaged file.

SQLite reads a table page by page, so one damaged page hides the rows on it and no others. The recovery reads the
table and the index of event ids from both ends up to the damage, and then tries every row number in between. The
readable rows go into a new file, which replaces the old one. The damaged file is kept in the same folder.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.spool_shedding import SHEDDING_SCHEMA

log = logging.getLogger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS clip (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  acknowledged_at REAL
);
CREATE TABLE IF NOT EXISTS mark (
  row INTEGER PRIMARY KEY,
  acknowledged_at REAL,
  reason TEXT
);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR IGNORE INTO mark (row, acknowledged_at)
  SELECT row, acknowledged_at FROM clip WHERE acknowledged_at IS NOT NULL;
"""
"""A row without a mark is pending, one with `acknowledged_at` is at the broker, one with a `reason` is set aside.

Earlier versions kept `clip.acknowledged_at`. It is read once and never written: with that column each acknowledgement
would write the whole clip again, for which a full disk has no room.
"""
LOG_BYTES: Final = 256 * 1024
"""Minimum size of SQLite's log in bytes, and size of the free pages that a new file has for marks."""
_GUESSES: Final = 1_000_000
"""Maximum number of row numbers that are tried one by one."""
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The result of repairing a damaged spool.

    Attributes:
        kept: number of rows in the new file.
        lost: number of rows that are known to have existed and are not readable.
        moved_to: path of the damaged file.
    """

    kept: int
    lost: int
    moved_to: Path


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite means that the file is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def open_spool(path: Path) -> sqlite3.Connection:
    """Open or create a spool's file, locked for this process, and check all of it.

    SQLite moves each transaction from the log to the file at once. Then the log is free and keeps its size of at
    least `LOG_BYTES`. On a full disk the log therefore has room to acknowledge and to delete rows.

    Raises:
        sqlite3.Error: the file is damaged, locked, or cannot be written.
        OSError: its folder cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    finish_move(path)
    db = _connect(path)
    try:
        db.executescript(SCHEMA + SHEDDING_SCHEMA)
        if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            error = sqlite3.DatabaseError(verdict)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        with contextlib.suppress(sqlite3.OperationalError):  # the disk is full already
            for query in ("INSERT OR REPLACE INTO note VALUES ('room', ?)", "DELETE FROM note WHERE value = ?"):
                with db:
                    db.execute(query, ("x" * LOG_BYTES,))
    except sqlite3.Error:
        db.close()
        raise
    return db


def finish_move(path: Path) -> None:
    """Complete a repair that a power cut interrupted between its two renames; delete an incomplete one."""
    fresh = _fresh(path)
    if not fresh.exists():
        return
    if path.exists():
        _unlink(fresh)
    else:
        fresh.rename(path)


def salvage(path: Path, reason: str, used: int = 0) -> Salvaged:
    """Copy the readable rows into a new file, and rename the damaged file to `<name>.damaged-1` (-2, ...).

    Args:
        path: path of the damaged spool, which no process has open.
        reason: SQLite's error, for the log.
        used: highest row number in use; the new file assigns higher ones, because pending PUBACKs refer to rows.

    Raises:
        sqlite3.Error, OSError: the new file cannot be created.
    """
    finish_move(path)
    fresh = _fresh(path)
    _unlink(fresh)
    new = open_spool(fresh)
    kept, lost = 0, 0
    try:
        with new:
            new.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('clip', ?)", (used,))
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_connect(path)) as old:
            kept, lost = _copy(old, new)
    finally:
        new.close()
    moved_to = _aside(path)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved_to.with_name(moved_to.name + suffix))
    path.rename(moved_to)
    fresh.rename(path)
    log.error(
        "spool damaged: the readable events are in a new file, the damaged file is kept",
        extra={"spool": str(path), "kept": kept, "lost": lost, "moved_to": str(moved_to), "reason": reason},
    )
    return Salvaged(kept, lost, moved_to)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 1")  # see `open_spool`
    except sqlite3.Error:
        db.close()
        raise
    return db


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[int, int]:
    """Copy all readable rows; return how many were copied, and how many known ones were not readable."""
    kept, lost = 0, 0
    known, guessed = _numbers(old)
    for row in sorted(known | guessed):
        columns = _row(old, row)
        if columns is None:
            lost += row in known
            continue
        try:
            with new:
                new.execute("INSERT INTO clip (row, event, topic, payload) VALUES (?, ?, ?, ?)", columns)
        except sqlite3.DatabaseError:  # the disk is full: the row stays in the damaged file
            lost += 1
            continue
        kept += 1
        with contextlib.suppress(sqlite3.DatabaseError), new:  # without its mark the row is sent again
            mark = old.execute("SELECT row, acknowledged_at, reason FROM mark WHERE row = ?", (row,))
            new.executemany("INSERT INTO mark VALUES (?, ?, ?)", mark)
        with contextlib.suppress(sqlite3.DatabaseError), new:  # without its content it is taken for audio
            content = old.execute("SELECT row, content, spooled_at FROM content WHERE row = ?", (row,))
            new.executemany("INSERT INTO content VALUES (?, ?, ?)", content)
    with contextlib.suppress(sqlite3.DatabaseError), new:  # never use a row number twice: PUBACKs refer to rows
        new.execute(
            "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = 'clip'", (max(known | guessed, default=0),)
        )
    with contextlib.suppress(sqlite3.DatabaseError), new:
        new.executemany("INSERT OR REPLACE INTO note VALUES (?, ?)", old.execute("SELECT name, value FROM note"))
    with contextlib.suppress(sqlite3.DatabaseError), new:
        new.executemany("INSERT INTO shed VALUES (?, ?, ?, ?, ?, ?, ?)", old.execute("SELECT * FROM shed"))
    return kept, lost


def _row(db: sqlite3.Connection, row: int) -> tuple[int, str, str, bytes] | None:
    """Return the columns of one row if all are readable, else None."""
    try:
        columns = db.execute("SELECT row, event, topic, payload FROM clip WHERE row = ?", (row,)).fetchone()
    except (sqlite3.DatabaseError, MemoryError):  # a damaged length may have any value
        return None
    if columns is None or [type(value) for value in columns] != [int, str, str, bytes]:
        return None
    return int(columns[0]), str(columns[1]), str(columns[2]), bytes(columns[3])


def _numbers(db: sqlite3.Connection) -> tuple[set[int], set[int]]:
    """Return the row numbers that the file contains, and further ones that may exist."""
    known: set[int] = set()
    guessed: set[int] = set()
    for source in ("clip NOT INDEXED", "clip INDEXED BY sqlite_autoindex_clip_1"):
        order = "event" if "INDEXED BY" in source else "row"
        first, whole = _until_damage(db, f"SELECT row FROM {source} ORDER BY {order}")  # noqa: S608 - constants
        known |= first
        if whole:
            return known, set()
        last, _ = _until_damage(db, f"SELECT row FROM {source} ORDER BY {order} DESC")  # noqa: S608 - constants
        known |= last
        if order == "row" and last:
            low, high = max(first, default=max(0, min(last) - _GUESSES)), min(last)
            guessed = set(range(max(low, high - _GUESSES), high))
    return known, guessed - known


def _until_damage(db: sqlite3.Connection, query: str) -> tuple[set[int], bool]:
    """Return the row numbers that a query yields before it fails, and whether it completed."""
    rows: set[int] = set()

    def each() -> Iterator[int]:
        for (row,) in db.execute(query):
            yield row

    try:
        for row in each():
            if isinstance(row, int):
                rows.add(row)
    except sqlite3.DatabaseError:
        return rows, False
    return rows, True


def _aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".salvaged")


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)

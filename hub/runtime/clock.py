"""The clock that components read by default; tests pass another."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)

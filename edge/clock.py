"""The state of this machine's clock, and the range of capture times that an event may carry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shared.events import EARLIEST, LATEST, ClockStatus

PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Earliest plausible time of a live clip; a clock that is earlier was never set."""
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")


def clock_status() -> ClockStatus:
    """Return `synchronised` if systemd-timesyncd reports it, otherwise `unknown`."""
    return "synchronised" if _SYNCHRONISED.exists() else "unknown"


def clock_at(captured_at: datetime) -> ClockStatus:
    """Return the state of the clock that stamped a live clip; an implausible time is `unsynchronised`.

    Args:
        captured_at: time from that clock, timezone-aware.
    """
    return clock_status() if PLAUSIBLE_FROM <= captured_at < LATEST else "unsynchronised"


def within_wire(at: datetime) -> datetime:
    """Return the nearest capture time that an event may carry, so that a wrong clock loses no clip.

    Args:
        at: any time, timezone-aware.
    """
    return min(max(at, EARLIEST), LATEST - timedelta(microseconds=1))

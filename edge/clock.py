"""How far this machine's clock can be trusted, and which capture times an event may carry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shared.events import EARLIEST, LATEST, ClockStatus

PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""No clip is older than this program: a clock that says so was never set."""
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")


def clock_status() -> ClockStatus:
    """Return `synchronised` if systemd-timesyncd says so; otherwise nothing is known."""
    return "synchronised" if _SYNCHRONISED.exists() else "unknown"


def clock_at(captured_at: datetime) -> ClockStatus:
    """Return what is known of the clock that stamped a live clip: an impossible time is `unsynchronised`.

    Args:
        captured_at: as the clock said, timezone-aware.
    """
    return clock_status() if PLAUSIBLE_FROM <= captured_at < LATEST else "unsynchronised"


def within_wire(at: datetime) -> datetime:
    """Return the nearest capture time that an event may carry, so that no clip is lost because of a clock.

    Args:
        at: any time, timezone-aware.
    """
    return min(max(at, EARLIEST), LATEST - timedelta(microseconds=1))

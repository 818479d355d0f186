"""The state of this machine's clock, and the range of capture times that an event may carry."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from edge.kernel_clock import kernel_clock_status
from shared.events import EARLIEST, LATEST, ClockStatus

PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Earliest plausible time of a live clip; a clock that is earlier was never set."""
_CLOCK_OF_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock_status() -> ClockStatus:
    """Return whether timesyncd, chrony or ntpd synchronises the clock; `unknown` without a report of the kernel."""
    return kernel_clock_status()


def elapsed_s() -> float:
    """Return the time since the machine started, in seconds, with the time for which it was suspended.

    It never jumps. The clock's time less this time changes only when the clock is set to another time.
    """
    return time.clock_gettime(_CLOCK_OF_BOOT)


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

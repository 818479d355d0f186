"""The state of this machine's clock, and the range of capture times that an event may carry."""

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.events import EARLIEST, LATEST, ClockStatus

PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Earliest plausible time of a live clip; a clock that is earlier was never set."""
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
_LARGEST_ERROR_US: Final = 16_000_000
"""Largest error of a synchronised clock. Source: systemd, `ntp_synced()`; Linux, `NTP_PHASE_LIMIT`."""


class _Timex(ctypes.Structure):
    """The beginning of the kernel's `struct timex`, and room for the rest. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def clock_status() -> ClockStatus:
    """Return `synchronised` if systemd-timesyncd or the kernel reports it, otherwise `unknown`.

    chrony, ntpd and systemd-timesyncd announce to the kernel that they keep the clock.
    """
    return "synchronised" if _SYNCHRONISED.exists() or _kernel_synchronised() else "unknown"


def _kernel_synchronised() -> bool:
    """Return whether a time service kept the kernel's clock within 16 s lately; False where that is not known."""
    adjtimex, state = _adjtimex(), _Timex()
    return adjtimex is not None and adjtimex(ctypes.byref(state)) >= 0 and state.maxerror < _LARGEST_ERROR_US


@lru_cache(maxsize=1)
def _adjtimex() -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), "adjtimex", None)  # Linux only


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

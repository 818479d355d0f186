"""What the kernel knows of its clock. systemd-timesyncd, chrony and ntpd all report to it with adjtimex(2).

Python has no such call, so this module calls the C library. Reading needs no permission.
"""

import ctypes
from typing import Final

from shared.events import ClockStatus

UNSYNCHRONISED_US: Final = 16_000_000
"""Maximum error of a clock that no daemon synchronises, in microseconds. The kernel sets it when the clock is set by
hand, and reaches it 9 h after the last synchronisation. The flag STA_UNSYNC does not decide, because chrony without
`rtcsync` leaves it set. Source: Linux, kernel/time/ntp.c (NTP_PHASE_LIMIT); systemd, time-util.c (ntp_synced)."""


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the rest is not read. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def maximum_error_us() -> int | None:
    """Return the maximum error of the kernel's clock in microseconds; None where the kernel does not report it."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):  # not Linux
        return None
    read = _Timex(modes=0)
    return None if adjtimex(ctypes.byref(read)) < 0 else int(read.maxerror)


def kernel_clock_status() -> ClockStatus:
    """Return whether a daemon synchronises the kernel's clock; `unknown` where the kernel does not report it."""
    error_us = maximum_error_us()
    if error_us is None:
        return "unknown"
    return "synchronised" if error_us < UNSYNCHRONISED_US else "unsynchronised"

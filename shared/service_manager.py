"""Report to systemd that a service works, over its notification socket. Without systemd nothing happens.

Source: systemd, sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

WATCHDOG: Final = b"WATCHDOG=1"


class Watchdog:
    """The watchdog of systemd: it restarts a service that does not report within `WatchdogSec`.

    Args:
        environment: variables that systemd sets for the service.
        pid: id of this process.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        limit_us = environment.get("WATCHDOG_USEC", "")
        other = environment.get("WATCHDOG_PID", str(pid)) != str(pid)
        enabled = bool(self._address) and limit_us.isdecimal() and not other
        self.interval_s = int(limit_us) / 3e6 if enabled else None
        """Seconds between two reports, a third of the limit; None without a watchdog."""
        self._due_s = 0.0

    @classmethod
    def of_this_process(cls) -> "Watchdog":
        """Return the watchdog of this process."""
        return cls(os.environ, os.getpid())

    def report(self, now_s: float) -> bool:
        """Report that the service works, if that is due; return whether it was reported.

        Args:
            now_s: monotonic time.
        """
        if self.interval_s is None or now_s < self._due_s:
            return False
        self._due_s = now_s + self.interval_s
        return self._send(WATCHDOG)

    def _send(self, state: bytes) -> bool:
        # an address that begins with @ is in the abstract namespace
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.sendto(state, address)
        except OSError:
            return False
        return True

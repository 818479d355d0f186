"""Run work that needs the spool's disk on a thread that must continue when the disk fails."""

import logging
from collections.abc import Callable
from typing import Final

from shared.errors import UnavailableError

log = logging.getLogger(__name__)

DISK_REST_S: Final = 1.0
"""Seconds for which failed work is not tried again."""


class DiskGuard:
    """Run work that may raise `UnavailableError`; wait `DISK_REST_S` after a failure, and log each failure once."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def attempt(self, what: str, work: Callable[[], object], now_s: float) -> None:
        """Run `work` unless it failed within the last `DISK_REST_S`.

        Args:
            what: name of the work, for the log and for its wait.
            work: callable that may raise `UnavailableError`.
            now_s: monotonic time.
        """
        if now_s < self._until_s.get(what, 0.0):
            return
        try:
            work()
        except UnavailableError as error:
            if what not in self._until_s:
                log.error(  # noqa: TRY400 - no traceback: the reason is enough
                    "the spool's disk fails: acknowledgements are kept in memory until it works again",
                    extra={"what": what, "reason": str(error)},
                )
            self._until_s[what] = now_s + DISK_REST_S
        else:
            if self._until_s.pop(what, None) is not None:
                log.warning("the spool's disk works again", extra={"what": what})

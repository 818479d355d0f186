"""Work that needs the spool's disk, for a thread that must go on when the disk fails."""

import logging
from collections.abc import Callable
from typing import Final

from shared.errors import UnavailableError

log = logging.getLogger(__name__)

DISK_REST_S: Final = 1.0
"""How long work that failed is left alone."""


class DiskGuard:
    """Runs work that may be `Unavailable`, and leaves what failed alone for a while; each failure is logged once."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def attempt(self, what: str, work: Callable[[], object], now_s: float) -> None:
        """Run `work` unless it failed just now.

        Args:
            what: names the work, in the log and for its rest.
            work: may raise `Unavailable`.
            now_s: monotonic time.
        """
        if now_s < self._until_s.get(what, 0.0):
            return
        try:
            work()
        except UnavailableError as error:
            if what not in self._until_s:
                log.error(  # noqa: TRY400 - the reason says it all
                    "the spool's disk fails: what the broker acknowledges is kept in memory until it works again",
                    extra={"what": what, "reason": str(error)},
                )
            self._until_s[what] = now_s + DISK_REST_S
        else:
            if self._until_s.pop(what, None) is not None:
                log.warning("the spool's disk works again", extra={"what": what})

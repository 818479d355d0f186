"""The rule for level series that the broker refuses, or that no hub receives: they wait, and events go on.

Hubs of an earlier version receive no level series, and the ACL of an earlier deployment permits none. So a refusal of
a level series concerns the other level series only, and starts no wait of events.
"""

import logging
from typing import Final

log = logging.getLogger(__name__)

REST_S: Final = 60.0
"""Seconds between two attempts."""


class RefusedSeries:
    """Level series under way, and whether the last one was refused.

    Attributes:
        under_way: rows of level series that were sent and are not acknowledged.
        refused: whether the latest answer to a level series was a refusal.
    """

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.refused = False
        self._until_s = 0.0

    def may_send(self, now_s: float) -> bool:
        """Return whether level series may be sent now; `now_s` is monotonic."""
        return now_s >= self._until_s

    def connected(self) -> None:
        """Start a connection, on which level series are tried at once."""
        self.under_way.clear()
        self._until_s = 0.0

    def on_acked(self, row: int) -> bool:
        """Record that the broker took a row; return whether it is a level series."""
        if row not in self.under_way:
            return False
        self.under_way.discard(row)
        self.refused = False
        return True

    def on_rejected(self, row: int, reason: int, now_s: float) -> None:
        """Send no level series for a while; log the first refusal of several as a warning."""
        self.under_way.discard(row)
        log.log(
            logging.DEBUG if self.refused else logging.WARNING,
            "level series are refused and kept; events go on: update hubs and the broker's ACL (docs/levels.md), or"
            " set levels.series = false",
            extra={"reason": reason, "retry_in_s": REST_S},
        )
        self.refused = True
        self._until_s = now_s + REST_S

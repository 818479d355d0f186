"""The clock by which acknowledged events age: seconds of connection to a broker that answers."""

from typing import Final

LONGEST_STEP_S: Final = 30.0
"""Most seconds that one answer proves: a process that was stopped meanwhile reads old answers late."""


class ConnectedTime:
    """Count the seconds of connection to the broker that its answers prove.

    Time passes from the start of a connection to the broker's latest answer on it. It stops while the broker
    is away, even before the loss is noticed. It never goes back, whatever the system's clock does.

    Args:
        start_s: where it goes on; the highest stamp that was ever kept.

    Attributes:
        now_s: the time.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = start_s
        self._last_s: float | None = None

    def connected(self, now_s: float) -> None:
        """The connection is up; `now_s` is monotonic."""
        self._last_s = now_s

    def answered(self, now_s: float) -> float:
        """The broker answered; return the time."""
        if self._last_s is not None:
            self.now_s += min(max(0.0, now_s - self._last_s), LONGEST_STEP_S)
            self._last_s = now_s
        return self.now_s

    def ended(self) -> None:
        """The connection ended."""
        self._last_s = None

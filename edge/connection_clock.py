"""The clock that measures the age of acknowledged events: seconds of connection to a broker that answers."""

from typing import Final

LONGEST_STEP_S: Final = 30.0
"""Most seconds that one answer adds: a process that was stopped meanwhile reads old answers late."""


class ConnectedTime:
    """Count the seconds of connection to the broker that its answers confirm.

    Time passes from the start of a connection to the broker's latest answer on it. It stops while the broker is
    unreachable, even before the loss is detected. It never goes back and does not depend on the system's clock.

    Args:
        start_s: time to continue from: the highest stored stamp.

    Attributes:
        now_s: current time in seconds.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = start_s
        self._last_s: float | None = None

    def connected(self, now_s: float) -> None:
        """Start a connection; `now_s` is monotonic."""
        self._last_s = now_s

    def answered(self, now_s: float) -> float:
        """Record an answer of the broker; return the time."""
        if self._last_s is not None:
            self.now_s += min(max(0.0, now_s - self._last_s), LONGEST_STEP_S)
            self._last_s = now_s
        return self.now_s

    def ended(self) -> None:
        """End the connection."""
        self._last_s = None

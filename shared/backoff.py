"""How long to wait before the next attempt at a connection; pure rules, without a clock of their own."""

import random
from collections.abc import Callable
from typing import Final

BACKOFF_START_S: Final = 0.5
STEADY_S: Final = 10.0
"""Only a connection that lived this long ends the growth of the waits."""
TAKEN_OVER_START_S: Final = 2.0
CALM_CAPS: Final = 10.0
"""Two clients with one id are told apart from one by this: a connection lives for more than so many longest waits."""


REPEAT_EVERY_S: Final = 3_600.0


class Repeats:
    """Says when something that is said again and again is worth a line: at first, then once an hour with its count.

    Args:
        interval_s: time between lines about the same.
    """

    def __init__(self, interval_s: float = REPEAT_EVERY_S) -> None:
        self._interval_s = interval_s
        self._last: str | None = None
        self._count = 0
        self._due_s = 0.0

    def times(self, what: str, now_s: float) -> int:
        """Return how often the same was said by now if it is worth a line, else 0.

        Args:
            what: is said.
            now_s: monotonic time.
        """
        if what != self._last:
            self._last, self._count, self._due_s = what, 0, now_s
        self._count += 1
        if now_s < self._due_s:
            return 0
        self._due_s = now_s + self._interval_s
        return self._count


def full_jitter(attempt: int, cap_s: float, draw: Callable[[], float]) -> float:
    """Seconds to wait before attempt number `attempt` (0, 1, ...): uniform in [0, min(cap, 0.5 * 2**attempt)].

    Args:
        attempt: failures so far.
        cap_s: longest wait.
        draw: gives a number in [0, 1).

    Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
    """
    return draw() * min(cap_s, BACKOFF_START_S * 2.0 ** min(attempt, 32))


class Backoff:
    """The waits of one client: they grow while connections fail, and more steadily while another client takes over.

    A connection that only comes up proves nothing: a message may end it at once, each time, and so may another client
    with our id, which some brokers do not tell (Mosquitto 2.0.11). The waits begin anew after a connection that lived
    for `STEADY_S` and, of an owner that says so, did its work (`settled`).

    While another client has our id the wait has a lower bound. Two clients with one id take over each other's
    session, so a short wait of one ends the connection of the other. This ends with a connection that outlives every
    wait of the other client.

    Args:
        cap_s: longest wait in seconds.
        owner_settles: whether the owner calls `settled`; if so, a long life alone proves nothing.
        draw: gives a number in [0, 1).
    """

    def __init__(
        self, cap_s: float, *, owner_settles: bool = False, draw: Callable[[], float] = random.random
    ) -> None:
        self._cap_s = cap_s
        self._owner_settles = owner_settles
        self._draw = draw
        self._attempt = 0
        self._taken_over = 0
        self._worked = False
        self._rival = False

    def settled(self) -> None:
        """The connection did its work."""
        self._worked = True

    def rival(self) -> None:
        """Another client uses our id: ends of connections are its doing until one lives long."""
        self._rival = True

    def wait_s(self, lived_s: float, *, taken_over: bool = False) -> float:
        """Seconds to wait after a connection ended.

        Args:
            lived_s: how long it was up; 0 of one that never came up.
            taken_over: whether the broker said that another client used our id.
        """
        if lived_s >= CALM_CAPS * self._cap_s:
            self._taken_over, self._rival = 0, False
        if lived_s >= STEADY_S and (self._worked or not self._owner_settles):
            self._attempt = 0
        self._worked = False
        if taken_over or (self._rival and lived_s > 0):
            longest_s = min(self._cap_s, TAKEN_OVER_START_S * 2.0 ** min(self._taken_over, 32))
            self._taken_over += 1
            return longest_s * (0.5 + 0.5 * self._draw())
        wait_s = full_jitter(self._attempt, self._cap_s, self._draw)
        self._attempt += 1
        return wait_s

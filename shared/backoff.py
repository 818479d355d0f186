"""Rules for the waits between connection attempts. They are pure and read no clock."""

import random
from collections.abc import Callable
from typing import Final

BACKOFF_START_S: Final = 0.5
STEADY_S: Final = 10.0
"""A connection must live this many seconds to reset the waits."""
TAKEN_OVER_START_S: Final = 2.0
CALM_CAPS: Final = 10.0
"""A connection that lives this many longest waits shows that no other client uses the same id."""


REPEAT_EVERY_S: Final = 3_600.0


class Repeats:
    """Decide when a repeated log message is written: the first time, then once an hour with its count.

    Args:
        interval_s: seconds between two lines of the same message.
    """

    def __init__(self, interval_s: float = REPEAT_EVERY_S) -> None:
        self._interval_s = interval_s
        self._last: str | None = None
        self._count = 0
        self._due_s = 0.0

    def times(self, what: str, now_s: float) -> int:
        """Return how often the message has occurred if it is to be logged now, else 0.

        Args:
            what: the message.
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
    """Return the seconds to wait before an attempt: uniform in [0, min(cap, 0.5 * 2**attempt)].

    Args:
        attempt: number of the attempt, from 0: the failures so far.
        cap_s: longest wait in seconds.
        draw: function that returns a random number in [0, 1).

    Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
    """
    return draw() * min(cap_s, BACKOFF_START_S * 2.0 ** min(attempt, 32))


class Backoff:
    """The waits of one client. They grow while connections fail or another client takes over the session.

    A connection that only comes up is not enough to reset them. A message may end it at once each time, and so may
    another client with the same id; some brokers do not send that reason (Mosquitto 2.0.11). The waits are reset
    after a connection that lived for `STEADY_S`, and if `owner_settles`, also worked (`settled`).

    While another client has the same id, the wait has a lower bound. The two clients take over each other's session,
    so a short wait of one ends the connection of the other. The lower bound ends after a connection that outlives
    every wait of the other client.

    Args:
        cap_s: longest wait in seconds.
        owner_settles: whether the owner calls `settled`; if so, a long life alone does not reset the waits.
        draw: function that returns a random number in [0, 1).
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
        """Record that the connection works."""
        self._worked = True

    def rival(self) -> None:
        """Record that another client uses the same id; it is assumed to end connections until one lives long."""
        self._rival = True

    def wait_s(self, lived_s: float, *, taken_over: bool = False) -> float:
        """Return the seconds to wait after a connection ended.

        Args:
            lived_s: seconds for which it was up; 0 if it never came up.
            taken_over: whether the broker reported that another client uses the same id.
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

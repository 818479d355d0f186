"""Has somebody look at things now and then, in a thread of its own, so that a scrape waits for nothing."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from shared.errors import Unavailable
from shared.worker import Worker

log = logging.getLogger(__name__)


class Look(Protocol):
    """Looks at something and tells it as metrics."""

    def look(self, now: datetime) -> None:
        """Tell how it is now."""
        ...

    def lost(self) -> None:
        """The store is away: what was told of it is no longer known."""
        ...


@dataclass(slots=True)
class Regular:
    """A look, and how often it is taken, in seconds."""

    look: Look
    every_s: float
    due_s: float = field(default=0.0)


class Watch:
    """Takes looks in turn until it is stopped.

    Args:
        looks: each with the time between two of them.
        seen: told, after each look that could be taken, its name and the time in seconds since 1970 UTC.
        now: the time, UTC.
    """

    def __init__(
        self,
        looks: Sequence[Regular],
        seen: Callable[[str, float], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._looks = looks
        self._seen = seen
        self._now = now
        self.worker = Worker("health", self._step)

    def start(self) -> None:
        """Begin to look."""
        self.worker.start()

    def stop(self) -> None:
        """End after the look in hand."""
        self.worker.stop()

    def _step(self) -> float:
        self.round(time.monotonic())
        return max(0.0, min(one.due_s for one in self._looks) - time.monotonic())

    def round(self, now_s: float) -> None:
        """Take the looks that are due.

        Args:
            now_s: monotonic time.
        """
        for one in self._looks:
            if now_s < one.due_s or self.worker.stopping.is_set():
                continue
            one.due_s = now_s + one.every_s
            now = self._now()
            try:
                one.look.look(now)
            except Unavailable as error:
                log.warning("cannot look", extra={"at": type(one.look).__name__, "reason": str(error)})
                one.look.lost()
            except Exception:  # our bug; but a hub that works and is not watched is better than one that ends
                log.exception("cannot look", extra={"at": type(one.look).__name__})
                one.look.lost()
            else:
                self._seen(type(one.look).__name__.removesuffix("Look").lower(), now.timestamp())

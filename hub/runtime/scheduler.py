"""Has somebody look at things now and then, in a thread of its own, so that a scrape waits for nothing."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from shared.errors import UnavailableError
from shared.worker import Worker

log = logging.getLogger(__name__)


class Probe(Protocol):
    """Looks at something and tells it as metrics."""

    def run(self, now: datetime) -> None:
        """Tell how it is now."""
        ...

    def on_store_unavailable(self) -> None:
        """The store is away: what was told of it is no longer known."""
        ...


@dataclass(slots=True)
class ScheduledProbe:
    """A look, and how often it is taken, in seconds."""

    look: Probe
    interval_s: float
    due_s: float = field(default=0.0)


class ProbeScheduler:
    """Takes looks in turn until it is stopped.

    Args:
        looks: each with the time between two of them.
        seen: told, after each look that could be taken, its name and the time in seconds since 1970 UTC.
        now: the time, UTC.
    """

    def __init__(
        self,
        looks: Sequence[ScheduledProbe],
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
        self.run_due(time.monotonic())
        return max(0.0, min(one.due_s for one in self._looks) - time.monotonic())

    def run_due(self, now_s: float) -> None:
        """Take the looks that are due.

        Args:
            now_s: monotonic time.
        """
        for one in self._looks:
            if now_s < one.due_s or self.worker.stopping.is_set():
                continue
            one.due_s = now_s + one.interval_s
            now = self._now()
            try:
                one.look.run(now)
            except UnavailableError as error:
                log.warning("cannot look", extra={"at": type(one.look).__name__, "reason": str(error)})
                one.look.on_store_unavailable()
            except Exception:  # our bug; but a hub that works and is not watched is better than one that ends
                log.exception("cannot look", extra={"at": type(one.look).__name__})
                one.look.on_store_unavailable()
            else:
                self._seen(type(one.look).__name__.removesuffix("Probe").lower(), now.timestamp())

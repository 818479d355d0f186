"""Run health probes periodically on a background thread, so that scrapes never block."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hub.runtime.clock import utc_now
from shared.errors import UnavailableError
from shared.worker import Worker

log = logging.getLogger(__name__)


class Probe(Protocol):
    """Measures something and exports it as metrics."""

    def run(self, now: datetime) -> None:
        """Measure and export."""
        ...

    def on_store_unavailable(self) -> None:
        """Export that the values are unknown, as Redis does not answer."""
        ...


@dataclass(slots=True)
class ScheduledProbe:
    """A probe and when it runs.

    Attributes:
        name: value of the metric label `probe`, which alerting rules and dashboards select.
        probe: what runs.
        interval_s: time from one run to the next, in seconds.
        due_s: monotonic time of the next run, in seconds.
    """

    name: str
    probe: Probe
    interval_s: float
    due_s: float = field(default=0.0)


class ProbeScheduler:
    """Runs probes one after another until it is stopped.

    Args:
        probes: probes with their names and intervals.
        seen: called after each successful run with the name of the probe and the time, in seconds since 1970 UTC.
        now: returns the current time, UTC.
    """

    def __init__(
        self,
        probes: Sequence[ScheduledProbe],
        seen: Callable[[str, float], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._probes = probes
        self._seen = seen
        self._now = now
        self.worker = Worker("health", self._step)

    def start(self) -> None:
        """Start running probes."""
        self.worker.start()

    def stop(self) -> None:
        """Stop after the current probe."""
        self.worker.stop()

    def _step(self) -> float:
        self.run_due(time.monotonic())
        return max(0.0, min(one.due_s for one in self._probes) - time.monotonic())

    def run_due(self, now_s: float) -> None:
        """Run the probes that are due.

        Args:
            now_s: monotonic time, in seconds.
        """
        for one in self._probes:
            if now_s < one.due_s or self.worker.stopping.is_set():
                continue
            one.due_s = now_s + one.interval_s
            now = self._now()
            try:
                one.probe.run(now)
            except UnavailableError as error:
                log.warning("probe failed", extra={"probe": one.name, "reason": str(error)})
                one.probe.on_store_unavailable()
            except Exception:  # our bug; the hub must work without this probe
                log.exception("probe failed", extra={"probe": one.name})
                one.probe.on_store_unavailable()
            else:
                self._seen(one.name, now.timestamp())

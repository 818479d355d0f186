"""Probe of the clocks: if this hub's clock differs from those of Redis and the sensors, the hub removes nothing."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hub.domain.clocks import Doubts, doubts
from hub.metrics.definitions import HubMetrics
from hub.runtime.clock import utc_now
from hub.store.events import EventStore

log = logging.getLogger(__name__)


class ClockProbe:
    """Compares this hub's clock with others, and keeps the reasons to doubt it.

    Args:
        archive: the event store, with the clocks of Redis and the sensors.
        metrics: the hub's metrics.
        tolerance: maximum difference of clocks.
        now: returns the current time, UTC.
    """

    def __init__(
        self,
        archive: EventStore,
        metrics: HubMetrics,
        tolerance: timedelta,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._archive = archive
        self._metrics = metrics
        self._tolerance = tolerance
        self._now = now
        self.doubts = Doubts()

    def current_doubts(self) -> Doubts:
        """Return the doubts of the last run."""
        return self.doubts

    @property
    def trusted(self) -> bool:
        """Return whether there is no reason to doubt this hub's clock."""
        return not self.doubts.clock

    def run(self, _now: datetime) -> None:
        """Compare the clocks, and export the result.

        Raises:
            UnavailableError: Redis does not answer.
        """
        sensors = self._archive.sensors.all()
        store_now, now = self._archive.time(), self._now()
        current = doubts(now, store_now, sensors, self._tolerance)
        if current.retention and not current.clock and self._archive.full():
            # A full Redis accepts no newer events, so only removal by age helps.
            current = replace(current, retention="")
        if current != self.doubts:
            self._log(current)
        self.doubts = current
        self._metrics.refused.set(float(bool(current.retention)))

    def on_store_unavailable(self) -> None:
        """Keep the last result until Redis answers again."""

    def may_remove(self) -> bool:
        """Compare the clocks again, and return whether the hub may remove by age; count a refusal.

        Raises:
            UnavailableError: Redis does not answer.
        """
        self.run(self._now())
        if self.doubts.retention:
            self._metrics.refusals.inc()
        return not self.doubts.retention

    def _log(self, current: Doubts) -> None:
        if current.retention:
            log.error("removal by age paused", extra={"reason": current.retention})
        elif self.doubts.retention:
            log.info("removal by age resumed")

"""A look at clocks: whether this hub's agrees with the store's and the sensors'; if not, nothing is removed by it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.domain.clocks import Doubts, doubts
from hub.metrics.definitions import HubMetrics
from hub.store.events import EventStore

log = logging.getLogger(__name__)


class ClockLook:
    """Compares this hub's clock with others, and keeps the reasons to doubt it.

    Args:
        archive: in the store whose clock is asked, with the sensors.
        metrics: where it is told.
        tolerance: clocks may differ by so much.
        now: the time, UTC.
    """

    def __init__(
        self,
        archive: EventStore,
        metrics: HubMetrics,
        tolerance: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._archive = archive
        self._metrics = metrics
        self._tolerance = tolerance
        self._now = now
        self.doubts = Doubts()

    @property
    def trusted(self) -> bool:
        """Return whether no reason to doubt this hub's clock was found."""
        return not self.doubts.clock

    def run(self, _now: datetime) -> None:
        """Compare the clocks, and tell.

        Raises:
            Unavailable: the store is away.
        """
        sensors = self._archive.sensors.all()
        store_now, now = self._archive.time(), self._now()
        found = doubts(now, store_now, sensors, self._tolerance)
        if found.retention and not found.clock and self._archive.full():
            # Nothing is newer as the store takes nothing: only what is removed by age ends that.
            found = replace(found, retention="")
        if found != self.doubts:
            self._log(found)
        self.doubts = found
        self._metrics.refused.set(float(bool(found.retention)))

    def on_store_unavailable(self) -> None:
        """Nothing: what was found stands until the store is back."""

    def may_remove(self) -> bool:
        """Whether things may be removed by this hub's clock, looked at anew; a refusal is counted.

        Raises:
            Unavailable: the store is away.
        """
        self.run(self._now())
        if self.doubts.retention:
            self._metrics.refusals.inc()
        return not self.doubts.retention

    def _log(self, found: Doubts) -> None:
        if found.retention:
            log.error("nothing is removed by age", extra={"reason": found.retention})
        elif self.doubts.retention:
            log.info("things are removed by age again")

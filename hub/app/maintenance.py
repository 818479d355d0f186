"""Background work of a hub: remove old data, tune thresholds, write snapshots; each on a worker of its own."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.alerting.threshold_tuner import ThresholdTuner
from hub.app.retention import Retention
from hub.monitoring.clocks import ClockProbe
from hub.search.memory.persistence import IndexSnapshot
from hub.settings import HubSettings
from shared.errors import UnavailableError
from shared.worker import Worker, every

log = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 60.0


class Maintenance:
    """The background work of a hub.

    Args:
        settings: all settings.
        retention: removes old data.
        clock: decides whether clocks allow removal.
        tuner: of thresholds.
        snapshots: of the indexes in memory.
    """

    def __init__(
        self,
        settings: HubSettings,
        retention: Retention,
        clock: ClockProbe,
        tuner: ThresholdTuner,
        snapshots: Sequence[IndexSnapshot],
    ) -> None:
        self._kept = timedelta(days=settings.store.retention_days)
        self._retention = retention
        self._clock = clock
        self._tuner = tuner
        self._snapshots = snapshots
        self.workers = [
            Worker("retention", every(TIDY_EVERY_S, self._expire)),
            Worker("clips", every(TIDY_EVERY_S, self._sweep), cap_s=TIDY_EVERY_S),
            Worker("learning", every(TIDY_EVERY_S, self._tune)),
            Worker("snapshots", every(settings.search.snapshot_interval_s, self.save_snapshots)),
        ]

    def start(self) -> None:
        """Start all workers."""
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        """Stop all workers after their current work; they end at the same time."""
        for worker in self.workers:
            worker.wind_down()
        for worker in self.workers:
            worker.stop()

    def save_snapshots(self) -> None:
        """Write the indexes to their files; a folder that fails is logged."""
        for snapshot in self._snapshots:
            try:
                written = snapshot.save()
            except UnavailableError as error:
                log.warning("snapshot not written", extra={"reason": str(error)})
            else:
                log.info("snapshot written", extra={"folder": str(snapshot.folder), "files": written})

    def _expire(self) -> None:
        self._remove_with(self._retention.expire)

    def _sweep(self) -> None:
        self._remove_with(self._retention.sweep)

    def _remove_with(self, remove: Callable[[datetime], None]) -> None:
        if self._clock.may_remove():
            remove(datetime.now(UTC) - self._kept)

    def _tune(self) -> None:
        for site in self._tuner.tune_stale():
            log.info("thresholds tuned", extra={"site": site})

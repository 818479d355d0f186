"""The level series of a hub: the consumer, the statistics of its levels, and the removal of old levels."""

import time
from datetime import timedelta

from hub.app.maintenance import TIDY_EVERY_S
from hub.ingest.capture_times import ClockRules
from hub.ingest.level_consumer import LevelConsumer, LevelRules
from hub.metrics.definitions import HubMetrics
from hub.monitoring.clocks import ClockProbe
from hub.settings import HubSettings
from hub.store.events import EventStore
from hub.store.level_bands import BandStore
from hub.store.level_statistics import DAY_S, LevelStatistics
from shared.worker import Worker, every


class LevelService:
    """Takes level series, computes their statistics, and removes old levels.

    Args:
        settings: all settings.
        archive: the event store, whose client keeps the levels.
        metrics: the hub's metrics.
        clock: decides whether clocks allow removal.
    """

    def __init__(self, settings: HubSettings, archive: EventStore, metrics: HubMetrics, clock: ClockProbe) -> None:
        self._kept = settings.store
        self._clock = clock
        self._bands = BandStore(archive.client, archive.rows)
        self._statistics = LevelStatistics(archive.client, archive.rows)
        rules = LevelRules(
            hub=settings.hub.name,
            group=settings.ingest.consumer_group,
            clock=ClockRules(timedelta(seconds=settings.clock.tolerance_s), clock.current_doubts),
            durable=settings.redis.durable == "local",
        )
        self._consumer = LevelConsumer(settings.mqtt, archive, metrics, rules)
        self._background = [
            Worker("level-statistics", every(TIDY_EVERY_S, self._update)),
            Worker("level-retention", every(TIDY_EVERY_S, self._expire)),
        ]
        self.workers = [self._consumer.worker, *self._background]

    def start(self) -> None:
        """Start to take series."""
        self._consumer.start()
        for worker in self._background:
            worker.start()

    def stop(self) -> None:
        """Stop; the broker keeps further series for the next start."""
        self._consumer.stop()
        for worker in self._background:
            worker.stop()

    def _update(self) -> None:
        self._statistics.update(int(time.time()))

    def _expire(self) -> None:
        if self._clock.may_remove():
            now_s, kept = time.time(), self._kept
            self._bands.expire(int(now_s - kept.level_seconds_days * DAY_S))
            self._statistics.expire(
                int(now_s - kept.level_seconds_days * DAY_S), int(now_s - kept.level_statistics_days * DAY_S)
            )

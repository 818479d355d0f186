"""The limits of a hub: a worker that judges the statistics of levels by rules, and removes old exceedances."""

import time
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from hub.app.maintenance import TIDY_EVERY_S
from hub.domain.limits import LimitRule
from hub.metrics.definitions import HubMetrics
from hub.monitoring.clocks import ClockProbe
from hub.settings import HubSettings
from hub.store.events import EventStore
from hub.store.level_statistics import DAY_S
from hub.store.limit_judge import AT_ONCE, LimitJudge
from shared.worker import Worker


class LimitService:
    """Judges levels once their hour, day or year has ended.

    Args:
        settings: all settings.
        rules: the rules; without any, the hub judges nothing.
        archive: the event store, whose client keeps the levels.
        metrics: the hub's metrics.
        clock: decides whether clocks allow removal.
    """

    def __init__(
        self,
        settings: HubSettings,
        rules: Sequence[LimitRule],
        archive: EventStore,
        metrics: HubMetrics,
        clock: ClockProbe,
    ) -> None:
        self._kept_s = settings.store.level_statistics_days * DAY_S
        zone = ZoneInfo(settings.sites.timezone)
        self._judge = LimitJudge(archive.client, archive.rows, rules, zone)
        self._counter = metrics.exceedances
        self._clock = clock
        self._labels = {rule.name: (rule.name, "yes" if rule.notify else "no") for rule in rules}
        for labels in self._labels.values():
            self._counter.labels(*labels)
        self._adopted = False
        self.worker = Worker("limits", self._step)

    def start(self) -> None:
        """Start to judge."""
        self.worker.start()

    def stop(self) -> None:
        """Stop after the current days."""
        self.worker.stop()

    def _step(self) -> float:
        if not self._adopted:
            self._judge.adopt()
            self._adopted = True
        due, new = self._judge.judge(int(time.time()))
        for rule, number in new.items():
            self._counter.labels(*self._labels[rule]).inc(number)
        if self._clock.may_remove():
            self._judge.expire(int(time.time() - self._kept_s))
        return 0.0 if due >= AT_ONCE else TIDY_EVERY_S

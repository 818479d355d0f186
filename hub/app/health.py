"""State of a running hub, for `/healthz`, pages and metrics."""

from collections.abc import Sequence
from typing import Final

from hub.ingest.consumer import MqttConsumer
from hub.ingest.subscription import LITERAL
from hub.monitoring.monitor import HealthMonitor
from hub.runtime.health_probes import Probes, ended, stalled
from hub.runtime.time_limit import Bounded
from hub.settings import HubSettings
from hub.store.client import hinted
from hub.store.events import EventStore
from hub.web.context import HealthStatus
from shared.errors import UnavailableError
from shared.worker import Worker

MAX_WAIT_S: Final = 2.0
"""Maximum wait for Redis in a health request, in seconds; external probes time out after a few seconds."""


class HubHealth:
    """Reports the state of a hub's threads and connections.

    Args:
        settings: all settings.
        events: the event store.
        consumer: receives events.
        monitor: runs the probes.
        workers: all workers of the hub; later ones may be appended.
    """

    def __init__(
        self,
        settings: HubSettings,
        events: EventStore,
        consumer: MqttConsumer,
        monitor: HealthMonitor,
        workers: Sequence[Worker],
    ) -> None:
        self._settings = settings
        self._report = Bounded(events.report, MAX_WAIT_S, "the store")
        self._consumer = consumer
        self._monitor = monitor
        self._workers = workers
        self.probes = Probes()
        self.probes.add("threads", self._ended_threads, live=True)
        self.probes.add("broker", self._missing_broker)
        self.probes.add("archiving", self._stalled_ingest)

    def status(self) -> HealthStatus:
        """Return the current state of the hub's connections."""
        reasons = self.probes.reasons()
        try:
            (events, dead_letters, refusal), store = self._report(), True
            if refusal:
                reasons.append(refusal)
        except UnavailableError as error:
            events, dead_letters, store = 0, 0, False
            reasons.append(hinted(str(error), self._settings.redis.url.get_secret_value()))
        problem = self._consumer.problem
        no_events = self._monitor.beats_missing and not self._consumer.shared_seen
        if problem is None and no_events and self._consumer.connected:
            problem = LITERAL
        if problem is not None:
            reasons.append(problem)
        return HealthStatus(
            broker=self._consumer.connected and problem is None,
            store=store,
            events=events,
            dead_letters=dead_letters,
            retention=self._monitor.clock.doubts.retention or "ok",
            live=not self.probes.faults(),
            reasons=tuple(reasons),
        )

    def restarts(self) -> dict[tuple[str, ...], float]:
        """Return how often each worker was restarted, by its name."""
        return {(worker.name,): float(worker.restarts) for worker in self._workers}

    def _ended_threads(self) -> str:
        return ended(self._workers)

    def _missing_broker(self) -> str:
        mqtt = self._settings.mqtt
        at = f"{mqtt.host}:{mqtt.port}"
        return "" if self._consumer.connected else f"The hub is not connected to the broker at {at}."

    def _stalled_ingest(self) -> str:
        return stalled(self._consumer.stalled_s, self._settings.monitoring.stalled_after_s)

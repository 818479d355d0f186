"""Start and stop all probes of a running hub, and its heartbeat."""

from collections.abc import Sequence

from hub.metrics.definitions import HubMetrics
from hub.monitoring.clocks import ClockProbe
from hub.monitoring.heartbeat import HeartbeatMonitor
from hub.runtime.scheduler import ProbeScheduler, ScheduledProbe
from shared.worker import Worker


class HealthMonitor:
    """The probes of Redis, sensors, index and drift, and the heartbeat.

    Args:
        probes: all probes, the clocks' among them.
        clock: probe of the clocks.
        heartbeat: of the hub; None if it sends none.
        metrics: the hub's metrics.
    """

    def __init__(
        self,
        probes: Sequence[ScheduledProbe],
        clock: ClockProbe,
        heartbeat: HeartbeatMonitor | None,
        metrics: HubMetrics,
    ) -> None:
        self.clock = clock
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._watch = ProbeScheduler(probes, self._export_time)

    def _export_time(self, probe: str, time_s: float) -> None:
        """Export the time of a probe's last successful run, in seconds since 1970 UTC."""
        self._metrics.looked.labels(probe).set(time_s)

    @property
    def workers(self) -> list[Worker]:
        """Workers of probes and heartbeat."""
        return [self._watch.worker, *([self._heartbeat.worker] if self._heartbeat else [])]

    @property
    def beats_missing(self) -> bool:
        """Return whether heartbeats are sent and do not return."""
        return self._heartbeat is not None and self._heartbeat.missing

    def start(self) -> None:
        """Start the probes."""
        self._watch.start()

    def start_heartbeat(self) -> None:
        """Start the heartbeat; the hub receives events from now on."""
        if self._heartbeat is not None:
            self._heartbeat.start()

    def stop_heartbeat(self) -> None:
        """Stop the heartbeat; the hub no longer receives events."""
        if self._heartbeat is not None:
            self._heartbeat.stop()

    def stop(self) -> None:
        """Stop the probes."""
        self._watch.stop()

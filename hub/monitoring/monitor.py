"""Build, start and stop all probes of a running hub."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from hub.alerting.feedback import FeedbackService
from hub.metrics.definitions import HubMetrics
from hub.monitoring.certificates import CertificateProbe
from hub.monitoring.clocks import ClockProbe
from hub.monitoring.drift import DriftProbe, MonitoredModel
from hub.monitoring.heartbeat import HeartbeatMonitor
from hub.monitoring.sensors import SensorProbe
from hub.monitoring.store import StoreProbe
from hub.monitoring.verdicts import VerdictProbe
from hub.runtime.scheduler import ProbeScheduler, ScheduledProbe
from hub.search.memory.index import MemoryIndex
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.worker import Worker

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0


class IndexProbe:
    """Exports the memory of the index rows.

    Args:
        indexes: indexes in this process.
        metrics: the hub's metrics.
    """

    def __init__(self, indexes: Sequence[MemoryIndex], metrics: HubMetrics) -> None:
        self._indexes = indexes
        self._metrics = metrics

    def run(self, _now: datetime) -> None:
        """Export the bytes of each index."""
        self._metrics.index_bytes.replace_all({(one.scorer.space.id,): float(_bytes(one)) for one in self._indexes})

    def on_store_unavailable(self) -> None:
        """Do nothing, as this probe does not use Redis."""


def _bytes(index: MemoryIndex) -> int:
    """Return the bytes of filled rows; unfilled ones take no memory yet."""
    total = 0
    for chunk, rows in index.chunks().values():
        columns = (chunk.towers, chunk.captured_ms, chunk.place, chunk.laeq, chunk.present, chunk.deleted)
        total += rows * sum(int(np.prod(column.shape[1:])) * column.itemsize for column in columns)
        total += rows * sum(sketch.shape[1] * sketch.element_size() for sketch in chunk.sketches)
    return total


class HealthMonitor:
    """The probes of Redis, sensors, index and drift, and the heartbeat.

    Args:
        settings: all settings of the hub.
        archive: the event store.
        episode_store: the episode store.
        feedback: source of verdicts.
        retrieval: models and indexes.
        metrics: the hub's metrics.
        clock: probe of the clocks.
    """

    def __init__(
        self,
        settings: HubSettings,
        archive: EventStore,
        episode_store: EpisodeStore,
        feedback: FeedbackService,
        retrieval: Retrieval,
        metrics: HubMetrics,
        clock: ClockProbe,
    ) -> None:
        self.clock = clock
        monitoring = settings.monitoring
        folders = {"clips": settings.store.audio_dir, "snapshots": settings.search.snapshot_dir}
        written = {name: folder for name, folder in folders.items() if folder is not None}
        metrics.store_retention.set(settings.store.retention_days * _DAY_S)
        metrics.store_letter_limit.set(settings.store.max_dead_letter_bytes)
        metrics.recall_target.set(settings.search.target_recall)
        sensors = SensorProbe(
            archive, metrics, most=monitoring.max_sensor_series, forget_s=monitoring.sensor_series_ttl_days * _DAY_S
        )
        drift = DriftProbe(
            archive,
            episode_store,
            metrics,
            [MonitoredModel(scorer.space, scorer.fingerprint, scorer.record) for scorer in retrieval.scorers],
            window=timedelta(hours=monitoring.drift_window_hours),
            least=monitoring.drift_min_events,
            first=timedelta(days=monitoring.drift_reference_days),
        )
        self._watch = ProbeScheduler(
            [
                ScheduledProbe("store", StoreProbe(archive, metrics, written), monitoring.interval_s),
                ScheduledProbe("clock", clock, monitoring.interval_s),
                ScheduledProbe("sensor", sensors, monitoring.interval_s),
                ScheduledProbe("index", IndexProbe(retrieval.indexes, metrics), monitoring.interval_s),
                ScheduledProbe("verdict", VerdictProbe(archive, feedback, metrics), monitoring.interval_s),
                ScheduledProbe("drift", drift, monitoring.drift_interval_s),
                ScheduledProbe("certificate", CertificateProbe(settings.mqtt, metrics), _HOUR_S),
            ],
            lambda at, time_s: metrics.looked.labels(at).set(time_s),
        )
        self._heartbeat: HeartbeatMonitor | None = None
        if monitoring.heartbeat_interval_s:
            self._heartbeat = HeartbeatMonitor(
                settings.mqtt,
                hub=settings.hub.name,
                space=retrieval.scorers[0].space,
                interval_s=monitoring.heartbeat_interval_s,
                metrics=metrics,
            )

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

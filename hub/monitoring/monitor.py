"""Everything that is measured of a running hub beside its work, put together, started and stopped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from hub.alerting.feedback import FeedbackService
from hub.metrics.definitions import HubMetrics
from hub.monitoring.certificates import CertificateProbe
from hub.monitoring.clocks import ClockLook
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
    """Tells how much memory the rows of the index take.

    Args:
        indexes: in this process.
        metrics: where it is told.
    """

    def __init__(self, indexes: Sequence[MemoryIndex], metrics: HubMetrics) -> None:
        self._indexes = indexes
        self._metrics = metrics

    def run(self, _now: datetime) -> None:
        """Tell the bytes of each index."""
        self._metrics.index_bytes.replace_all({(one.scorer.space.id,): float(_bytes(one)) for one in self._indexes})

    def on_store_unavailable(self) -> None:
        """Nothing: it asks no store."""


def _bytes(index: MemoryIndex) -> int:
    """Bytes of the rows that are filled; those that are not take no memory yet."""
    total = 0
    for chunk, rows in index.chunks().values():
        columns = (chunk.towers, chunk.captured_ms, chunk.place, chunk.laeq, chunk.present, chunk.deleted)
        total += rows * sum(int(np.prod(column.shape[1:])) * column.itemsize for column in columns)
        total += rows * sum(own.shape[1] * own.element_size() for own in chunk.sketches)
    return total


class HealthMonitor:
    """Looks at store, sensors, index and drift, and the heartbeat.

    Args:
        settings: all of them.
        archive: events.
        episode_store: episodes.
        feedback: verdicts.
        retrieval: models and indexes.
        metrics: where it is told.
        clock: compares clocks.
    """

    def __init__(
        self,
        settings: HubSettings,
        archive: EventStore,
        episode_store: EpisodeStore,
        feedback: FeedbackService,
        retrieval: Retrieval,
        metrics: HubMetrics,
        clock: ClockLook,
    ) -> None:
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
                ScheduledProbe(StoreProbe(archive, metrics, written), monitoring.interval_s),
                ScheduledProbe(clock, monitoring.interval_s),
                ScheduledProbe(sensors, monitoring.interval_s),
                ScheduledProbe(IndexProbe(retrieval.indexes, metrics), monitoring.interval_s),
                ScheduledProbe(VerdictProbe(archive, feedback, metrics), monitoring.interval_s),
                ScheduledProbe(drift, monitoring.drift_interval_s),
                ScheduledProbe(CertificateProbe(settings.mqtt, metrics), _HOUR_S),
            ],
            lambda at, time_s: metrics.looked.labels(at).set(time_s),
        )
        self._heart: HeartbeatMonitor | None = None
        if monitoring.heartbeat_interval_s:
            self._heart = HeartbeatMonitor(
                settings.mqtt,
                hub=settings.hub.name,
                space=retrieval.scorers[0].space,
                interval_s=monitoring.heartbeat_interval_s,
                metrics=metrics,
            )

    @property
    def workers(self) -> list[Worker]:
        """The threads of looks and heartbeat."""
        return [self._watch.worker, *([self._heart.worker] if self._heart else [])]

    @property
    def beats_missing(self) -> bool:
        """Whether heartbeats are sent and do not come back."""
        return self._heart is not None and self._heart.missing

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()

    def start_heartbeat(self) -> None:
        """Begin to send heartbeats: events are taken from now on."""
        if self._heart is not None:
            self._heart.start()

    def stop_heartbeat(self) -> None:
        """End the heartbeats: events are taken no more."""
        if self._heart is not None:
            self._heart.stop()

    def stop(self) -> None:
        """End."""
        self._watch.stop()

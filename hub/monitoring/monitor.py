"""Everything that is measured of a running hub beside its work, put together, started and stopped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from hub.alerting.feedback import Feedback
from hub.metrics.definitions import HubMetrics
from hub.monitoring.certificates import CertificateLook
from hub.monitoring.clocks import ClockLook
from hub.monitoring.drift import DriftLook, Judge
from hub.monitoring.heartbeat import Heart
from hub.monitoring.sensors import SensorLook
from hub.monitoring.store import StoreLook
from hub.monitoring.verdicts import VerdictLook
from hub.runtime.scheduler import Regular, Watch
from hub.search.memory.index import Index
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.episodes import Casebook
from hub.store.events import Archive
from shared.worker import Worker

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0


class IndexLook:
    """Tells how much memory the rows of the index take.

    Args:
        indexes: in this process.
        metrics: where it is told.
    """

    def __init__(self, indexes: Sequence[Index], metrics: HubMetrics) -> None:
        self._indexes = indexes
        self._metrics = metrics

    def look(self, _now: datetime) -> None:
        """Tell the bytes of each index."""
        self._metrics.index_bytes.put({(one.scorer.space.id,): float(_bytes(one)) for one in self._indexes})

    def lost(self) -> None:
        """Nothing: it asks no store."""


def _bytes(index: Index) -> int:
    """Bytes of the rows that are filled; those that are not take no memory yet."""
    total = 0
    for chunk, rows in index.chunks().values():
        columns = (chunk.towers, chunk.captured_ms, chunk.place, chunk.laeq, chunk.present, chunk.gone)
        total += rows * sum(int(np.prod(column.shape[1:])) * column.itemsize for column in columns)
        total += rows * sum(own.shape[1] * own.element_size() for own in chunk.sketches)
    return total


class Observed:
    """Looks at store, sensors, index and drift, and the heartbeat.

    Args:
        settings: all of them.
        archive: events.
        casebook: episodes.
        feedback: verdicts.
        retrieval: models and indexes.
        metrics: where it is told.
        clock: compares clocks.
    """

    def __init__(
        self,
        settings: HubSettings,
        archive: Archive,
        casebook: Casebook,
        feedback: Feedback,
        retrieval: Retrieval,
        metrics: HubMetrics,
        clock: ClockLook,
    ) -> None:
        health = settings.health
        folders = {"clips": settings.archive.clips_dir, "snapshots": settings.search.snapshot_dir}
        written = {name: folder for name, folder in folders.items() if folder is not None}
        metrics.store_retention.set(settings.archive.retention_days * _DAY_S)
        metrics.store_letter_limit.set(settings.archive.dead_letter_bytes)
        metrics.recall_target.set(settings.search.recall)
        sensors = SensorLook(archive, metrics, most=health.sensor_series, forget_s=health.forget_days * _DAY_S)
        drift = DriftLook(
            archive,
            casebook,
            metrics,
            [Judge(scorer.space, scorer.fingerprint, scorer.record) for scorer in retrieval.scorers],
            window=timedelta(hours=health.drift_hours),
            least=health.drift_events,
            first=timedelta(days=health.reference_days),
        )
        self._watch = Watch(
            [
                Regular(StoreLook(archive, metrics, written), health.every_s),
                Regular(clock, health.every_s),
                Regular(sensors, health.every_s),
                Regular(IndexLook(retrieval.indexes, metrics), health.every_s),
                Regular(VerdictLook(archive, feedback, metrics), health.every_s),
                Regular(drift, health.drift_every_s),
                Regular(CertificateLook(settings.mqtt, metrics), _HOUR_S),
            ],
            lambda at, time_s: metrics.looked.labels(at).set(time_s),
        )
        self._heart: Heart | None = None
        if health.heartbeat_s:
            self._heart = Heart(
                settings.mqtt,
                hub=settings.hub.name,
                space=retrieval.scorers[0].space,
                every_s=health.heartbeat_s,
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

    def beat(self) -> None:
        """Begin to send heartbeats: events are taken from now on."""
        if self._heart is not None:
            self._heart.start()

    def rest(self) -> None:
        """End the heartbeats: events are taken no more."""
        if self._heart is not None:
            self._heart.stop()

    def stop(self) -> None:
        """End."""
        self._watch.stop()

"""Build the probes and the heartbeat of a hub."""

from datetime import timedelta
from typing import Final

from hub.alerting.feedback import FeedbackService
from hub.metrics.definitions import HubMetrics
from hub.monitoring.certificates import CertificateProbe
from hub.monitoring.clocks import ClockProbe
from hub.monitoring.drift import DriftProbe, DriftRule, MonitoredModel
from hub.monitoring.heartbeat import HeartbeatMonitor
from hub.monitoring.index_memory import IndexProbe
from hub.monitoring.monitor import HealthMonitor
from hub.monitoring.sensors import SensorProbe
from hub.monitoring.store import StoreProbe
from hub.monitoring.verdicts import VerdictProbe
from hub.runtime.scheduler import ScheduledProbe
from hub.search.retrieval import Retrieval
from hub.settings import HubSettings
from hub.store.stores import Stores

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0


def build_monitor(
    settings: HubSettings,
    stores: Stores,
    feedback: FeedbackService,
    retrieval: Retrieval,
    metrics: HubMetrics,
    clock: ClockProbe,
) -> HealthMonitor:
    """Return the health monitor of these settings, and export the limits that they set."""
    metrics.store_retention.set(settings.store.retention_days * _DAY_S)
    metrics.store_letter_limit.set(settings.store.max_dead_letter_bytes)
    metrics.recall_target.set(settings.search.target_recall)
    monitoring = settings.monitoring
    folders = {"clips": settings.store.audio_dir, "snapshots": settings.search.snapshot_dir}
    written = {name: folder for name, folder in folders.items() if folder is not None}
    sensors = SensorProbe(
        stores.events,
        metrics,
        most=monitoring.max_sensor_series,
        forget_s=monitoring.sensor_series_ttl_days * _DAY_S,
    )
    probes = [
        ScheduledProbe("store", StoreProbe(stores.events, metrics, written), monitoring.interval_s),
        ScheduledProbe("clock", clock, monitoring.interval_s),
        ScheduledProbe("sensor", sensors, monitoring.interval_s),
        ScheduledProbe("index", IndexProbe(retrieval.indexes, metrics), monitoring.interval_s),
        ScheduledProbe("verdict", VerdictProbe(stores.events, feedback, metrics), monitoring.interval_s),
        ScheduledProbe("drift", _drift(settings, stores, retrieval, metrics), monitoring.drift_interval_s),
        ScheduledProbe("certificate", CertificateProbe(settings.mqtt, metrics), _HOUR_S),
    ]
    return HealthMonitor(probes, clock, _heartbeat(settings, retrieval, metrics), metrics)


def _drift(settings: HubSettings, stores: Stores, retrieval: Retrieval, metrics: HubMetrics) -> DriftProbe:
    monitoring = settings.monitoring
    return DriftProbe(
        stores,
        metrics,
        [MonitoredModel(scorer.space, scorer.fingerprint, scorer.record) for scorer in retrieval.scorers],
        DriftRule(
            window=timedelta(hours=monitoring.drift_window_hours),
            least=monitoring.drift_min_events,
            first=timedelta(days=monitoring.drift_reference_days),
        ),
    )


def _heartbeat(settings: HubSettings, retrieval: Retrieval, metrics: HubMetrics) -> HeartbeatMonitor | None:
    if not settings.monitoring.heartbeat_interval_s:
        return None
    return HeartbeatMonitor(
        settings.mqtt,
        hub=settings.hub.name,
        space=retrieval.scorers[0].space,
        interval_s=settings.monitoring.heartbeat_interval_s,
        metrics=metrics,
    )

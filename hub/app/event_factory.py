"""Build the components that handle events and alerts. They need PyTorch; see `hub.app.factory`."""

from dataclasses import dataclass
from pathlib import Path

from hub.alerting.detector import AlertDetector
from hub.alerting.enrichment import AlertEnricher, EnrichmentRule
from hub.alerting.enrichment_steps import EnrichmentSteps
from hub.alerting.recurrence import RecurrenceService
from hub.alerting.shadow import ShadowModel
from hub.alerting.source_enrichment import SourceEnricher
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import build_alert_rule, build_sensor_map
from hub.domain.named_sounds import NamedSound
from hub.domain.sensor_map import SensorMap
from hub.domain.sources import SourceRule
from hub.ingest.backlog import Backlog
from hub.ingest.capture_times import ClockRules
from hub.ingest.consumer import MqttConsumer
from hub.ingest.event_subscription import Subscriber
from hub.ingest.pipeline import Pipeline, Recognition
from hub.ingest.quarantine import BatchHandler
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.settings import HubSettings
from hub.store.events import EventStore
from hub.store.stores import Stores


@dataclass(frozen=True, slots=True)
class EventCounters:
    """Counts named sounds and answers of a shadow model in the metrics.

    Attributes:
        metrics: of the hub.
    """

    metrics: HubMetrics

    def count_named_sound(self, sound: NamedSound) -> None:
        """Count an event that is a named sound."""
        self.metrics.named.labels(sound.treatment.mode).inc()

    def count_shadow(self, agrees: bool) -> None:
        """Count an alert by whether the shadow model agrees."""
        self.metrics.shadow.labels("yes" if agrees else "no").inc()


def build_scorer(checkpoint: Path) -> Scorer:
    """Return the scorer of a checkpoint that is not configured.

    Raises:
        InvalidError: the checkpoint cannot be used.
    """
    return Scorer(load(checkpoint))


def build_pipeline(
    settings: HubSettings,
    stores: Stores,
    recognition: Recognition,
    metrics: HubMetrics,
    clock: ClockRules | None = None,
) -> Pipeline:
    """Return the pipeline of these settings, with its alert detector."""
    detector = build_detector(settings, stores, build_sensor_map(settings.sites), metrics)
    return Pipeline(stores, recognition, detector, metrics, clock)


def build_consumer(
    settings: HubSettings, pipeline: BatchHandler, archive: EventStore, metrics: HubMetrics
) -> MqttConsumer:
    """Return the consumer of events of these settings, which hands them to a pipeline."""
    beats = settings.monitoring.heartbeat_interval_s > 0
    return MqttConsumer(
        Subscriber(settings.mqtt, settings.hub.name, settings.ingest.consumer_group, beats),
        pipeline,
        Backlog(settings.ingest.max_in_flight, settings.ingest.max_in_flight_bytes),
        metrics,
        durable=archive if settings.redis.durable == "local" else None,
    )


def build_detector(settings: HubSettings, stores: Stores, places: SensorMap, metrics: HubMetrics) -> AlertDetector:
    """Return the alert detector of these settings."""
    return AlertDetector(
        stores.episodes,
        places,
        build_alert_rule(settings),
        settings.store.retention_days,
        EventCounters(metrics).count_named_sound,
    )


def build_enricher(
    settings: HubSettings,
    stores: Stores,
    places: SensorMap,
    recurrence: RecurrenceService,
    shadow: ShadowModel | None = None,
) -> AlertEnricher:
    """Return the component that enriches alerts."""
    rule = EnrichmentRule(build_alert_rule(settings).gap_ms, settings.alerts.urgent_above_ambient_db)
    return AlertEnricher(stores.episodes, recurrence, places, rule, shadow)


def build_shadow_model(settings: HubSettings, stores: Stores, metrics: HubMetrics) -> ShadowModel | None:
    """Return the candidate network whose agreement with alerts the hub counts, if there is one.

    Raises:
        InvalidError: its checkpoint cannot be used.
    """
    path = settings.model.shadow_checkpoint
    if path is None:
        return None
    return ShadowModel(stores.events, build_scorer(path), EventCounters(metrics).count_shadow)


def build_source_filer(
    settings: HubSettings, stores: Stores, retrieval: Retrieval, metrics: HubMetrics
) -> SourceFiler:
    """Return the component that finds the sources of episodes."""
    rule = SourceRule(settings.sources.min_same_source_probability)
    return SourceFiler(stores.events, stores.sources, retrieval, rule, metrics)


def build_enrichment(
    stores: Stores, enricher: AlertEnricher, filer: SourceFiler, histories: SourceHistories
) -> EnrichmentSteps:
    """Return what enriches an alert before it is dispatched."""
    return EnrichmentSteps(enricher, SourceEnricher(filer, stores.sources, histories))

"""Every metric of the hub, defined once. The caller passes the registry, so that tests and hubs do not share one.

Names follow the Prometheus conventions: application prefix, base units, `_total`, ratios, timestamps instead of ages,
zeros from the start. `earwitness_hub_` describes this process. `earwitness_store_`, `earwitness_sensor_` and
`earwitness_model_` describe what hubs share: every hub exports the same values, so aggregate with `max by`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.domain.named_sounds import MODES

SENSOR: Final = ("site", "sensor")
STATES: Final = ("online", "silent", "stopped", "lost")
VERDICTS: Final = ("same", "different", "wrong-category", "ignore")
EXEMPLAR_LONGEST: Final = 100
"""Maximum characters of an exemplar's value; OpenMetrics allows 128 with the label's name."""


class SnapshotMetric(Collector):
    """A gauge or counter whose series are replaced together, so that no series of removed objects remains.

    Args:
        name: name without `_total`.
        text: help text.
        labels: label names.
        registry: registry of the metric.
        counter: whether its values only rise.
    """

    def __init__(
        self, name: str, text: str, labels: Iterable[str], registry: CollectorRegistry, *, counter: bool = False
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._kind = CounterMetricFamily if counter else GaugeMetricFamily
        self._rows: Callable[[], Mapping[tuple[str, ...], float]] = dict
        registry.register(self)

    def replace_all(self, rows: Mapping[tuple[str, ...], float]) -> None:
        """Replace all series by these, keyed by label values."""
        snapshot = dict(rows)
        self._rows = lambda: snapshot

    def set_function(self, rows: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Compute the series at each scrape."""
        self._rows = rows

    def describe(self) -> Iterable[Metric]:
        """Yield the metric without series."""
        yield self._kind(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Yield the metric with its current series."""
        family = self._kind(self._name, self._text, labels=self._labels)
        for labels, value in self._rows().items():
            family.add_metric(labels, value)
        yield family


class MeasuredSearch(Protocol):
    """A search that counts its candidates and measures its recall."""

    @property
    def candidates(self) -> int:
        """Number of events scored exactly per search."""
        ...

    def recall(self) -> float | None:
        """Return the mean recall@10 at that number, in [0, 1]; None before the first measurement."""
        ...


class HubMetrics:
    """The hub's metrics.

    Args:
        registry: registry of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # no rule or dashboard uses them
        self.registry = registry
        self._hub()
        self._search()
        self._store()
        self._sensors()
        self._models()
        ProcessCollector(registry=registry)

    def bind_recall(self, space: str, by: str, search: MeasuredSearch) -> None:
        """Export recall and candidates of a feature space's searches by kind, source or both."""
        self.candidates.labels(space, by).set_function(lambda: search.candidates)
        self.recall.labels(space, by).set_function(lambda: math.nan if (share := search.recall()) is None else share)

    def _hub(self) -> None:
        self.received = self._counter("hub_events_received", "Event messages received from the broker")
        self.archived = self._counter("hub_events_archived", "Events written to the archive")
        self.duplicates = self._counter("hub_events_duplicate", "Events that had been archived before")
        self.retimed = self._counter(
            "hub_events_retimed", "Events with an implausible capture time, which was replaced by the time of receipt"
        )
        self.refusals = self._counter(
            "hub_retention_pauses", "Times that the hub skipped removal because its clock may be wrong"
        )
        self.refused = self._gauge(
            "hub_retention_paused", "1 while the hub removes nothing because its clock may be wrong, else 0"
        )
        self.dead_letters = self._counter("hub_messages_dead_lettered", "Messages that the hub rejected")
        self.quarantined = self._counter(
            "hub_messages_quarantined", "Messages that raised an unexpected error twice and became dead letters"
        )
        self.alerts = self._counter("hub_alerts", "Alerts raised")
        self.named = self._counter("hub_events_named", "Events of named sounds, by treatment", "mode")
        for mode in MODES:
            self.named.labels(mode)
        self.published = self._counter("hub_alerts_published", "Alerts that the broker acknowledged")
        self.notifications = self._counter(
            "hub_notifications",
            "Messages to channels: sent, retried (an attempt failed), held (for a digest), dead (dead-lettered)",
            "channel",
            "outcome",
        )
        self.filed = self._counter("hub_source_episodes", "Episodes that joined a source, or opened one", "outcome")
        for outcome in ("joined", "opened"):
            self.filed.labels(outcome)
        self.shadow = self._counter(
            "hub_shadow_alerts",
            "Alerts that the shadow network would have raised too, or not",
            "agrees",
        )
        for agrees in ("yes", "no"):
            self.shadow.labels(agrees)
        self.retries = self._counter("hub_store_retries", "Waits for Redis while it was unavailable or full")
        self.pauses = self._counter(
            "hub_backpressure_disconnects", "Times the hub disconnected from the broker because it was full"
        )
        self.queue_length = self._gauge("hub_messages_in_flight", "Messages received and not yet handled")
        self.capacity = self._gauge(
            "hub_messages_in_flight_limit", "Maximum of messages in flight; above it the hub stops reading"
        )
        self.queue_bytes = self._gauge(
            "hub_messages_in_flight_bytes", "Bytes of the messages received and not yet handled"
        )
        self.capacity_bytes = self._gauge(
            "hub_messages_in_flight_limit_bytes",
            "Maximum bytes of messages in flight; above it the hub stops reading",
        )
        self.stalled = self._gauge(
            "hub_ingest_stalled_seconds", "Time that messages have waited without one being handled; 0 if none waits"
        )
        self.worker_restarts = self._listed(
            "hub_worker_restarts",
            "Unexpected errors of a thread, after which it continued",
            "worker",
            counter=True,
        )
        self.clip_failures = self._counter(
            "hub_audio_file_failures",
            "Audio files that the hub could not write (their events have no audio) or not remove yet",
            "operation",
        )
        for operation in ("write", "remove"):
            self.clip_failures.labels(operation)
        self.taking = self._gauge("hub_ready", "1 once the hub has loaded its index and receives events")
        self.connected = self._gauge(
            "hub_broker_connected", "1 while connected to the broker; NaN before the first connection"
        )
        self.last_event = self._gauge("hub_last_event_timestamp_seconds", "Time at which the last event was archived")
        self.batch = self._histogram("hub_batch_size", "Events handled together", (1, 2, 4, 8, 16, 32, 64))
        self.delivery = self._histogram(
            "hub_event_delivery_delay_seconds",
            "From the end of a clip to its receipt, of live clips; over 60 counts as late",
            (1, 3, 10, 30, 60, 300, 1_800, 7_200, 86_400),
        )
        self.alert_delay = self._histogram(
            "hub_alert_latency_seconds",
            "From an event's receipt until its alert is queued",
            (0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
        self.stage = self._histogram(
            "hub_stage_duration_seconds",
            "Time that events handled together spend in a stage of the pipeline",
            (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            "stage",
        )
        for stage in ("decode", "features", "archive", "retrieve", "judge"):
            self.stage.labels(stage)
        self.beats = self._counter(
            "hub_heartbeats", "Heartbeats that returned (ok), and that did not within a minute (missed)", "outcome"
        )
        for outcome in ("ok", "missed"):
            self.beats.labels(outcome)
        self.beat_delay = self._histogram(
            "hub_heartbeat_roundtrip_seconds",
            "From sending a heartbeat, through broker, pipeline, Redis and outbox, until its return",
            (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300),
        )
        self.last_beat = self._gauge(
            "hub_last_heartbeat_timestamp_seconds",
            "Time at which a heartbeat last returned; 0 if none yet, NaN while none is sent",
        )
        self.looked = self._gauge(
            "hub_probe_success_timestamp_seconds",
            "Time of the last successful run of each health probe",
            "probe",
        )
        self.certificate_end = self._listed(
            "hub_certificate_expiry_timestamp_seconds",
            "Expiry time of a certificate of the hub's connection to the broker",
            "certificate",
        )
        self.rows_left_out = self._listed(
            "hub_rows_unreadable", "Rows in Redis that this hub could not read and skipped", "kind", counter=True
        )
        self.rows_left_out.replace_all({("event",): 0.0})
        self.last_beat.set(math.nan)
        self.disk_free = self._listed("hub_disk_free_bytes", "Free bytes on the disk of a folder", "folder")
        self.disk_size = self._listed("hub_disk_size_bytes", "Size of the disk of a folder", "folder")

    def _search(self) -> None:
        self.recall = self._gauge(
            "hub_search_recall_ratio",
            "Share of an exact scan's ten best that searches return, measured on live queries; NaN before any",
            "space",
            "by",
        )
        self.recall_target = self._gauge("hub_search_recall_target_ratio", "Value of `search.target_recall`")
        self.gap = self._gauge(
            "hub_search_rank_loss",
            "Rank score lost at the last match against an exact scan, for the last measured query (0 to 8)",
            "space",
        )
        self.candidates = self._gauge("hub_search_candidates", "Events scored exactly per search", "space", "by")
        self.indexed = self._gauge("hub_index_events", "Events in the index")
        self.index_bytes = self._listed("hub_index_bytes", "Memory of the index of a feature space", "space")

    def _store(self) -> None:
        self.store_up = self._gauge("store_up", "1 if Redis answered the last probe")
        self.store_memory = self._gauge("store_memory_used_bytes", "Memory that Redis uses")
        self.store_limit = self._gauge(
            "store_memory_limit_bytes",
            "Maximum memory of Redis: its maxmemory, or otherwise the memory of its machine",
        )
        self.store_durable = self._gauge(
            "store_aof_healthy", "1 if Redis writes an append-only file, and the last write succeeded"
        )
        self.store_events = self._gauge("store_events", "Events archived")
        self.store_alerts = self._gauge("store_alerts", "Alerts kept")
        self.store_oldest = self._gauge(
            "store_oldest_event_timestamp_seconds",
            "Capture time of the oldest event, without those that arrived late",
        )
        self.store_retention = self._gauge("store_retention_seconds", "Time that the hub keeps events")
        self.store_waiting = self._gauge("store_alerts_unpublished", "Alerts that the broker does not have yet")
        self.store_letters = self._gauge("store_dead_letters", "Dead letters of messages")
        self.store_letter_bytes = self._gauge("store_dead_letters_bytes", "Approximate memory of dead letters")
        self.store_letter_limit = self._gauge(
            "store_dead_letters_limit_bytes",
            "Maximum memory of dead letters; above it the hub removes the oldest of the sensor with the most",
        )
        self.store_letters_discarded = self._listed(
            "store_dead_letters_discarded", "Dead letters removed to make room for newer ones", counter=True
        )
        self.store_sources = self._gauge("store_sources", "Sources in Redis")
        self.store_sources_due = self._gauge("store_source_episodes_pending", "Episodes without a source yet")
        self.store_sensors = self._gauge("store_sensors", "Sensors that ever sent an event or state")
        self.store_verdicts = self._listed("store_verdicts", "Verdicts on alerts and matches", "verdict")
        self.store_verdicts.replace_all({(verdict,): 0.0 for verdict in VERDICTS})
        self.store_unsent = self._listed(
            "store_notifications_pending", "Messages that a channel has yet to send", "channel"
        )
        self.store_dead = self._listed(
            "store_notification_dead_letters", "Messages that a channel could not send", "channel"
        )

    def _sensors(self) -> None:
        self.sensors_left_out = self._gauge(
            "store_sensors_unexported",
            "Sensors without their own metrics, because `monitoring.max_sensor_series` is reached",
        )
        self.sensor_state = self._listed(
            "sensor_state", "1 for the current state of a sensor, else 0", *SENSOR, "state"
        )
        self.sensor_last_event = self._listed(
            "sensor_last_event_timestamp_seconds", "Time at which an event of a sensor was last received", *SENSOR
        )
        self.sensor_events = self._listed("sensor_events", "Events received from a sensor", *SENSOR, counter=True)
        self.sensor_missing = self._listed(
            "sensor_events_missing",
            "Events that a sensor numbered and the hub has not received",
            *SENSOR,
        )
        self.sensor_skew = self._listed(
            "sensor_clock_skew_seconds",
            "Last measured difference of a sensor's clock to the hub's; negative if it is behind",
            *SENSOR,
        )
        self.sensor_delay = self._listed(
            "sensor_last_delivery_delay_seconds",
            "From the start of a sensor's last clip to its receipt, while the sensor is online",
            *SENSOR,
        )
        self.sensor_level = self._listed(
            "sensor_laeq_decibels", "LAeq of a sensor's last clip, while the sensor is online", *SENSOR, "unit"
        )
        self.sensor_sound = self._listed(
            "sensor_last_signal_timestamp_seconds",
            "Time at which a sensor's level was last above that of a dead microphone",
            *SENSOR,
        )
        self.sensor_varied = self._listed(
            "sensor_last_level_change_timestamp_seconds", "Time at which a sensor's level last changed", *SENSOR
        )
        self.sensor_waiting = self._listed(
            "sensor_spool_events", "Last reported number of events in a sensor's spool, while connected", *SENSOR
        )
        self.sensor_spool = self._listed(
            "sensor_spool_used_ratio", "Last reported share of a sensor's spool in use, while connected", *SENSOR
        )
        self.sensor_dropped = self._listed(
            "sensor_clips_dropped", "Clips that a sensor dropped because its spool was full", *SENSOR, counter=True
        )
        self.sensor_certificate_end = self._listed(
            "sensor_certificate_expiry_timestamp_seconds", "Expiry time of a sensor's certificate", *SENSOR
        )

    def _models(self) -> None:
        self.presence_psi = self._listed(
            "model_presence_psi",
            "Population stability index of a category's presence, against the first days here or the training data",
            "space",
            "category",
            "reference",
        )
        self.embedding_psi = self._listed(
            "model_embedding_psi", "Population stability index of embeddings against the same", "space", "reference"
        )
        self.match_probability_psi = self._listed(
            "model_match_probability_psi", "Population stability index of episodes' match probabilities"
        )
        self.presence_share = self._listed(
            "model_presence_ratio", "Share of recent events in which a category is detected", "space", "category"
        )
        self.trained_share = self._listed(
            "model_training_presence_ratio", "Share of training clips that contain a category", "space", "category"
        )
        self.drift_events = self._listed("model_drift_events", "Events of the last measurement of drift", "space")
        self.reference_events = self._listed(
            "model_reference_events", "Events of a drift reference", "space", "reference"
        )
        self.stated = self._gauge(
            "model_mean_predicted_probability",
            "Mean match probability of alerts with a verdict in the last 30 days; NaN if none",
        )
        self.right = self._gauge(
            "model_observed_precision",
            "Share of alerts judged right in the last 30 days; should be close to the mean match probability",
        )
        for gauge in (self.stated, self.right):
            gauge.set(math.nan)
        self.judged = self._gauge("model_alerts_with_verdict", "Alerts with a verdict in the last 30 days")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"earwitness_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"earwitness_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"earwitness_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _listed(self, name: str, text: str, *labels: str, counter: bool = False) -> SnapshotMetric:
        return SnapshotMetric(f"earwitness_{name}", text, labels, self.registry, counter=counter)


def exemplar(event: object) -> dict[str, str] | None:
    """Return the id of an event as an exemplar; None if it is too long."""
    text = str(event)
    return {"event": text} if len(text) <= EXEMPLAR_LONGEST else None

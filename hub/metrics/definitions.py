"""Every metric of the hub, defined once; the registry is passed in, so that tests and hubs do not share one.

Names follow the Prometheus conventions: application prefix, base units, `_total`, ratios, timestamps, not ages;
zeros are there before anything happened. `earwitness_hub_` is of this process, `earwitness_store_`,
`earwitness_sensor_` and `earwitness_model_` are of what hubs share: each of them tells the same, so take `max by`.
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
"""Characters of an exemplar's value; OpenMetrics allows 128 with the label's name."""


class SnapshotMetric(Collector):
    """A gauge or counter whose series are put all at once: what is no longer there leaves nothing behind.

    Args:
        name: without `_total`.
        text: what it means.
        labels: their names.
        registry: where it is registered.
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
        """All series by their labels' values, in place of those before."""
        kept = dict(rows)
        self._rows = lambda: kept

    def set_function(self, rows: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Ask for the series when the metric is asked for."""
        self._rows = rows

    def describe(self) -> Iterable[Metric]:
        """The metric without series."""
        yield self._kind(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """The metric as it was put last."""
        family = self._kind(self._name, self._text, labels=self._labels)
        for labels, value in self._rows().items():
            family.add_metric(labels, value)
        yield family


class MeasuredSearch(Protocol):
    """A search that counts its candidates and measures its recall."""

    @property
    def candidates(self) -> int:
        """How many events are scored exactly per search."""
        ...

    def recall(self) -> float | None:
        """Mean recall@10 at that number, in [0, 1]; None before the first measurement."""
        ...


class HubMetrics:
    """The hub's metrics.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # nobody asks for them
        self.registry = registry
        self._hub()
        self._search()
        self._store()
        self._sensors()
        self._models()
        ProcessCollector(registry=registry)

    def bind_recall(self, space: str, by: str, search: MeasuredSearch) -> None:
        """Tell the recall and the candidates of a feature space's searches by kind, source or both, when asked."""
        self.candidates.labels(space, by).set_function(lambda: search.candidates)
        self.recall.labels(space, by).set_function(lambda: math.nan if (found := search.recall()) is None else found)

    def _hub(self) -> None:
        self.received = self._counter("hub_events_received", "Event messages taken from the broker")
        self.archived = self._counter("hub_events_archived", "Events written")
        self.duplicates = self._counter("hub_events_duplicate", "Events that had been archived before")
        self.retimed = self._counter(
            "hub_events_retimed", "Events whose capture time was not believed and that took the time of their receipt"
        )
        self.refusals = self._counter(
            "hub_retention_pauses", "Times that nothing was removed as this hub's clock may be wrong"
        )
        self.refused = self._gauge(
            "hub_retention_paused", "1 while nothing is removed as this hub's clock may be wrong, else 0"
        )
        self.dead_letters = self._counter("hub_messages_dead_lettered", "Messages that could not be taken")
        self.quarantined = self._counter(
            "hub_messages_quarantined", "Messages that raised an unexpected error twice, and wait as dead letters"
        )
        self.alerts = self._counter("hub_alerts", "Alerts raised")
        self.named = self._counter("hub_events_named", "Events that are named sounds, by what comes of them", "mode")
        for mode in MODES:
            self.named.labels(mode)
        self.published = self._counter("hub_alerts_published", "Alerts that the broker has")
        self.notifications = self._counter(
            "hub_notifications",
            "Messages to notifiers: sent, retried (an attempt failed), held (alerts, for a digest), dead (given up)",
            "channel",
            "outcome",
        )
        self.filed = self._counter("hub_source_episodes", "Episodes that joined a source, or opened one", "outcome")
        for outcome in ("joined", "opened"):
            self.filed.labels(outcome)
        self.shadow = self._counter(
            "hub_shadow_alerts",
            "Alerts that the candidate network in the shadow would have raised too, or not",
            "agrees",
        )
        for agrees in ("yes", "no"):
            self.shadow.labels(agrees)
        self.retries = self._counter("hub_store_retries", "Waits for a store that was away or full")
        self.pauses = self._counter(
            "hub_backpressure_disconnects", "Times the hub left the broker for a while because it was full"
        )
        self.queue_length = self._gauge("hub_messages_in_flight", "Messages received and not yet handled")
        self.capacity = self._gauge(
            "hub_messages_in_flight_limit", "Messages that may wait before the hub reads no more"
        )
        self.queue_bytes = self._gauge(
            "hub_messages_in_flight_bytes", "Bytes of the messages received and not yet handled"
        )
        self.capacity_bytes = self._gauge(
            "hub_messages_in_flight_limit_bytes", "Bytes of messages that may wait before the hub reads no more"
        )
        self.stalled = self._gauge(
            "hub_ingest_stalled_seconds", "For how long messages wait without one being handled; 0 if none waits"
        )
        self.worker_restarts = self._listed(
            "hub_worker_restarts",
            "Times that a thread of the hub met an error that nobody expected, and went on",
            "worker",
            counter=True,
        )
        self.clip_failures = self._counter(
            "hub_audio_file_failures",
            "Clips that could not be written, so that their events have no sound, or not be removed yet",
            "operation",
        )
        for operation in ("write", "remove"):
            self.clip_failures.labels(operation)
        self.taking = self._gauge("hub_ready", "1 once the hub has loaded its index and takes events")
        self.connected = self._gauge("hub_broker_connected", "1 while connected to the broker; NaN before it begins")
        self.last_event = self._gauge("hub_last_event_timestamp_seconds", "When the last event was archived")
        self.batch = self._histogram("hub_batch_size", "Events handled together", (1, 2, 4, 8, 16, 32, 64))
        self.delivery = self._histogram(
            "hub_event_delivery_delay_seconds",
            "From the end of a clip to its receipt, of clips heard now; over 60 counts as late",
            (1, 3, 10, 30, 60, 300, 1_800, 7_200, 86_400),
        )
        self.alert_delay = self._histogram(
            "hub_alert_latency_seconds",
            "From an event's receipt until its alert is on its way",
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
            "hub_heartbeats", "Heartbeats that came back, and that did not within a minute", "outcome"
        )
        for outcome in ("ok", "missed"):
            self.beats.labels(outcome)
        self.beat_delay = self._histogram(
            "hub_heartbeat_roundtrip_seconds",
            "From a heartbeat's sending, through broker, pipeline, store and outbox, until it is back",
            (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300),
        )
        self.last_beat = self._gauge(
            "hub_last_heartbeat_timestamp_seconds",
            "When a heartbeat last came back; 0 if none yet, NaN while none is sent",
        )
        self.looked = self._gauge(
            "hub_probe_success_timestamp_seconds",
            "When the hub last looked, at store, sensors and more, and could",
            "probe",
        )
        self.certificate_end = self._listed(
            "hub_certificate_expiry_timestamp_seconds",
            "When a certificate of the hub's connection to the broker ends",
            "certificate",
        )
        self.rows_left_out = self._listed(
            "hub_rows_unreadable", "Rows of the store that this hub could not read and left out", "kind", counter=True
        )
        self.rows_left_out.replace_all({("event",): 0.0})
        self.last_beat.set(math.nan)
        self.disk_free = self._listed("hub_disk_free_bytes", "Room left on the disk of a folder", "folder")
        self.disk_size = self._listed("hub_disk_size_bytes", "Room on the disk of a folder, used and left", "folder")

    def _search(self) -> None:
        self.recall = self._gauge(
            "hub_search_recall_ratio",
            "Share of an exact scan's ten best that searches find, by measurements of live queries; NaN before any",
            "space",
            "by",
        )
        self.recall_target = self._gauge(
            "hub_search_recall_target_ratio", "The recall that `search.target_recall` asks for"
        )
        self.gap = self._gauge(
            "hub_search_rank_loss",
            "How far the last match found ranked below an exact scan's, of the query measured last (of 8)",
            "space",
        )
        self.candidates = self._gauge("hub_search_candidates", "Events scored exactly per search", "space", "by")
        self.indexed = self._gauge("hub_index_events", "Events that can be found")
        self.index_bytes = self._listed("hub_index_bytes", "Memory of the index of a feature space", "space")

    def _store(self) -> None:
        self.store_up = self._gauge("store_up", "1 if the store answered when last asked")
        self.store_memory = self._gauge("store_memory_used_bytes", "Memory that the store uses")
        self.store_limit = self._gauge(
            "store_memory_limit_bytes", "Memory that it may use: its maxmemory, or else all of its machine's"
        )
        self.store_durable = self._gauge(
            "store_aof_healthy", "1 if it writes an append-only file, and could last time"
        )
        self.store_events = self._gauge("store_events", "Events archived")
        self.store_alerts = self._gauge("store_alerts", "Alerts kept")
        self.store_oldest = self._gauge(
            "store_oldest_event_timestamp_seconds",
            "When its oldest event was captured, of those that did not come late",
        )
        self.store_retention = self._gauge("store_retention_seconds", "How long events are kept")
        self.store_waiting = self._gauge("store_alerts_unpublished", "Alerts that the broker does not have yet")
        self.store_letters = self._gauge("store_dead_letters", "Dead letters that wait for a person")
        self.store_letter_bytes = self._gauge("store_dead_letters_bytes", "Approximate memory of dead letters")
        self.store_letter_limit = self._gauge(
            "store_dead_letters_limit_bytes",
            "Most memory of dead letters; beyond it the sensor with the most loses its oldest",
        )
        self.store_letters_discarded = self._listed(
            "store_dead_letters_discarded", "Dead letters that made room for newer ones", counter=True
        )
        self.store_sources = self._gauge("store_sources", "Sources that are kept")
        self.store_sources_due = self._gauge("store_source_episodes_pending", "Episodes whose source is to be found")
        self.store_sensors = self._gauge("store_sensors", "Sensors that ever spoke")
        self.store_verdicts = self._listed("store_verdicts", "What people said of alerts and matches", "verdict")
        self.store_verdicts.replace_all({(verdict,): 0.0 for verdict in VERDICTS})
        self.store_unsent = self._listed(
            "store_notifications_pending", "Messages that a notifier has yet to be sent", "channel"
        )
        self.store_dead = self._listed(
            "store_notification_dead_letters", "Messages that a notifier gave up, waiting for a person", "channel"
        )

    def _sensors(self) -> None:
        self.sensors_left_out = self._gauge(
            "store_sensors_unexported",
            "Sensors without metrics of their own, as `monitoring.max_sensor_series` is reached",
        )
        self.sensor_state = self._listed(
            "sensor_state", "1 for the state that a sensor is in, else 0", *SENSOR, "state"
        )
        self.sensor_heard = self._listed(
            "sensor_last_event_timestamp_seconds", "When an event of a sensor was last received", *SENSOR
        )
        self.sensor_events = self._listed("sensor_events", "Events of a sensor", *SENSOR, counter=True)
        self.sensor_missing = self._listed(
            "sensor_events_missing",
            "Events that a sensor numbered and that never came, less those that came late",
            *SENSOR,
        )
        self.sensor_skew = self._listed(
            "sensor_clock_skew_seconds",
            "How far a sensor's clock is ahead of the hub's, as measured last; below 0 if it is behind",
            *SENSOR,
        )
        self.sensor_delay = self._listed(
            "sensor_last_delivery_delay_seconds",
            "From the start of a sensor's last clip to its receipt, while heard",
            *SENSOR,
        )
        self.sensor_level = self._listed(
            "sensor_laeq_decibels", "LAeq of a sensor's last clip, while it is heard", *SENSOR, "unit"
        )
        self.sensor_sound = self._listed(
            "sensor_last_signal_timestamp_seconds",
            "When a sensor's level last lay above a dead microphone's",
            *SENSOR,
        )
        self.sensor_varied = self._listed(
            "sensor_last_level_change_timestamp_seconds", "When a sensor's level last moved", *SENSOR
        )
        self.sensor_waiting = self._listed(
            "sensor_spool_events", "Events in a sensor's spool, as it reported last, while connected", *SENSOR
        )
        self.sensor_spool = self._listed(
            "sensor_spool_used_ratio", "How full a sensor's spool is, as it reported last, while connected", *SENSOR
        )
        self.sensor_dropped = self._listed(
            "sensor_clips_dropped", "Clips that a sensor gave up as its spool took no more", *SENSOR, counter=True
        )
        self.sensor_certificate_end = self._listed(
            "sensor_certificate_expiry_timestamp_seconds", "When a sensor's certificate ends", *SENSOR
        )

    def _models(self) -> None:
        self.presence_psi = self._listed(
            "model_presence_psi",
            "Population stability index of a category's presence against what was first heard here, or learnt from",
            "space",
            "category",
            "reference",
        )
        self.embedding_psi = self._listed(
            "model_embedding_psi", "Population stability index of embeddings, likewise", "space", "reference"
        )
        self.match_probability_psi = self._listed(
            "model_match_probability_psi", "Population stability index of episodes' likeness against the reference"
        )
        self.presence_share = self._listed(
            "model_presence_ratio", "Share of events that a category is heard in, lately", "space", "category"
        )
        self.trained_share = self._listed(
            "model_training_presence_ratio", "The same of the clips that the network learnt from", "space", "category"
        )
        self.drift_events = self._listed("model_drift_events", "Events that drift was last measured on", "space")
        self.reference_events = self._listed("model_reference_events", "Events of a reference", "space", "reference")
        self.stated = self._gauge(
            "model_mean_predicted_probability",
            "Mean likeness that alerts stated, of those people judged in 30 days; NaN if none",
        )
        self.right = self._gauge(
            "model_observed_precision",
            "Share of these that people found right; far from the former, calibration is off",
        )
        for gauge in (self.stated, self.right):
            gauge.set(math.nan)
        self.judged = self._gauge("model_alerts_with_verdict", "Alerts that people judged in 30 days")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"earwitness_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"earwitness_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"earwitness_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _listed(self, name: str, text: str, *labels: str, counter: bool = False) -> SnapshotMetric:
        return SnapshotMetric(f"earwitness_{name}", text, labels, self.registry, counter=counter)


def exemplar(event: object) -> dict[str, str] | None:
    """The id of an event as an exemplar; None if it is too long for one."""
    text = str(event)
    return {"event": text} if len(text) <= EXEMPLAR_LONGEST else None

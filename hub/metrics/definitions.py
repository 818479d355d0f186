"""Every metric of the hub, defined once. The caller passes the registry, so that tests and hubs do not share one.

Names follow the Prometheus conventions: application prefix, base units, `_total`, ratios, timestamps instead of ages,
zeros from the start. `earwitness_hub_` describes this process. `earwitness_store_`, `earwitness_sensor_` and
`earwitness_model_` describe what hubs share: every hub exports the same values, so aggregate with `max by`.
"""

import math
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
)

from hub.domain.named_sounds import MODES
from hub.domain.refusal_reasons import REFUSAL_REASONS
from hub.metrics.collectors import MeasuredSearch
from hub.metrics.sensor_definitions import VERDICTS, SensorMetrics

EXEMPLAR_LONGEST: Final = 100
"""Maximum characters of an exemplar's value; OpenMetrics allows 128 with the label's name."""


class HubMetrics(SensorMetrics):
    """The hub's metrics.

    Args:
        registry: registry of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # no rule or dashboard uses them
        super().__init__(registry)
        self._hub()
        self._limits()
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
        self.level_seconds = self._counter(
            "hub_level_seconds",
            "Seconds of level series: stored, retimed (stored, wrong clock), missing (the sensor had no level),"
            " rejected (wrong time); with repeats",
            "outcome",
        )
        for outcome in ("stored", "retimed", "missing", "rejected"):
            self.level_seconds.labels(outcome)
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
        self.web_refusals = self._counter(
            "hub_web_refusals",
            "HTTP requests that the hub refused (docs/operate.md#refused-requests)",
            "reason",
        )
        for reason in REFUSAL_REASONS:
            self.web_refusals.labels(reason)
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

    def _limits(self) -> None:
        self.exceedances = self._counter(
            "hub_exceedances",
            "Exceedances of limits that this hub found, of periods that ended in the last two days",
            "rule",
            "notify",
        )

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


def exemplar(event: object) -> dict[str, str] | None:
    """Return the id of an event as an exemplar; None if it is too long."""
    text = str(event)
    return {"event": text} if len(text) <= EXEMPLAR_LONGEST else None

"""Every metric of the hub, defined once; the registry is passed in, so that tests and hubs do not share one.

Names follow the Prometheus conventions: application prefix, base units, `_total`, timestamps rather than ages.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class HubMetrics:
    """The hub's metrics.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.received = Counter(
            "earwitness_hub_events_received", "Event messages taken from the broker", registry=registry
        )
        self.archived = Counter("earwitness_hub_events_archived", "Events written", registry=registry)
        self.duplicates = Counter(
            "earwitness_hub_events_duplicate", "Events that had been archived before", registry=registry
        )
        self.dead_letters = Counter(
            "earwitness_hub_dead_letters", "Messages that could not be taken", registry=registry
        )
        self.alerts = Counter("earwitness_hub_alerts", "Alerts raised", registry=registry)
        self.retries = Counter("earwitness_hub_retries", "Waits for a store that was away or full", registry=registry)
        self.pauses = Counter(
            "earwitness_hub_intake_pauses",
            "Times the hub disconnected because it was full",
            registry=registry,
        )
        self.queue_length = Gauge(
            "earwitness_hub_intake_queue_length", "Messages received and not yet handled", registry=registry
        )
        self.connected = Gauge(
            "earwitness_hub_broker_connected", "1 while connected to the broker", registry=registry
        )
        self.indexed = Gauge("earwitness_hub_index_events", "Events that can be found", registry=registry)
        self.last_event = Gauge(
            "earwitness_hub_last_event_timestamp_seconds",
            "When the last event was archived",
            registry=registry,
        )
        self.stage = Histogram(
            "earwitness_hub_stage_seconds",
            "Time one event spends in a stage of the pipeline",
            ["stage"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=registry,
        )
        for stage in ("decode", "features", "archive", "retrieve", "complete"):
            self.stage.labels(stage)

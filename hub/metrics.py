"""Every metric of the hub, defined once; the registry is passed in, so that tests and hubs do not share one.

Names follow the Prometheus conventions: application prefix, base units, `_total`, timestamps rather than ages.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hub.search.reach import Reach


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
        self.published = Counter("earwitness_hub_alerts_published", "Alerts that the broker has", registry=registry)
        self.notifications = Counter(
            "earwitness_hub_notifications",
            "Messages to notifiers: sent, retried (an attempt failed), held (alerts, for a digest), dead (given up)",
            ["notifier", "outcome"],
            registry=registry,
        )
        self.waiting = Gauge(
            "earwitness_hub_notifications_waiting",
            "Messages that a notifier has yet to be sent; NaN while the store is away",
            ["notifier"],
            registry=registry,
        )
        self.shadow = Counter(
            "earwitness_hub_shadow_alerts",
            "Alerts that the candidate network in the shadow would have raised too, or not",
            ["agrees"],
            registry=registry,
        )
        for agrees in ("yes", "no"):
            self.shadow.labels(agrees)
        self.retries = Counter("earwitness_hub_retries", "Waits for a store that was away or full", registry=registry)
        self.pauses = Counter(
            "earwitness_hub_intake_pauses",
            "Times the hub left the broker for a while because it was full",
            registry=registry,
        )
        self.queue_length = Gauge(
            "earwitness_hub_intake_queue_length", "Messages received and not yet handled", registry=registry
        )
        self.connected = Gauge(
            "earwitness_hub_broker_connected", "1 while connected to the broker", registry=registry
        )
        self.recall = Gauge(
            "earwitness_hub_search_recall_ratio",
            "Share of an exact scan's ten best that searches find, by measurements of live queries; NaN before any",
            ["space"],
            registry=registry,
        )
        self.gap = Gauge(
            "earwitness_hub_search_gap",
            "How far the last match found ranked below an exact scan's, of the query measured last (of 8)",
            ["space"],
            registry=registry,
        )
        self.candidates = Gauge(
            "earwitness_hub_search_candidates", "Events scored exactly per search", ["space"], registry=registry
        )
        self.indexed = Gauge("earwitness_hub_index_events", "Events that can be found", registry=registry)
        self.last_event = Gauge(
            "earwitness_hub_last_event_timestamp_seconds",
            "When the last event was archived",
            registry=registry,
        )
        self.batch = Histogram(
            "earwitness_hub_batch_events",
            "Events handled together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.alert_delay = Histogram(
            "earwitness_hub_alert_seconds",
            "From an event's receipt until its alert is on its way",
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=registry,
        )
        self.stage = Histogram(
            "earwitness_hub_stage_seconds",
            "Time that events handled together spend in a stage of the pipeline",
            ["stage"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=registry,
        )
        for stage in ("decode", "features", "archive", "retrieve", "complete"):
            self.stage.labels(stage)

    def watch(self, space: str, reach: Reach) -> None:
        """Tell the recall and the candidates of a feature space's searches, as they are when asked."""
        self.candidates.labels(space).set_function(lambda: reach.candidates)
        self.recall.labels(space).set_function(lambda: math.nan if (found := reach.recall()) is None else found)

"""Connect the recall monitor with a hub: when it may scan, and where its result goes."""

from hub.ingest.consumer import MqttConsumer
from hub.metrics.definitions import HubMetrics
from hub.search.memory.index import MemoryIndex
from hub.search.recall_monitor import RecallMonitor
from hub.search.retrieval import Retrieval


class RecallReport:
    """Exports the recall of searches, and lets scans wait while events are handled.

    Args:
        metrics: the hub's metrics.
        consumer: receives events.
    """

    def __init__(self, metrics: HubMetrics, consumer: MqttConsumer) -> None:
        self._metrics = metrics
        self._consumer = consumer

    def may_scan(self) -> bool:
        """Return whether no event waits."""
        return self._consumer.is_idle

    def record_gap(self, index: MemoryIndex, gap: float) -> None:
        """Export by how much the rank of the last match differs from that of an exact search."""
        self._metrics.gap.labels(index.scorer.space.id).set(gap)


def monitor_recall(share: float, retrieval: Retrieval, metrics: HubMetrics, consumer: MqttConsumer) -> RecallMonitor:
    """Return the monitor that measures the recall of a share of the searches and exports it."""
    for index in retrieval.indexes:
        for by in index.scorer.identities.ways:
            metrics.bind_recall(index.scorer.space.id, by, index.reaches[by])
    report = RecallReport(metrics, consumer)
    monitor = RecallMonitor(share, report.may_scan, report.record_gap)
    retrieval.on_answer = monitor.sample
    return monitor

"""Series that are replaced together, and groups of metrics, for the definitions of metrics."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


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


class MetricGroup:
    """Metrics of one registry; subclasses define them as attributes.

    Args:
        registry: registry of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"earwitness_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"earwitness_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"earwitness_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _listed(self, name: str, text: str, *labels: str, counter: bool = False) -> SnapshotMetric:
        return SnapshotMetric(f"earwitness_{name}", text, labels, self.registry, counter=counter)

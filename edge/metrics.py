"""Every metric of a sensor's agent, and the HTTP server that exports them. It is imported only if a port is set.

Names and the labels `site` and `sensor` follow the Prometheus conventions, as the hub's do
(`hub/metrics/definitions.py`). A scrape reads plain values of the agent: the agent does not wait for a scrape, and a
scrape does not wait for a disk.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.clock import clock_status, elapsed_s
from edge.sensor_report import Running
from edge.settings import MetricsSettings
from shared.content_negotiation import preferred
from shared.messages.sensor import StateMessage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

SENSOR: Final = ("site", "sensor")


Read = Callable[[Running], float | None]

COUNTERS: Final[tuple[tuple[str, str, Read], ...]] = (
    ("clips_captured", "Clips put in the spool", lambda of: of.tally.captured),
    ("clips_dropped", "Clips dropped because the spool was full or failed", lambda of: of.tally.dropped),
    ("clips_unreadable", "Clips skipped because they could not be read", lambda of: of.tally.unreadable),
    (
        "events_published",
        "Events that the broker acknowledged, including backlog and repeats",
        lambda of: of.publisher.published,
    ),
    (
        "source_failures",
        "Failures of the microphone, after which it was opened again",
        lambda of: of.tally.failures,
    ),
    (
        "sessions_taken_over",
        "Connections that another client with this sensor's name ended",
        lambda of: of.publisher.taken_over,
    ),
    (
        "sound_over_budget",
        "Clips whose audio was left out because the bandwidth budget was used up",
        lambda of: of.tally.sound_over_budget,
    ),
    (
        "features_over_budget",
        "Clips whose embedding was left out because the bandwidth budget was used up",
        lambda of: of.tally.features_over_budget,
    ),
    (
        "speech_removed_seconds",
        "Length of the clips whose audio was withheld because of speech",
        lambda of: of.tally.speech_removed_s,
    ),
    (
        "capture_gap_seconds",
        "Time without sound: the source failed, or samples were lost",
        lambda of: of.tally.gaps.total_s(elapsed_s()),
    ),
    ("clock_jumps", "Times that the machine's clock was set to another time", lambda of: of.tally.clock_jumps),
    (
        "level_seconds_dropped",
        "Seconds of level series dropped: full spool, too old, over the budget, or of a replay ahead of the clock",
        lambda of: of.tally.level_seconds_dropped + of.spool.level_seconds_shed,
    ),
    ("spool_events_lost", "Events that a damaged spool lost", lambda of: of.spool.usage().lost),
)
"""Name without `_total`, help text, and a function that reads the value."""

GAUGES: Final[tuple[tuple[str, str, Read], ...]] = (
    ("spool_events", "Events in the spool that the broker does not have yet", lambda of: of.spool.usage().pending),
    (
        "spool_bytes",
        "Bytes of events in the spool, including acknowledged ones kept to be sent again",
        lambda of: of.spool.usage().size_bytes,
    ),
    (
        "spool_events_set_aside",
        "Events kept in the spool because the broker cannot take them",
        lambda of: of.spool.usage().aside,
    ),
    ("spool_limit_bytes", "Bytes of events that the spool may hold", lambda of: of.spool.usage().max_bytes),
    ("broker_connected", "1 while connected to the broker", lambda of: of.publisher.online),
    ("source_failing", "1 while the source delivers nothing", lambda of: bool(of.tally.failure)),
    (
        "publishing_on_hold",
        "1 while events stay in the spool because no hub takes them",
        lambda of: of.publisher.holding,
    ),
    (
        "clock_synchronised",
        "1 if systemd-timesyncd, chrony or ntpd synchronises the clock, else 0",
        lambda _: clock_status() == "synchronised",
    ),
    (
        "temperature_celsius",
        "Highest temperature of the machine; absent where the platform does not provide it",
        lambda of: None if of.health is None else of.health.read().temperature_c,
    ),
    (
        "disk_free_bytes",
        "Free bytes of the spool's disk",
        lambda of: None if of.health is None else of.health.read().disk_free_bytes,
    ),
    (
        "memory_used_ratio",
        "Share of memory in use",
        lambda of: None if of.health is None else of.health.read().memory_used,
    ),
    (
        "cpu_used_ratio",
        "Share of CPU time in use",
        lambda of: None if of.health is None else of.health.read().cpu_used,
    ),
    (
        "under_voltage",
        "1 while the supply voltage is too low; absent where the platform does not provide it",
        lambda of: None if of.health is None else of.health.read().under_voltage,
    ),
    (
        "last_clip_timestamp_seconds",
        "Time of the latest clip put in the spool; 0 before the first",
        lambda of: of.tally.last_captured_s,
    ),
    (
        "last_published_timestamp_seconds",
        "Time of the latest event that the broker acknowledged; 0 before the first",
        lambda of: of.publisher.last_published_s,
    ),
)
"""Name, help text, and a function that reads the value."""


class EdgeMetrics(Collector):
    """The metrics of one agent.

    Args:
        announced: state message of the sensor; its site and name label every series.
        running: parts of the agent that each scrape reads, on the scrape's thread.
        errors: function that returns the number of unexpected errors of the agent.
    """

    def __init__(self, announced: StateMessage, running: Running, errors: Callable[[], int]) -> None:
        self._labels = (announced.site, announced.sensor)
        self._about = {"software": announced.software, "source": announced.source, "form": announced.payload_format}
        self._running = running
        self._errors = errors

    def describe(self) -> Iterable[Metric]:
        """Return all metrics without series."""
        return metric_families()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics with their current values."""
        info = _info()
        info.add_metric(self._labels, self._about)
        yield info
        errors = _unexpected()
        errors.add_metric(self._labels, float(self._errors()))
        yield errors
        for family, read in _families():
            value = read(self._running)
            if value is not None:  # unknown on this platform
                family.add_metric(self._labels, float(value))
            yield family


def metric_families() -> Iterator[Metric]:
    """Return all metrics without series; this needs no agent."""
    yield _info()
    yield _unexpected()
    for family, _ in _families():
        yield family


def _info() -> InfoMetricFamily:
    return InfoMetricFamily("earwitness_edge", "Software version, source and payload format", labels=SENSOR)


def _unexpected() -> CounterMetricFamily:
    return CounterMetricFamily(
        "earwitness_edge_unexpected_errors", "Unexpected errors after which the agent went on", labels=SENSOR
    )


def _families() -> Iterator[tuple[CounterMetricFamily | GaugeMetricFamily, Read]]:
    for name, text, read in COUNTERS:
        yield CounterMetricFamily(f"earwitness_edge_{name}", text, labels=SENSOR), read
    for name, text, read in GAUGES:
        yield GaugeMetricFamily(f"earwitness_edge_{name}", text, labels=SENSOR), read


def _negotiating(app: "WSGIApplication") -> "WSGIApplication":
    """Answer in the format that the client prefers; prometheus_client ignores quality values."""

    def negotiate(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return app({**environ, "HTTP_ACCEPT": preferred(environ.get("HTTP_ACCEPT", ""))}, start_response)

    return negotiate


@contextmanager
def serve_metrics(metrics: EdgeMetrics, settings: MetricsSettings) -> Iterator[None]:
    """Serve metrics over HTTP while the context is entered. If the port cannot be opened, log it and continue.

    Args:
        metrics: the metrics to export.
        settings: address and port.
    """
    registry = CollectorRegistry()
    registry.register(metrics)
    where = {"host": settings.host, "port": settings.port}
    try:
        server, thread = start_http_server(settings.port, addr=settings.host, registry=registry)
    except OSError as error:
        reason = error.strerror or str(error)
        log.warning("metrics are not served: change metrics.host or metrics.port", extra={**where, "reason": reason})
        yield
        return
    server.set_app(_negotiating(make_wsgi_app(registry)))
    log.info("metrics are served", extra=where)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

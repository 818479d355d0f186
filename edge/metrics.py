"""Every metric of a sensor's agent, defined once, and the server that tells them; loaded only if a port is set.

Names follow the Prometheus conventions, as the hub's do (`hub/metrics/definitions.py`), and so do the labels `site`
and `sensor`. All is read when it is asked for, from plain values that the agent keeps anyway: nothing waits for a
scrape, and no scrape waits for a disk.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.clock import clock_status
from edge.sensor_report import Running
from edge.settings import MetricsSettings
from shared.content_negotiation import preferred
from shared.messages import StateMessage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

SENSOR: Final = ("site", "sensor")


Read = Callable[[Running], float]

COUNTERS: Final[tuple[tuple[str, str, Read], ...]] = (
    ("clips_captured", "Clips put in the spool", lambda of: of.tally.captured),
    ("clips_dropped", "Clips given up because the spool took no more", lambda of: of.tally.dropped),
    ("clips_unreadable", "Clips skipped because they could not be read", lambda of: of.tally.unreadable),
    (
        "events_published",
        "Events that the broker took, with backlog and what was sent again",
        lambda of: of.publisher.published,
    ),
    (
        "source_failures",
        "Times that the microphone failed or was missing, and was opened again",
        lambda of: of.tally.failures,
    ),
    (
        "sessions_taken_over",
        "Times that another client with this sensor's name ended its connection",
        lambda of: of.publisher.taken_over,
    ),
    ("spool_events_lost", "Events that a damaged spool lost", lambda of: of.spool.usage().lost),
)
"""Name without `_total`, meaning, and where the value is."""

GAUGES: Final[tuple[tuple[str, str, Read], ...]] = (
    ("spool_events", "Events in the spool that the broker does not have yet", lambda of: of.spool.usage().pending),
    (
        "spool_bytes",
        "Bytes of events in the spool, with those kept for a while to be sent again",
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
        "1 if systemd-timesyncd says that the clock is right, 0 if nothing is known",
        lambda _: clock_status() == "synchronised",
    ),
    (
        "last_clip_timestamp_seconds",
        "When a clip was last put in the spool; 0 if none yet",
        lambda of: of.tally.last_captured_s,
    ),
    (
        "last_published_timestamp_seconds",
        "When the broker last took an event; 0 if none yet",
        lambda of: of.publisher.last_published_s,
    ),
)
"""Name, meaning, and where the value is."""


class EdgeMetrics(Collector):
    """The metrics of one agent.

    Args:
        announced: how the sensor announces itself to the broker; its site and name label every series.
        running: what is read at each scrape, on the scrape's thread.
        errors: how many unexpected errors the agent met.
    """

    def __init__(self, announced: StateMessage, running: Running, errors: Callable[[], int]) -> None:
        self._labels = (announced.site, announced.sensor)
        self._about = {"software": announced.software, "source": announced.source, "form": announced.payload_format}
        self._running = running
        self._errors = errors

    def describe(self) -> Iterable[Metric]:
        """All metrics without series."""
        return metric_families()

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        info = _info()
        info.add_metric(self._labels, self._about)
        yield info
        errors = _unexpected()
        errors.add_metric(self._labels, float(self._errors()))
        yield errors
        for family, read in _families():
            family.add_metric(self._labels, float(read(self._running)))
            yield family


def metric_families() -> Iterator[Metric]:
    """All metrics without series, which takes no agent."""
    yield _info()
    yield _unexpected()
    for family, _ in _families():
        yield family


def _info() -> InfoMetricFamily:
    return InfoMetricFamily("earwitness_edge", "What runs here, what it listens to, what it sends", labels=SENSOR)


def _unexpected() -> CounterMetricFamily:
    return CounterMetricFamily(
        "earwitness_edge_unexpected_errors", "Unexpected errors after which the agent went on", labels=SENSOR
    )


def _families() -> Iterator[tuple[CounterMetricFamily | GaugeMetricFamily, Read]]:
    for name, text, read in COUNTERS:
        yield CounterMetricFamily(f"earwitness_edge_{name}", text, labels=SENSOR), read
    for name, text, read in GAUGES:
        yield GaugeMetricFamily(f"earwitness_edge_{name}", text, labels=SENSOR), read


def _obeying(app: "WSGIApplication") -> "WSGIApplication":
    """Answer in the format that the client prefers; prometheus_client ignores quality values."""

    def obeying(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return app({**environ, "HTTP_ACCEPT": preferred(environ.get("HTTP_ACCEPT", ""))}, start_response)

    return obeying


@contextmanager
def serve_metrics(metrics: EdgeMetrics, settings: MetricsSettings) -> Iterator[None]:
    """Tell metrics over HTTP meanwhile; where that cannot be, say so and go on, as a sensor is there to listen.

    Args:
        metrics: what is told.
        settings: where.
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
    server.set_app(_obeying(make_wsgi_app(registry)))
    log.info("metrics are served", extra=where)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

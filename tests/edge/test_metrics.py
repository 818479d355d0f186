"""The agent's metrics: their names, their values, and that they never stand in its way."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from edge.agent import Agent
from edge.capture import Capture
from edge.capture_stats import CaptureStats
from edge.metrics import EdgeMetrics, metric_families, serve_metrics
from edge.publisher import SpoolPublisher
from edge.sensor_report import Running
from edge.settings import EdgeSettings, MetricsSettings
from edge.sources import AudioClip, SourceItem
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.errors import UnavailableError
from shared.messages.sensor import StateMessage
from shared.mqtt.session import Acknowledged, Connected, Disconnected, Received
from shared.mqtt.topics import INTAKE_CLOSED, INTAKE_OPEN, HubTopic
from shared.settings import load_settings
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import accepts, eventually

CAP = 10**6


class Broker:
    """Takes everything."""

    def __init__(self) -> None:
        self.mid = 0

    def publish(self, *_: object, **__: object) -> int:
        self.mid += 1
        return self.mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """No message arrives unless a test sends one."""

    def rival(self) -> None:
        """No other client is here."""

    def settled(self) -> None:
        """Nothing grows here."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    spool = Spool(tmp_path / "s.db", CAP)
    yield Running(CaptureStats(), spool, SpoolPublisher(Broker(), spool, resend_window_s=60.0, patience_s=60.0))
    spool.close()


def metrics_of(running: Running) -> EdgeMetrics:
    return EdgeMetrics(
        StateMessage(
            site="demo",
            sensor="corner",
            boot="b",
            state="ready",
            source="synthetic",
            payload_format="flac",
            software="earwitness-edge 1",
            started_at=datetime.now(UTC),
        ),
        running,
        lambda: 0,
    )


def scrape(running: Running) -> str:
    registry = CollectorRegistry()
    registry.register(metrics_of(running))
    return generate_latest(registry).decode()


def values(text: str) -> dict[str, float]:
    """By name, without the prefix."""
    return {
        sample.name.removeprefix("earwitness_edge_"): sample.value
        for family in classic(text)
        for sample in family.samples
    }


def test_all_is_zero_before_anything_happened_but_what_is_set(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.metrics.clock_status", lambda: "unknown")
    reported = values(scrape(running))
    assert {name: value for name, value in reported.items() if value} == {"info": 1, "spool_limit_bytes": CAP}


def test_what_was_captured_and_what_was_not_is_counted(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.metrics.clock_status", lambda: "synchronised")
    tally = running.tally
    tally.captured, tally.dropped, tally.unreadable, tally.failures, tally.last_captured_s = 5, 4, 3, 2, 1e9
    reported = values(scrape(running))
    assert reported["clips_captured_total"] == 5
    assert reported["clips_dropped_total"] == 4
    assert reported["clips_unreadable_total"] == 3
    assert reported["source_failures_total"] == 2
    assert reported["last_clip_timestamp_seconds"] == 1e9
    assert reported["clock_synchronised"] == 1


def test_a_microphone_that_fails_is_counted_each_time(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.capture.REOPEN_S", 0.0)

    class Microphone:
        live, payload_format, description = True, "flac", "a microphone"

        def __init__(self) -> None:
            self.opened = 0

        def clips(self, stop: threading.Event) -> Iterator[SourceItem]:
            assert not stop.is_set()
            self.opened += 1
            if self.opened <= 2:
                raise UnavailableError("unplugged")
            yield AudioClip(np.zeros(80_000, np.float32), 8_000, datetime.now(UTC))

    capture = Capture(
        load_settings(EdgeSettings, None, []), Microphone(), Destination(running.spool, lambda: None), "b"
    )
    capture.run(threading.Event())
    reported = values(scrape(Running(capture.tally, running.spool, running.publisher)))
    assert (reported["source_failures_total"], reported["clips_captured_total"]) == (2, 1)
    assert reported["last_clip_timestamp_seconds"] > 1.7e9


def test_the_spool_empties_as_events_are_published(running: Running) -> None:
    spool, publisher = running.spool, running.publisher
    for event in "ab":
        spool.put(event, "t", bytes(100))
    reported = values(scrape(running))
    assert (reported["spool_events"], reported["spool_bytes"], reported["broker_connected"]) == (2, 200, 0)
    publisher.handle([Connected(session_present=True, epoch=1)], 0.0, 0.0)
    assert publisher.publish_pending(0.0) == 2
    publisher.handle([Acknowledged(mid=1, reason=0, epoch=1)], 1.0, 2e9)
    reported = values(scrape(running))
    assert (reported["spool_events"], reported["spool_bytes"], reported["broker_connected"]) == (1, 200, 1)
    assert (reported["events_published_total"], reported["last_published_timestamp_seconds"]) == (1, 2e9)
    assert publisher.purge(1.0) == 0
    publisher.handle([Acknowledged(mid=-1, reason=0, epoch=1)] * 3, 200.0, 2e9)
    publisher.handle([Acknowledged(mid=-1, reason=0, epoch=1)], 400.0, 2e9)
    publisher.handle([Acknowledged(mid=-1, reason=0, epoch=1)], 600.0, 2e9)
    assert publisher.purge(600.0) == 1
    publisher.handle([Disconnected("gone", 1)], 2.0, 2e9)
    reported = values(scrape(running))
    assert (reported["spool_bytes"], reported["broker_connected"]) == (100, 0)


def test_events_are_reported_as_held_while_no_hub_accepts_them(running: Running) -> None:
    publisher, topic = running.publisher, str(HubTopic("one", "intake"))

    def message_of(payload: bytes) -> Received:
        return Received(topic, payload, mid=0, qos=0, retain=True, content_type=None, epoch=1)

    publisher.handle([Connected(session_present=True, epoch=1), message_of(INTAKE_CLOSED)], 0.0, 0.0)
    publisher.publish_pending(59.0)
    assert values(scrape(running))["publishing_on_hold"] == 0
    publisher.publish_pending(60.0)
    assert values(scrape(running))["publishing_on_hold"] == 1
    publisher.handle([message_of(INTAKE_OPEN)], 61.0, 61.0)
    publisher.publish_pending(61.0)
    assert values(scrape(running))["publishing_on_hold"] == 0


@pytest.mark.timeout(20)
def test_a_scrape_does_not_wait_for_a_disk(running: Running) -> None:
    with running.spool._lock:  # as a writer does until the disk has it
        assert values(scrape(running))["spool_events"] == 0


def test_names_and_labels_follow_the_conventions(running: Running) -> None:
    for family in metrics_of(running).collect():
        assert re.fullmatch(r"earwitness_edge(_[a-z]+)*", family.name), family.name
        assert family.documentation
        for sample in family.samples:
            assert (sample.labels["site"], sample.labels["sensor"]) == ("demo", "corner")
            about = {"software", "source", "form"} if family.type == "info" else set()
            assert set(sample.labels) == {"site", "sensor"} | about
    ran = subprocess.run(
        [program("promtool"), "check", "metrics"], input=scrape(running), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_what_is_described_is_what_is_reported(running: Running) -> None:
    reported = [(one.name, one.type, one.documentation) for one in metrics_of(running).collect()]
    assert reported == [(one.name, one.type, one.documentation) for one in metric_families()]


def ask(port: int, accept: str = "text/plain") -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}, timeout=30).text


def test_they_are_served_meanwhile_as_text_and_as_openmetrics(running: Running) -> None:
    settings = MetricsSettings(port=free_port())
    with serve_metrics(metrics_of(running), settings):
        assert values(ask(settings.port))["clips_captured_total"] == 0
        reported = ask(settings.port, "application/openmetrics-text;version=1.0.0")
        names = {family.name for family in openmetrics(reported)}  # type: ignore[no-untyped-call]
        assert names == {family.name for family in metric_families()}
    assert not accepts(settings.port)


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_where_they_cannot_be_served_a_warning_reports_it(
    running: Running, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = MetricsSettings(port=free_port())
    with (
        serve_metrics(metrics_of(running), settings),
        serve_metrics(metrics_of(running), MetricsSettings(port=settings.port, host=host)),
    ):
        assert values(ask(settings.port))["clips_captured_total"] == 0
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "change metrics.host or metrics.port" in record.message
    assert record.__dict__["port"] == settings.port
    assert record.__dict__["reason"]


def test_the_format_is_the_one_that_a_scraper_wants_most(running: Running) -> None:
    settings = MetricsSettings(port=free_port())
    with serve_metrics(metrics_of(running), settings):
        for wanted in ("application/openmetrics-text", "text/plain"):
            other = {"application/openmetrics-text", "text/plain"} - {wanted}
            accept = f"{other.pop()};version=1.0.0;q=0.2,{wanted};q=0.9"
            answer = httpx.get(f"http://127.0.0.1:{settings.port}/metrics", headers={"Accept": accept}, timeout=30)
            assert answer.headers["Content-Type"].startswith(wanted)


def test_a_sensor_without_the_library_captures_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "edge.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    overrides = (
        "mqtt.port=1",
        "source.speed=1e5",
        "source.max_clips=3",
        "metrics.port=1",
        f"spool.path={tmp_path / 's'}",
    )
    agent, stop = Agent(load_settings(EdgeSettings, None, overrides)), threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop, 0.0))
    thread.start()
    eventually(lambda: agent._capture.tally.captured == 3, 20, "all is captured")
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert "pip install 'earwitness[edge]'" in caplog.text

"""The agent's own metrics: their names, their values, and that they never stand in the way."""

import re
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.metrics import EdgeMetrics, Exposed
from edge.reading import Reading
from edge.settings import MetricsSettings
from hub.embedded import free_port
from tests.processes import EdgeProcess, Mosquitto, eventually, write_embeddings

READING = Reading(
    captured=5,
    dropped=1,
    unreadable=2,
    failures=3,
    published=4,
    spool_events=6,
    spool_bytes=700,
    connected=True,
    held=False,
    synchronised=True,
    captured_s=1e9,
    published_s=None,
)


def metrics_of(reading: Reading = READING) -> EdgeMetrics:
    info = {"software": "earwitness-edge 0", "source": "scene", "form": "flac"}
    return EdgeMetrics(lambda: reading, site="demo", sensor="street-1", spool_cap_bytes=1_000, info=info)


def values(text: str) -> dict[str, float]:
    return {
        one.name.removeprefix("earwitness_edge_"): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def told(reading: Reading) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(metrics_of(reading))
    return values(generate_latest(registry).decode())


def test_what_the_agent_does_is_told() -> None:
    assert told(READING) == {
        "clips_captured_total": 5,
        "clips_dropped_total": 1,
        "clips_unreadable_total": 2,
        "source_failures_total": 3,
        "events_published_total": 4,
        "spool_events": 6,
        "spool_bytes": 700,
        "spool_limit_bytes": 1_000,
        "broker_connected": 1,
        "events_held": 0,
        "clock_synchronised": 1,
        "last_clip_timestamp_seconds": 1e9,
        "info": 1,
    }


def test_a_time_is_told_once_there_is_one() -> None:
    assert told(replace(READING, published_s=2e9))["last_published_timestamp_seconds"] == 2e9


def test_every_series_names_the_sensor_and_every_name_is_as_prometheus_wants_it() -> None:
    for family in metrics_of().collect():
        assert re.fullmatch(r"earwitness_edge(_[a-z]+)*", family.name)
        assert family.documentation
        for one in family.samples:
            assert (one.labels["site"], one.labels["sensor"]) == ("demo", "street-1")


def test_a_port_that_is_taken_does_not_end_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    settings = MetricsSettings(port=free_port())
    with Exposed(metrics_of(), settings), Exposed(metrics_of(), settings):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/metrics", timeout=5).read()
        assert values(answer.decode())["clips_captured_total"] == 5
    assert "metrics are not told: correct metrics.host or metrics.port" in caplog.text
    with Exposed(metrics_of(), settings):
        pass
    assert caplog.text.count("metrics are not told") == 1, "the port is free again"


def test_an_agent_tells_what_waits_while_the_broker_is_away_and_what_it_published(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    mosquitto.kill()
    port = free_port()
    data = write_embeddings(tmp_path / "some.npz", 12)
    source = ("source.kind=embeddings", f"source.path={data}", "source.speed=1000", "source.loop=true")
    edge = EdgeProcess(tmp_path / "edge", mosquitto.port, "sensor.name=told", *source, f"metrics.port={port}")

    def now() -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return values(answer.read().decode())
        except OSError:
            return {}

    try:
        eventually(lambda: now().get("spool_events", 0) > 20, 30, "events wait")
        away = now()
        assert away["broker_connected"] == 0
        assert away["events_published_total"] == 0
        assert away["spool_bytes"] > 20 * 1_280
        mosquitto.start()
        eventually(lambda: now().get("broker_connected") == 1, 30, "the broker is back")
        assert now()["events_held"] == 0
    finally:
        edge.kill()

"""A real sensor is scraped, while the broker is away, there, and without a hub that takes events."""

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.events import Event
from shared.messages.event import decode_event
from shared.mqtt.session import Connected, MqttSession, Received
from shared.mqtt.topics import ALL_EVENTS, INTAKE_CLOSED, HubTopic
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import Broker, EdgeProcess, Rumqttd, accepts, eventually, write_embeddings

pytestmark = pytest.mark.e2e

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def scrape(port: int) -> dict[str, float]:
    """A sensor's metrics now, by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def listening(edge: EdgeProcess) -> set[str]:
    """Addresses on which a sensor waits for connections."""
    return _sockets(edge, "-Hltnp", column=3)


def connected(edge: EdgeProcess) -> set[str]:
    """Addresses to which a sensor is connected."""
    return _sockets(edge, "-Htnp", column=4)


def _sockets(edge: EdgeProcess, which: str, column: int) -> set[str]:
    ran = subprocess.run([program("ss"), which], capture_output=True, text=True, check=True)
    return {line.split()[column] for line in ran.stdout.splitlines() if f"pid={edge.process.pid}," in line}


def listener(broker: Broker, on_event: Callable[[Event], object] = lambda _: None) -> MqttSession:
    """Takes all events, as a hub does: a sensor keeps what no hub takes."""

    def on_signal(signal: object) -> None:
        if isinstance(signal, Connected):
            link.subscribe(ALL_EVENTS)
        if isinstance(signal, Received):
            on_event(decode_event(signal.payload))
            link.acknowledge(signal)

    link = MqttSession(broker.settings, "listener", on_signal=on_signal)
    link.start()
    return link


def endless(folder: Path) -> tuple[str, ...]:
    data = write_embeddings(folder / "embeddings.npz", 20)
    return ("source.kind=embeddings", f"source.path={data}", "source.loop=true", "source.speed=200")


def test_a_sensor_exports_what_waits_what_was_sent_and_whether_any_hub_accepts_it(tmp_path: Path) -> None:
    program("ss")
    broker, port = Rumqttd(tmp_path / "broker"), free_port()
    own = (f"metrics.port={port}", "spool.hold_after_s=0", "spool.resend_window_s=0")
    edge = EdgeProcess(tmp_path / "edge", broker.port, *endless(tmp_path), *own)
    link = listener(broker)

    def now(name: str) -> float:
        return scrape(port)[f"earwitness_edge_{name}"]

    try:
        eventually(lambda: accepts(port), 30, "metrics are served")
        assert listening(edge) == {f"127.0.0.1:{port}"}
        documented = re.findall(r"\| `(earwitness_edge_\w+)`", REFERENCE.read_text())
        assert set(documented) - set(scrape(port)) <= {
            "earwitness_edge_temperature_celsius",  # not every machine has these
            "earwitness_edge_under_voltage",
        }
        assert set(scrape(port)) <= set(documented)
        eventually(lambda: now("spool_events") > 20, 30, "events wait while the broker is away")
        assert (
            now("broker_connected") == now("events_published_total") == now("last_published_timestamp_seconds") == 0
        )
        assert 20 * 1_280 < now("spool_bytes") < now("spool_limit_bytes")
        assert now("last_clip_timestamp_seconds") > 1.7e9
        broker.start()
        eventually(lambda: now("broker_connected") == 1, 30, "the broker is there")
        eventually(lambda: now("events_published_total") > 20, 30, "events are published")
        eventually(lambda: now("spool_events") < 20, 30, "the spool empties")
        assert now("publishing_on_hold") == 0
        eventually(lambda: link.connected, 30, "the listener is there, too")
        link.publish(str(HubTopic("hub", "intake")), INTAKE_CLOSED, retain=True)
        eventually(lambda: now("publishing_on_hold") == 1, 30, "events are held")
        waiting = now("spool_events")
        eventually(lambda: now("spool_events") > waiting + 20, 30, "they wait again")
        broker.kill()
        eventually(lambda: now("broker_connected") == 0, 30, "the broker is away again")
        edge.process.send_signal(signal.SIGTERM)
        assert edge.finish()["dropped"] == 0
        assert not accepts(port)
    finally:
        edge.kill()
        link.stop()
        broker.stop()


def test_a_port_that_is_taken_does_not_keep_a_sensor_from_listening(tmp_path: Path, broker: Broker) -> None:
    link = listener(broker)
    data = write_embeddings(tmp_path / "embeddings.npz", 20)
    with socket.create_server(("127.0.0.1", 0)) as other:
        edge = EdgeProcess(
            tmp_path / "edge",
            broker.port,
            *("source.kind=embeddings", f"source.path={data}", "source.speed=1000", "log.format=json"),
            f"metrics.port={other.getsockname()[1]}",
        )
        summary = edge.finish()
    link.stop()
    assert (summary["captured"], summary["published"]) == (20, 20)
    (warning,) = [line for line in map(json.loads, edge.log.read_text().splitlines()) if "metrics" in line["text"]]
    assert (warning["level"], warning["reason"]) == ("warning", "Address already in use")


def test_a_sensor_listens_on_no_port_unless_one_is_set(tmp_path: Path, broker: Broker) -> None:
    program("ss")
    link = listener(broker)
    edge = EdgeProcess(tmp_path / "edge", broker.port, *endless(tmp_path))
    try:
        eventually(lambda: f"127.0.0.1:{broker.port}" in connected(edge), 30, "it is connected")
        assert listening(edge) == set()
    finally:
        edge.kill()
        link.stop()

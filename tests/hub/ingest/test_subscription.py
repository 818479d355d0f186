"""Brokers that cannot carry a network: what `check`, a hub and a sensor report of each, and that nothing is lost."""

import json
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge.diagnostics import run_checks as examine_edge
from edge.settings import EdgeSettings
from hub.app.hub import Hub
from hub.diagnostics import run_checks
from hub.ingest import event_subscription
from hub.ingest.backlog import Backlog
from hub.ingest.consumer import MqttConsumer
from hub.ingest.event_subscription import Subscriber
from hub.metrics.definitions import HubMetrics
from hub.monitoring import heartbeat
from hub.settings import HubSettings
from shared.mqtt.diagnostics import NEEDED
from shared.mqtt.session import MqttSession
from shared.mqtt.signals import Connected, Received, Subscribed
from shared.mqtt.topics import shared_beats, shared_event_subscription
from shared.settings import load_settings
from tests.brokers import Behaviour, FaultyBroker
from tests.fake_receivers import receiving
from tests.hub.ingest.test_consumer import Recorder
from tests.ports import free_port
from tests.server_processes import Broker, EdgeProcess, HubProcess, Store, eventually

pytestmark = pytest.mark.e2e

REFUSALS = {
    "CONNACK states that there are no shared subscriptions": (Behaviour(shared=False), "no shared subscriptions"),
    "SUBACK 0x9E": (Behaviour(suback={"$share": 0x9E}), "no shared subscriptions"),
    "SUBACK 0x87": (Behaviour(suback={"$share": 0x87}), "ACL"),
    "SUBACK 0x80": (Behaviour(suback={"$share": 0x80}), "reason 0x80"),
    "QoS 0 at most": (Behaviour(suback={"$share": 0}), "QoS 0 only"),
}


@contextmanager
def broken(behaviour: Behaviour) -> Iterator[FaultyBroker]:
    made = FaultyBroker(behaviour)
    try:
        yield made
    finally:
        made.stop()


def of_broker(port: int) -> tuple[bool, str]:
    (finding,) = run_checks(load_settings(HubSettings, None, [f"mqtt.port={port}"]), only={"broker"})
    return finding.ok, finding.text


@pytest.mark.parametrize(("behaviour", "stated"), REFUSALS.values(), ids=REFUSALS)
def test_check_subscribes_as_serve_does_and_reads_the_answer(behaviour: Behaviour, stated: str) -> None:
    with broken(behaviour) as broker:
        ok, text = of_broker(broker.port)
        assert not ok
        assert stated in text


def test_check_notices_a_broker_that_takes_share_for_an_ordinary_topic() -> None:
    with broken(Behaviour()) as broker:
        ok, text = of_broker(broker.port)
        assert not ok
        assert "an ordinary topic" in text


@pytest.mark.parametrize("kind", ["broker", "mosquitto"])
def test_check_takes_nothing_from_a_hub_and_leaves_the_broker_well(kind: str, request: pytest.FixtureRequest) -> None:
    broker: Broker = request.getfixturevalue(kind)
    hub, sensor = MqttSession(broker.settings, "hub"), MqttSession(broker.settings, "sensor")
    for link in (hub, sensor):
        link.start()
        assert isinstance(link.signals.get(timeout=20), Connected)
    hub.subscribe(shared_event_subscription("hubs"))
    assert isinstance(hub.signals.get(timeout=20), Subscribed)
    for number in range(5):
        ok, text = of_broker(broker.port)
        assert ok, text
        sensor.publish("earwitness/v1/demo/street-1/event", str(number).encode())
        received = hub.signals.get(timeout=20)
        assert isinstance(received, Received)
        assert received.payload == str(number).encode()
        hub.acknowledge(received)
    for link in (hub, sensor):
        link.stop()


@pytest.mark.parametrize(("behaviour", "stated"), REFUSALS.values(), ids=REFUSALS)
def test_a_hub_whose_subscription_is_refused_reports_it_and_is_not_healthy(
    tmp_path: Path, store: Store, behaviour: Behaviour, stated: str
) -> None:
    with broken(behaviour) as broker:
        hub = HubProcess(tmp_path / "hub", broker.port, store.url)
        hub.launch()
        try:
            eventually(lambda: stated in " ".join(problems(hub)), 60, "healthz reports")
            log = (hub.folder / "log").read_text()
            assert stated in log
            assert "the broker sends no events" in log
            assert broker.payloads("/intake")[-1] == b"closed"
        finally:
            hub.stop()


def problems(hub: HubProcess) -> list[str]:
    """What `healthz` reports; nothing while it does not answer."""
    try:
        reported = hub.get("/healthz")
    except urllib.error.HTTPError as error:
        reported = json.load(error)
    except OSError:
        return []
    found = reported["reasons"]
    assert isinstance(found, list)
    assert not (found and reported["ok"])
    return found


def test_a_hub_that_receives_none_of_its_own_heartbeats_is_not_healthy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "KEPT_S", 1)
    with broken(Behaviour()) as broker:
        chosen = [f"mqtt.port={broker.port}", f"redis.url={store.url}", f"web.port={free_port()}"]
        hub = Hub(load_settings(HubSettings, None, [*chosen, "monitoring.heartbeat_interval_s=1"]))
        thread = threading.Thread(target=hub.run, daemon=True)
        thread.start()
        try:
            eventually(lambda: "an ordinary topic" in " ".join(hub.health().reasons), 60, "healthz reports")
            assert not hub.health().ready
            eventually(lambda: shared_beats("hubs", "hub-1") in broker.filters, 20, "heartbeats are asked for")
            eventually(lambda: broker.payloads("/intake")[-1:] == [b"closed"], 20, "its intake is closed")
        finally:
            hub.stop()
            thread.join(30)


@pytest.mark.parametrize("beats", [True, False])
def test_a_subscription_that_is_granted_later_is_noticed(monkeypatch: pytest.MonkeyPatch, beats: bool) -> None:
    monkeypatch.setattr(event_subscription, "ASK_AGAIN_S", 0.1)
    with broken(Behaviour(suback={"$share": 0x87})) as broker:
        subscriber = Subscriber(broker.settings, "one", "hubs", beats)
        intake = MqttConsumer(subscriber, Recorder(), Backlog(10), HubMetrics(CollectorRegistry()))
        thread = threading.Thread(target=intake.run, daemon=True)
        thread.start()
        try:
            eventually(lambda: "ACL" in (intake.problem or ""), 20, "the refusal is noticed")
            assert shared_beats("hubs", "one") not in broker.filters
            broker.behaviour.suback.clear()
            eventually(lambda: intake.problem is None, 20, "the grant is noticed")
            wanted = shared_beats("hubs", "one") if beats else shared_event_subscription("hubs")
            eventually(lambda: wanted in broker.filters, 20, "heartbeats are asked for")
            if not beats:
                eventually(lambda: broker.payloads("/intake")[-1:] == [b""], 20, "what was published is withdrawn")
                assert b"closed" in broker.payloads("/intake")
        finally:
            intake.stop()
            thread.join(20)


OTHERS = {
    "speaks 3.1.1 only": Behaviour(connack=b"\x20\x02\x00\x01"),
    "speaks 3.1.1 only, and reports it in MQTT 5": Behaviour(connack=b"\x20\x03\x00\x84\x00"),
    "hangs up": Behaviour(connack=b""),
    "never answers": Behaviour(silent=True),
    "is a web server": Behaviour(connack=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


@pytest.mark.parametrize("behaviour", OTHERS.values(), ids=OTHERS)
def test_check_states_what_is_needed_of_another_protocol(tmp_path: Path, behaviour: Behaviour) -> None:
    with broken(behaviour) as broker:
        ok, text = of_broker(broker.port)
        assert not ok
        assert NEEDED in text
        assert NEEDED in of_sensor(tmp_path, broker.port)


def of_sensor(folder: Path, port: int) -> str:
    settings = load_settings(EdgeSettings, None, [f"mqtt.port={port}", f"spool.path={folder / 'spool.db'}"])
    (finding,) = [one for one in examine_edge(settings) if one.what == "broker"]
    assert not finding.ok
    return finding.words


def test_check_recognises_a_port_of_websockets(tmp_path: Path) -> None:
    with receiving() as server:
        for text in (of_broker(server.port)[1], of_sensor(tmp_path, server.port)):
            assert "speaks HTTP at this port, as for websockets" in text
            assert NEEDED in text


@pytest.mark.parametrize("behaviour", OTHERS.values(), ids=OTHERS)
def test_a_sensor_states_once_what_is_needed_and_tries_more_and_more_rarely(
    tmp_path: Path, behaviour: Behaviour
) -> None:
    with broken(behaviour) as broker:
        edge = EdgeProcess(tmp_path / "edge", broker.port, "mqtt.max_reconnect_delay_s=0.2")
        try:
            eventually(lambda: broker.connections >= 3, 60, "it tries again")
        finally:
            edge.kill()
        lines = [line for line in edge.log.read_text().splitlines() if "mqtt connection ended" in line]
        assert NEEDED in lines[0]
        assert len(lines) == (2 if behaviour.silent else 1)  # which reports how long it waited, each time longer


def test_a_hub_states_once_what_is_needed(tmp_path: Path, store: Store) -> None:
    with broken(OTHERS["speaks 3.1.1 only"]) as broker:
        hub = HubProcess(tmp_path / "hub", broker.port, store.url)
        hub.launch()
        try:
            eventually(lambda: broker.connections >= 12, 60, "it tries again, on each of its connections")
            lines = [
                line for line in (hub.folder / "log").read_text().splitlines() if "mqtt connection ended" in line
            ]
            assert NEEDED in lines[0]
            assert len(lines) <= 5
        finally:
            hub.stop()

"""The generated certificates and rights, at a real broker: who may connect, and who may publish what."""

import queue
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, get_args

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.diagnostics import run_checks
from edge.settings import EdgeSettings
from hub.deployment.certificate_authority import CLIENT_DAYS, Authority
from hub.settings import HubSettings
from shared.messages.event import EVENT_CAP_BYTES
from shared.mqtt.session import Acknowledged, Connected, Disconnected, MqttEvent, MqttSession, Received
from shared.mqtt.topics import (
    ALL_ALERTS,
    ALL_COMMAND_REPLIES,
    ALL_COMMANDS,
    ALL_EVENTS,
    ALL_STATES,
    AlertTopic,
    HubKind,
    HubTopic,
    SensorStateKind,
    SensorStateTopic,
    SensorTopic,
    shared_event_subscription,
)
from shared.settings import MqttSettings
from tests.deployment import SENSORS, CreatedDeployment, DeploymentBroker, init
from tests.server_processes import eventually

pytestmark = pytest.mark.e2e

NOT_AUTHORISED = 0x87
ONE, TWO = SENSORS


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> CreatedDeployment:
    return CreatedDeployment(tmp_path_factory.mktemp("deployment") / "noise")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, founded: CreatedDeployment) -> Iterator[DeploymentBroker]:
    server = DeploymentBroker(tmp_path_factory.mktemp("broker"), founded)
    server.start()
    yield server
    server.stop()


class Client:
    """A connection for a test."""

    def __init__(self, settings: MqttSettings, name: str = "test") -> None:
        self.link = MqttSession(settings.without_session(), name)
        self.link.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()

    def connected(self) -> bool:
        """Whether the broker accepts us in the end; a busy machine may outlast the limit of a handshake."""
        return any(isinstance(self.link.signals.get(timeout=20), Connected) for _ in range(5))

    def refused(self) -> bool:
        """Whether the broker does not accept us at the first attempt; it may send nothing then."""
        try:
            return not isinstance(self.link.signals.get(timeout=2), Connected)
        except queue.Empty:
            return True

    def publish_code(self, topic: str) -> int:
        """The broker's answer to a message; Mosquitto 2.0.11 sometimes ends a connection after it refused one."""
        eventually(lambda: self.link.connected, 20, "we are connected again")
        mid = self.link.publish(topic, b"event")
        while True:
            match self.next():
                case Acknowledged(mid=answered, reason=reason) if answered == mid:
                    return reason

    def next(self) -> MqttEvent:
        return self.link.signals.get(timeout=20)

    def received(self, least: int = 0) -> list[str]:
        """The topics of what came: a number of messages, then until nothing comes for a moment."""
        topics: list[str] = []
        try:
            while True:
                signal = self.link.signals.get(timeout=20 if len(topics) < least else 0.3)
                if isinstance(signal, Received):
                    topics.append(signal.topic)
        except queue.Empty:
            return topics


def checked(founded: CreatedDeployment, tmp_path: Path, place: str = ONE, /, **other: object) -> tuple[bool, str]:
    """What `earwitness-edge check` finds about the broker."""
    site, name = place.split("/")
    settings = EdgeSettings.model_validate(
        {
            "sensor": {"site": site, "name": name},
            "mqtt": founded.sensor(ONE, **other),
            "spool": {"path": tmp_path / "spool.db"},
        }
    )
    (finding,) = (one for one in run_checks(settings) if one.what == "broker")
    return finding.ok, finding.words


def test_a_sensor_may_publish_its_own_and_nothing_else(founded: CreatedDeployment, broker: DeploymentBroker) -> None:
    assert broker.process is not None
    with Client(founded.client("hub"), "hub") as hub, Client(founded.sensor(ONE)) as sensor:
        assert hub.connected()
        assert sensor.connected()
        hub.link.subscribe(shared_event_subscription("hubs"))
        hub.link.subscribe(ALL_STATES)
        eventually(lambda: sensor.publish_code(f"earwitness/v1/{ONE}/event") == 0, 20, "the hub has subscribed")
        assert sensor.publish_code(f"earwitness/v1/{ONE}/state") == 0
        refused = (f"{TWO}/event", f"{TWO}/state", "harbour/alert", f"{ONE}/other", "harbour/event")
        assert [sensor.publish_code(f"earwitness/v1/{topic}") for topic in refused] == [NOT_AUTHORISED] * len(refused)
        assert set(hub.received(2)) == {f"earwitness/v1/{ONE}/event", f"earwitness/v1/{ONE}/state"}


def test_a_sensor_receives_whether_hubs_accept_events_and_nothing_else(
    founded: CreatedDeployment, broker: DeploymentBroker
) -> None:
    assert broker.process is not None
    with Client(founded.sensor(ONE)) as one, Client(founded.sensor(TWO)) as two, Client(founded.client("hub")) as hub:
        assert one.connected()
        assert two.connected()
        assert hub.connected()
        for topics in (ALL_EVENTS, ALL_STATES, ALL_ALERTS, "#"):
            two.link.subscribe(topics)
        intake = str(HubTopic("hub-1", "intake"))
        eventually(lambda: hub.publish_code(intake) == 0, 20, "two has subscribed")
        assert two.received(1) == [intake]
        one.publish_code(f"earwitness/v1/{ONE}/event")
        hub.publish_code("earwitness/v1/harbour/alert")
        hub.publish_code(str(HubTopic("hub-1", "online")))
        assert two.received() == []
        assert one.publish_code(intake) == NOT_AUTHORISED


def test_a_hub_may_publish_all_it_publishes_and_the_listener_receives_it(
    founded: CreatedDeployment, broker: DeploymentBroker
) -> None:
    assert broker.process is not None
    device = f"{HubSettings().homeassistant.prefix}/device/x/config"
    reported = [
        *(str(SensorStateTopic("harbour", "street-1", kind)) for kind in get_args(SensorStateKind)),
        *(str(HubTopic("hub-1", kind)) for kind in get_args(HubKind)),
        device,
        str(SensorTopic("harbour", "street-1", "state")),
        str(AlertTopic("harbour")),
    ]
    with Client(founded.client("hub"), "h") as hub, Client(founded.client("listener"), "l") as listener:
        assert hub.connected()
        assert listener.connected()
        listener.link.subscribe("#")
        eventually(lambda: hub.publish_code(reported[-1]) == 0, 20, "the listener has subscribed")
        assert [hub.publish_code(topic) for topic in reported] == [0] * len(reported)
        assert hub.publish_code(f"earwitness/v1/{ONE}/event") == 0
        assert set(listener.received(len(reported) + 1)) == set(reported)


def test_alerts_reach_the_listener_who_may_publish_nothing(
    founded: CreatedDeployment, broker: DeploymentBroker
) -> None:
    assert broker.process is not None
    with Client(founded.client("hub"), "h") as hub, Client(founded.client("listener"), "l") as listener:
        assert hub.connected()
        assert listener.connected()
        listener.link.subscribe(ALL_ALERTS)
        eventually(lambda: hub.publish_code("earwitness/v1/harbour/alert") == 0, 20, "the listener has subscribed")
        assert "earwitness/v1/harbour/alert" in listener.received(1)
        assert listener.publish_code("earwitness/v1/harbour/alert") == NOT_AUTHORISED
        assert listener.publish_code(f"earwitness/v1/{ONE}/event") == NOT_AUTHORISED


def test_a_sensor_cannot_take_over_the_session_of_another_or_of_a_hub(
    founded: CreatedDeployment, broker: DeploymentBroker
) -> None:
    assert broker.process is not None
    with Client(founded.client("hub"), "earwitness-hub-hub-1") as hub, Client(founded.sensor(TWO), TWO) as two:
        assert hub.connected()
        assert two.connected()
        for name in ("earwitness-hub-hub-1", TWO):
            with Client(founded.sensor(ONE), name) as thief:
                assert thief.connected()
        assert hub.link.connected
        assert two.link.connected


def test_each_port_takes_certificates_of_its_own_authority_only(
    founded: CreatedDeployment, broker: DeploymentBroker, tmp_path: Path
) -> None:
    assert broker.process is not None
    ca, now = founded.folder / "ca", datetime.now(UTC)
    sensors = Authority.read(ca / "sensors.crt", ca / "sensors.key", ca / "sensors.crl")
    forged = sensors.issue("hub", now)
    foreign = Authority.create("Earwitness sensors", now).issue(ONE, now)
    expired = sensors.issue(ONE, now - timedelta(days=CLIENT_DAYS + 1))
    files = {}
    for name, issued in {"forged": forged, "foreign": foreign, "expired": expired}.items():
        (tmp_path / f"{name}.crt").write_bytes(issued.certificate)
        (tmp_path / f"{name}.key").write_bytes(issued.key)
        files[name] = {"cert_file": tmp_path / f"{name}.crt", "key_file": tmp_path / f"{name}.key"}
    for settings in (
        founded.client("hub", **files["forged"]),
        founded.sensor(ONE, port=founded.ports["hubs"]),
        founded.client("hub", port=founded.ports["sensors"]),
        founded.sensor(ONE, **files["foreign"]),
        founded.sensor(ONE, **files["expired"]),
        founded.sensor(ONE, cert_file=None, key_file=None),
    ):
        with Client(settings) as client:
            assert client.refused()
    publish_code = {name: checked(founded, tmp_path, **files[name])[1] for name in ("foreign", "expired")}
    assert "it was not made by the authority" in publish_code["foreign"]
    assert "refuses our certificate: it has expired" in publish_code["expired"]


def test_a_client_refuses_a_broker_that_is_another(
    founded: CreatedDeployment, broker: DeploymentBroker, tmp_path: Path
) -> None:
    assert broker.process is not None
    stranger = Authority.create("Earwitness servers", datetime.now(UTC)).certificate_pair().certificate
    (tmp_path / "stranger.crt").write_bytes(stranger)
    ok, words = checked(founded, tmp_path, ca_file=tmp_path / "stranger.crt")
    assert not ok
    assert f"a certificate that {tmp_path / 'stranger.crt'} did not make" in words
    assert "correct mqtt.ca_file" in words
    ok, words = checked(founded, tmp_path, host="127.0.0.2")
    assert not ok
    assert "not for 127.0.0.2: correct mqtt.host" in words


def test_check_states_what_is_wrong_with_the_way_to_the_broker(
    founded: CreatedDeployment, broker: DeploymentBroker, tmp_path: Path
) -> None:
    assert broker.process is not None
    ok, words = checked(founded, tmp_path)
    assert ok, words
    assert f"which lets {ONE} publish" in words
    for other, sentence in (
        ({"host": "nowhere.invalid"}, "the name nowhere.invalid is unknown here; correct mqtt.host"),
        ({"port": 1}, "nothing listens there; start it, or correct mqtt.host and mqtt.port"),
        ({"cert_file": None, "key_file": None}, "refuses our certificate: it is missing: set mqtt.cert_file"),
        ({"port": founded.ports["hubs"]}, "was not made by the authority that it trusts at this port"),
        (
            {"tls": False, "ca_file": None, "cert_file": None, "key_file": None},
            "speaks TLS at this port: set mqtt.tls = true",
        ),
    ):
        ok, words = checked(founded, tmp_path, **other)
        assert not ok
        assert sentence in words


def test_check_states_when_the_certificate_is_another_sensors(
    founded: CreatedDeployment, broker: DeploymentBroker, tmp_path: Path
) -> None:
    assert broker.process is not None
    ok, words = checked(founded, tmp_path, TWO)
    assert not ok
    assert f"the broker does not let {TWO} publish (reason 135)" in words
    assert "must be this sensor's" in words


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_a_message_that_is_too_large_is_cut_off_and_the_largest_event_is_not(
    founded: CreatedDeployment, broker: DeploymentBroker, version: MQTTProtocolVersion
) -> None:
    assert broker.process is not None
    settings = founded.sensor(ONE)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False)
    client.tls_set(str(settings.ca_file), str(settings.cert_file), str(settings.key_file))
    gone = threading.Event()
    client.on_disconnect = lambda *_: gone.set()
    client.connect("localhost", settings.port)
    client.loop_start()
    try:
        client.publish(f"earwitness/v1/{ONE}/event", bytes(EVENT_CAP_BYTES), qos=1).wait_for_publish(20)
        assert not gone.is_set()
        client.publish(f"earwitness/v1/{ONE}/event", bytes(EVENT_CAP_BYTES + 2**20), qos=1)
        assert gone.wait(20)
    finally:
        client.loop_stop()


def test_a_sensor_that_was_shut_out_stays_out_and_the_others_stay_in(tmp_path: Path) -> None:
    founded = CreatedDeployment(tmp_path / "noise")
    server = DeploymentBroker(tmp_path / "broker", founded)
    server.start()
    try:
        with Client(founded.sensor(ONE)) as client:
            assert client.connected()
        code, printed = init(str(founded.folder), "--revoke", ONE)
        assert code == 0
        assert "sensors.crl" in printed
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "revoked" in checked(founded, tmp_path)[1], 20, "the broker has read its list again")
        with Client(founded.sensor(TWO)) as client:
            assert client.connected()
        assert init(str(founded.folder), "--sensor", ONE, "--renew")[0] == 0
        with Client(founded.sensor(ONE)) as client:
            assert client.connected()
    finally:
        server.stop()


def test_new_certificates_of_the_servers_are_taken_by_all(tmp_path: Path) -> None:
    founded = CreatedDeployment(tmp_path / "noise")
    before = (founded.folder / "mosquitto" / "broker.crt").read_bytes()
    assert init(str(founded.folder), "--renew")[0] == 0
    assert (founded.folder / "mosquitto" / "broker.crt").read_bytes() != before
    server = DeploymentBroker(tmp_path / "broker", founded)
    server.start()
    try:
        for settings in (founded.sensor(ONE), founded.client("hub"), founded.client("listener")):
            with Client(settings) as client:
                assert client.connected()
    finally:
        server.stop()


def test_a_broker_that_is_not_one_is_reported(
    founded: CreatedDeployment, broker: DeploymentBroker, tmp_path: Path
) -> None:
    assert broker.process is not None
    settings = EdgeSettings.model_validate(
        {"mqtt": {"port": founded.ports["hubs"]}, "spool": {"path": tmp_path / "spool.db"}}
    )
    (finding,) = (one for one in run_checks(settings) if one.what == "broker")
    assert not finding.ok
    with Client(founded.sensor(ONE, port=1)) as client:
        assert isinstance(client.next(), Disconnected)


def test_only_hubs_send_commands_and_each_sensor_reads_its_own(
    founded: CreatedDeployment, broker: DeploymentBroker
) -> None:
    assert broker.process is not None
    with (
        Client(founded.client("hub"), "hub") as hub,
        Client(founded.client("listener"), "listener") as listener,
        Client(founded.sensor(ONE)) as one,
        Client(founded.sensor(TWO)) as two,
    ):
        for client in (hub, listener, one, two):
            assert client.connected()
        to_one, from_one = f"earwitness/v1/{ONE}/command", f"earwitness/v1/{ONE}/command-reply"
        one.link.subscribe(to_one)
        for topics in (ALL_COMMANDS, ALL_COMMAND_REPLIES, to_one, from_one):
            two.link.subscribe(topics)
            listener.link.subscribe(topics)
        hub.link.subscribe(ALL_COMMAND_REPLIES)
        eventually(lambda: hub.publish_code(to_one) == 0, 20, "the sensor has subscribed")
        assert one.received(1) == [to_one]
        eventually(lambda: one.publish_code(from_one) == 0, 20, "the hub has subscribed")
        assert hub.received(1) == [from_one]
        assert two.received() == listener.received() == []
        assert [two.publish_code(topic) for topic in (to_one, from_one)] == [NOT_AUTHORISED] * 2
        assert [listener.publish_code(topic) for topic in (to_one, from_one)] == [NOT_AUTHORISED] * 2
        assert one.publish_code(to_one) == NOT_AUTHORISED

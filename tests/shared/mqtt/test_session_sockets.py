"""The connection with real sockets: nothing that a name, a packet or an owner does ends it for good."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from shared.errors import UnavailableError
from shared.mqtt.session import Acknowledged, Connected, Disconnected, MqttEvent, MqttSession, publish_bytes
from shared.settings import MqttSettings
from tests.brokers import Behaviour, FaultyBroker
from tests.server_processes import eventually

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def broker() -> Iterator[FaultyBroker]:
    made = FaultyBroker()
    yield made
    made.stop()


def until(link: MqttSession, kind: type[MqttEvent]) -> MqttEvent:
    while not isinstance(signal := link.signals.get(timeout=20), kind):
        pass
    return signal


@pytest.mark.parametrize("host", ["broker..example", ".broker", "x" * 70, "", "[::1]", "mqtt://broker", "a b"])
def test_a_host_name_that_is_none_ends_attempts_and_never_the_link(host: str) -> None:
    link = MqttSession(MqttSettings(host=host, max_reconnect_delay_s=0.01), "some-client")
    link.start()
    try:
        for _ in range(3):
            ended = until(link, Disconnected)
            assert isinstance(ended, Disconnected)
            assert ended.reason.startswith("cannot ")
    finally:
        link.stop()


def test_files_that_vanish_while_it_runs_end_attempts_and_never_the_link(
    tmp_path_factory: pytest.TempPathFactory, broker: FaultyBroker
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text("s3cret")
    settings = broker.settings.model_copy(update={"username": "me", "password_file": secret})
    link = MqttSession(settings, "some-client")
    secret.unlink()
    link.start(owner_resends=True)
    try:
        ended = until(link, Disconnected)
        assert isinstance(ended, Disconnected)
        assert "password_file" in ended.reason
        assert "s3cret" not in ended.reason
        secret.write_text("s3cret")
        until(link, Connected)
    finally:
        link.stop()


MALFORMED = {
    "a topic that is not UTF-8": b"\x30\x05\x00\x01\xff\x00x",
    "a PUBACK with an unknown reason": b"\x40\x04\x00\x01\x77\x00",
    "a packet of no kind": b"\x00\x00",
    "a PUBLISH cut short": b"\x30\x01\x00",
    "a CONNACK once more": b"\x20\x03\x00\x77\x00",
    "properties that are none": b"\x30\x06\x00\x01a\x02\xfe\xfe",
}


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("owner_resends", [True, False])
def test_a_packet_that_cannot_be_read_ends_one_connection_at_most(packet: bytes, owner_resends: bool) -> None:
    broker = FaultyBroker(Behaviour(after_connack=[packet]))
    link = MqttSession(broker.settings, "some-client")
    link.start(owner_resends=owner_resends)
    try:
        until(link, Connected)

        def delivered() -> bool:  # which needs a connection that works
            with contextlib.suppress(UnavailableError):
                link.publish("a/b", b"x")
            signals = [link.signals.get_nowait() for _ in range(link.signals.qsize())]
            return any(isinstance(signal, Acknowledged) for signal in signals)

        eventually(delivered, 20, "a message is acknowledged")
        assert b"x" in broker.payloads()
    finally:
        link.stop()
        broker.stop()


def test_an_owner_that_fails_to_take_signals_does_not_end_the_link(broker: FaultyBroker) -> None:
    def fail(signal: MqttEvent) -> None:
        raise RuntimeError(signal)

    link = MqttSession(broker.settings, "some-client", on_signal=fail)
    link.start()
    try:
        for count in (1, 2, 3):
            eventually(lambda: link.connected, 20, "it is up")
            eventually(lambda count=count: broker.connections >= count, 20, "it came back")  # type: ignore[misc]
            broker.cut()
            eventually(lambda: not link.connected or broker.connections > count, 20, "it noticed")  # noqa: B023
    finally:
        link.stop()


def test_the_limits_of_the_broker_are_reported() -> None:
    broker = FaultyBroker(Behaviour(maximum_packet=131_072, receive_maximum=7))
    link = MqttSession(broker.settings, "some-client")
    link.start()
    try:
        up = until(link, Connected)
        assert isinstance(up, Connected)
        assert (up.maximum_packet, up.receive_maximum) == (131_072, 7)
    finally:
        link.stop()
        broker.stop()


@pytest.mark.parametrize("size", [0, 1, 90, 100, 110, 127, 128, 16_000, 16_383, 16_384, 70_000, 2_097_152])
@pytest.mark.parametrize("content_type", [None, "application/cbor"])
def test_the_size_of_a_message_is_what_travels(broker: FaultyBroker, size: int, content_type: str | None) -> None:
    link = MqttSession(broker.settings, "some-client")
    link.start(owner_resends=True)
    try:
        until(link, Connected)
        payload = bytes(size)
        link.publish("earwitness/v1/demo/größe/event", payload, content_type=content_type)
        until(link, Acknowledged)
        assert broker.sizes[payload] == publish_bytes("earwitness/v1/demo/größe/event", size, content_type)
    finally:
        link.stop()


def test_an_owner_that_resends_decides_alone_what_goes_out_again() -> None:
    broker = FaultyBroker(Behaviour(hangs_up=lambda payload: payload == b"bad"))
    link = MqttSession(broker.settings, "some-client")
    link.start(owner_resends=True)
    mids = []
    try:
        for _ in range(3):
            until(link, Connected)
            mids.append(link.publish("t", b"bad"))
            until(link, Disconnected)
        until(link, Connected)
        mids.append(link.publish("t", b"good"))
        answer = until(link, Acknowledged)
        assert isinstance(answer, Acknowledged)
        assert answer.mid == mids[-1]
        assert len(set(mids)) == 4
        assert broker.payloads() == [b"good"]
    finally:
        link.stop()
        broker.stop()


def test_a_session_that_another_client_takes_over_is_reported_as_that(broker: FaultyBroker) -> None:
    first, second = MqttSession(broker.settings, "twin"), MqttSession(broker.settings, "twin")
    first.start(owner_resends=True)
    until(first, Connected)
    second.start(owner_resends=True)
    try:
        ended = until(first, Disconnected)
        assert isinstance(ended, Disconnected)
        assert ended.code == 0x8E
    finally:
        first.stop()
        second.stop()


def test_it_stops_at_any_moment(broker: FaultyBroker) -> None:
    for number in range(30):
        link = MqttSession(broker.settings, f"client-{number}")
        link.start(owner_resends=number % 2 == 0)
        threading.Event().wait(number * 0.001)
        link.stop()
        assert not link._loop.worker._thread.is_alive()

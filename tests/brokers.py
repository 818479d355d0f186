"""A small MQTT 5 broker with the limits and faults of real ones, for tests of what our side does about them."""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.settings import MqttSettings

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 1, 2, 3, 4, 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
PACKET_TOO_LARGE, SESSION_TAKEN_OVER = 0x95, 0x8E


@dataclass
class Behaviour:
    """What this broker does otherwise than a perfect one.

    Attributes:
        maximum_packet: larger packets end the connection.
        reported: whether CONNACK states the limit.
        says_why: whether a DISCONNECT states the reason before the connection ends.
        receive_maximum: stated in CONNACK.
        hangs_up: payloads at which the connection just ends.
        after_connack: bytes sent after the first CONNACKs, one each.
        connack: what is sent instead of CONNACK, after which the connection ends; b"" hangs up.
        silent: nothing is ever answered.
        shared: what CONNACK states of shared subscriptions; None: nothing.
        suback: reason by filter; the quality of service that was asked for by default.
    """

    maximum_packet: int | None = None
    reported: bool = True
    states_reason: bool = True
    receive_maximum: int | None = None
    hangs_up: Callable[[bytes], bool] = lambda _: False
    after_connack: list[bytes] = field(default_factory=list)
    connack: bytes | None = None
    silent: bool = False
    shared: bool | None = None
    suback: dict[str, int] = field(default_factory=dict)


class FaultyBroker:
    """Accepts connections on a loopback port until `stop`.

    Attributes:
        connections: how many there were.
        taken: topics and payloads of the messages that were acknowledged, in order.
        sizes: bytes of each PUBLISH packet, by payload.
        filters: of all subscriptions that were asked for, in order.

    No message is delivered, so that it is a broker, too, which takes `$share` for an ordinary topic.
    """

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.connections = 0
        self.taken: list[tuple[str, bytes]] = []
        self.sizes: dict[bytes, int] = {}
        self.filters: list[str] = []
        self._sessions: dict[str, socket.socket] = {}
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def settings(self) -> MqttSettings:
        return MqttSettings(port=self.port, max_reconnect_delay_s=0.2)

    def payloads(self, suffix: str = "") -> list[bytes]:
        return [payload for topic, payload in self.taken if topic.endswith(suffix)]

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while self._one(connection):
                pass
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            _end(connection)

    def _one(self, connection: socket.socket) -> bool:
        """Handle one packet; whether the connection goes on."""
        how = self.behaviour
        head, body, size = _packet(connection)
        kind = head >> 4
        if how.silent:
            return True
        if kind == CONNECT:
            return self._handshake(connection, body)
        if how.maximum_packet is not None and size > how.maximum_packet:
            if how.states_reason:
                connection.sendall(_framed(DISCONNECT, bytes([PACKET_TOO_LARGE, 0])))
            return False
        if kind == PUBLISH:
            return self._take_message(connection, head, body, size)
        if kind == SUBSCRIBE:
            topic_filter, qos = _subscribe(body)
            self.filters.append(topic_filter)
            reason = next((code for part, code in how.suback.items() if part in topic_filter), qos)
            connection.sendall(_framed(SUBACK, body[:2] + bytes([0, reason])))
        elif kind == UNSUBSCRIBE:
            connection.sendall(_framed(UNSUBACK, body[:2] + b"\x00\x00"))
        elif kind == PINGREQ:
            connection.sendall(_framed(PINGRESP, b""))
        return kind != DISCONNECT

    def _handshake(self, connection: socket.socket, body: bytes) -> bool:
        how = self.behaviour
        if how.connack is not None:
            connection.sendall(how.connack)
            return False
        self._session(_client_id(body), connection)
        connection.sendall(_framed(CONNACK, self._limits()))
        if how.after_connack:
            connection.sendall(how.after_connack.pop(0))
        return True

    def _limits(self) -> bytes:
        """The body of CONNACK. Source: MQTT 5.0, 3.2.2.3."""
        how, properties = self.behaviour, b""
        if how.maximum_packet is not None and how.reported:
            properties += b"\x27" + struct.pack(">I", how.maximum_packet)
        if how.receive_maximum is not None:
            properties += b"\x21" + struct.pack(">H", how.receive_maximum)
        if how.shared is not None:
            properties += bytes([0x2A, how.shared])
        return bytes([0, 0, len(properties)]) + properties

    def _take_message(self, connection: socket.socket, head: int, body: bytes, size: int) -> bool:
        topic, mid, payload = _publish(head, body)
        self.sizes[payload] = size
        if self.behaviour.hangs_up(payload):
            return False
        self.taken.append((topic, payload))
        if mid is not None:
            connection.sendall(_framed(PUBACK, struct.pack(">H", mid)))
        return True

    def _session(self, client_id: str, connection: socket.socket) -> None:
        before = self._sessions.get(client_id)
        self._sessions[client_id] = connection
        if before is not None and before in self._open:
            try:
                before.sendall(_framed(DISCONNECT, bytes([SESSION_TAKEN_OVER, 0])))
            finally:
                _end(before)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()


def _take(connection: socket.socket, count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        part = connection.recv(min(65_536, count - len(taken)))
        if not part:
            raise ConnectionError("closed")
        taken += part
    return taken


def _packet(connection: socket.socket) -> tuple[int, bytes, int]:
    """First byte, body and size of a packet. Source: MQTT 5.0, 2.1."""
    head, length, shift, size = _take(connection, 1)[0], 0, 0, 1
    while True:
        byte = _take(connection, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        size += 1
        if byte < 128:
            return head, _take(connection, length), size + length


def _framed(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind << 4, len(body)]) + body


def _client_id(body: bytes) -> str:
    """Source: MQTT 5.0, 3.1: name (6), version, flags, keep alive (2), properties, client id."""
    at = 10
    at += 1 + body[at]  # the properties are short
    (length,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + length].decode()


def _subscribe(body: bytes) -> tuple[str, int]:
    """Source: MQTT 5.0, 3.8: packet id (2), properties, filter, options."""
    at = 3 + body[2]
    (length,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + length].decode(), body[at + 2 + length] & 3


def _publish(head: int, body: bytes) -> tuple[str, int | None, bytes]:
    (length,) = struct.unpack_from(">H", body)
    topic, at, mid = body[2 : 2 + length].decode(), 2 + length, None
    if head >> 1 & 3:
        (mid,) = struct.unpack_from(">H", body, at)
        at += 2
    return topic, mid, body[at + 1 + body[at] :]

"""A thin shell over paho-mqtt 2 for MQTT 5: one connection, kept up; everything that happens becomes a signal.

1. A supervisor thread connects, waits for the end of the connection, backs off with full jitter, connects again.
2. paho's callbacks run in its network thread and do nothing but hand a signal on (paho.mqtt.python#328).
3. Messages are acknowledged by hand, in the caller's order, and only on the connection they came on: packet ids
   are reused by the next one.

Source: MQTT 5.0, 3.1.2.4 (clean start), 3.1.2.11.2 (session expiry), 3.1.2.11.3 (receive maximum), 3.14.2.1
(disconnect reason codes), 4.6.0-2.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shared.errors import Unavailable
from shared.settings import MqttSettings
from shared.tls import tls_context

log = logging.getLogger(__name__)

BACKOFF_START_S: Final = 0.5
PACKET_CAP_BYTES: Final = 16 * 1024 * 1024
"""Largest packet taken where what is under way is limited; the broker drops larger ones.

Source: MQTT 5.0, 3.1.2.11.4.
"""
FAILURE: Final = 0x80
"""Reason codes from here on are failures. Source: MQTT 5.0, 2.4."""
NO_MATCHING_SUBSCRIBERS: Final = 0x10
"""The broker took a message that nobody has subscribed to, and dropped it. Source: MQTT 5.0, 3.4.2.1."""
_NORMALLY, _WITH_WILL = "Normal disconnection", "Disconnect with will message"


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is up; `session_present` tells whether the broker kept our session."""

    session_present: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection, or an attempt at one, ended."""

    reason: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message for one of our subscriptions; QoS 1 ones wait for `Link.acknowledge`.

    `received_s` is when it came, on the clock of `time.monotonic`. `expiry_s` is what was left of its message expiry
    interval when the broker sent it; None if it has none.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool
    content_type: str | None
    epoch: int
    received_s: float = 0.0
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker's PUBACK for a message of ours; `reason` is its MQTT 5 reason code."""

    mid: int
    reason: int
    epoch: int


Signal = Connected | Disconnected | Received | Acknowledged


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us if we vanish; `at_stop`: and also when we leave on purpose."""

    topic: str
    payload: bytes
    retain: bool = True
    at_stop: bool = False


def full_jitter(attempt: int, cap_s: float, draw: Callable[[], float]) -> float:
    """Seconds to wait before attempt number `attempt` (0, 1, ...): uniform in [0, min(cap, 0.5 * 2**attempt)].

    Args:
        attempt: failures so far.
        cap_s: longest wait.
        draw: gives a number in [0, 1).

    Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
    """
    return draw() * min(cap_s, BACKOFF_START_S * 2.0 ** min(attempt, 32))


class Link:
    """One MQTT 5 connection with a persistent session.

    Args:
        settings: where the broker is and how to log in.
        client_id: stable over restarts, so that the broker finds our session again.
        will: published by the broker if we vanish.
        receive_maximum: most unacknowledged messages the broker may have under way to us.
        on_signal: called in the network thread for every signal and must only enqueue; by default signals go
            to the queue `signals`.

    Raises:
        Invalid: TLS files or a password file that cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        will: Will | None = None,
        receive_maximum: int | None = None,
        on_signal: Callable[[Signal], None] | None = None,
    ) -> None:
        self.signals: queue.Queue[Signal] = queue.Queue()
        self._emit = on_signal or self.signals.put
        self._settings = settings
        self._receive_maximum = receive_maximum
        self._epoch = 0
        self._attempt = 0
        self._up = threading.Event()
        self._down = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="mqtt-link", daemon=True)
        self._client = self._make_client(client_id, will)
        self._farewell = ReasonCode(PacketTypes.DISCONNECT, _WITH_WILL if will and will.at_stop else _NORMALLY)

    @property
    def connected(self) -> bool:
        """Whether the connection is up at this moment."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect, in the background, for as long as it takes."""
        self._thread.start()

    def stop(self) -> None:
        """Send DISCONNECT, which cancels the will unless that is `at_stop`, then wait for the threads."""
        self._stopping.set()
        self._open.set()
        self._close()
        if self._thread.is_alive():
            self._thread.join()

    def suspend(self) -> None:
        """Disconnect and stay away until `resume`; the broker keeps our session and its messages."""
        self._open.clear()
        self._close()

    def resume(self) -> None:
        """End a suspension."""
        self._open.set()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 1,
        content_type: str | None = None,
        expiry_s: int | None = None,
    ) -> int:
        """Hand a message to the network thread.

        Returns:
            The message's id; its `Acknowledged` signal follows once the broker has it. A message that the
            connection's end overtakes is sent again by paho on the next one, under the same id.

        Raises:
            Unavailable: not connected.
        """
        if not self.connected:
            raise Unavailable(f"not connected to the broker at {self._settings.host}:{self._settings.port}")
        properties = _properties(PacketTypes.PUBLISH)
        if content_type is not None:
            properties.ContentType = content_type
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        return int(self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties).mid)

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Ask for a subscription; do so after every `Connected`, as the broker may have lost it."""
        self._client.subscribe(topic_filter, qos=qos)

    def unsubscribe(self, topic_filter: str) -> None:
        """Give up a subscription; what waits for us already still comes."""
        self._client.unsubscribe(topic_filter)

    def acknowledge(self, message: Received) -> None:
        """Tell the broker that a received message is ours now; one of an older connection is left alone."""
        if message.qos > 0 and message.epoch == self._epoch and self.connected:
            self._client.ack(message.mid, message.qos)

    def _make_client(self, client_id: str, will: Will | None) -> paho.Client:
        settings = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.secret())
        if settings.tls:
            client.tls_set_context(tls_context(settings))
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        return client

    def _supervise(self) -> None:
        while True:
            self._open.wait()
            if self._stopping.is_set():
                return
            self._epoch += 1
            self._down.clear()
            try:
                self._connect_once()
            except OSError as error:
                self._ended(f"cannot reach the broker: {error}")
            if self._open.is_set():  # else we left on purpose, and return as soon as we are let
                self._stopping.wait(full_jitter(self._attempt, self._settings.reconnect_cap_s, random.random))
                self._attempt += 1

    def _connect_once(self) -> None:
        """Connect and return when the connection has ended."""
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        if self._receive_maximum is not None:
            properties.ReceiveMaximum = self._receive_maximum
            properties.MaximumPacketSize = PACKET_CAP_BYTES
        self._client.connect(
            self._settings.host,
            self._settings.port,
            keepalive=self._settings.keepalive_s,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()
        self._down.wait()
        self._client.loop_stop()

    def _close(self) -> None:
        self._client.disconnect(reasoncode=self._farewell)
        if not self._up.is_set():
            self._down.set()

    def _ended(self, reason: str) -> None:
        self._up.clear()
        self._emit(Disconnected(reason=reason, epoch=self._epoch))
        log.log(
            logging.INFO if self._stopping.is_set() or not self._open.is_set() else logging.WARNING,
            "mqtt connection ended",
            extra={"reason": reason},
        )

    # paho's callbacks: they run in the network thread and only hand signals on.

    def _on_connect(
        self, _client: paho.Client, _data: object, flags: paho.ConnectFlags, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self._ended(f"the broker refused the connection: {code}")
            self._down.set()
            return
        self._attempt = 0
        self._up.set()
        self._emit(Connected(session_present=flags.session_present, epoch=self._epoch))

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if self._up.is_set():
            self._ended(str(code))
        elif not self._down.is_set():  # as one does that refuses our certificate
            self._ended(f"the broker ended the connection before it let us in: {code}")
        self._down.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._emit(
            Received(
                topic=message.topic,
                payload=bytes(message.payload),
                mid=message.mid,
                qos=message.qos,
                retain=message.retain,
                content_type=getattr(message.properties, "ContentType", None),
                epoch=self._epoch,
                received_s=time.monotonic(),
                expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
            )
        )

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        self._emit(Acknowledged(mid=mid, reason=code.value, epoch=self._epoch))


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call] # paho leaves this constructor untyped

"""Additions to paho-mqtt 2: a client that reports the end of its network thread, properties, and signals."""

import logging
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from shared.mqtt.signals import Connected, LastWill, Received
from shared.mqtt.tls import tls_context
from shared.settings import MqttSettings

log = logging.getLogger(__name__)

PACKET_CAP_BYTES: Final = 16 * 1024 * 1024
"""Maximum packet size that a client with a receive maximum announces; the broker drops larger packets.

Source: MQTT 5.0, 3.1.2.11.4.
"""


class SupervisedClient(paho.Client):
    """paho's client, which calls `on_end` whenever its network thread ends.

    A packet that paho cannot read raises in that thread (paho.mqtt.python#704). paho does not report this.
    """

    on_end: Callable[[str], None]

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Run the connection until it ends, then call `on_end` with the reason."""
        reason = "the connection ended"
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:
            reason = f"the network thread failed: {type(error).__name__}: {error}"
            log.exception("mqtt network thread failed")
            return MQTTErrorCode.MQTT_ERR_UNKNOWN
        finally:
            self.on_end(reason)

    def _packet_queue(
        self,
        command: int,
        packet: bytes | bytearray,
        mid: int,
        qos: int,
        info: paho.MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        """Queue a packet, also while another thread starts the next network thread.

        `loop_start` replaces the pair of sockets by which paho wakes its network thread. A packet is queued before
        paho writes to the pair, so that the network thread sends it although that write fails.
        """
        try:
            return super()._packet_queue(command, packet, mid, qos, info)
        except OSError as error:
            log.debug("mqtt packet queued without waking the network thread", extra={"reason": str(error)})
            return MQTTErrorCode.MQTT_ERR_SUCCESS


def make_client(settings: MqttSettings, client_id: str, will: LastWill | None, first_id: int) -> SupervisedClient:
    """Return a client that is not connected yet, without callbacks.

    Args:
        settings: address and login of the broker.
        client_id: client id of the session.
        will: message that the broker publishes if this client vanishes.
        first_id: kept as the client's user data; a multiple of 2**16, to which message ids are added.

    Raises:
        InvalidError: TLS files or a password file that cannot be used.
    """
    client = SupervisedClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata=first_id,
        protocol=paho.MQTTv5,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.resolve_password())
    if settings.tls:
        client.tls_set_context(tls_context(settings))
    if will is not None:
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
    return client


def connect_properties(session_expiry_s: int, receive_maximum: int | None) -> Properties:
    """Return the properties of a CONNECT packet; a client with a receive maximum also limits the packet size."""
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry_s
    if receive_maximum is not None:
        properties.ReceiveMaximum = receive_maximum
        properties.MaximumPacketSize = PACKET_CAP_BYTES
    return properties


def publish_properties(content_type: str | None, expiry_s: int | None) -> Properties:
    """Return the properties of a PUBLISH packet; None leaves a property out."""
    properties = _properties(PacketTypes.PUBLISH)
    if content_type is not None:
        properties.ContentType = content_type
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    return properties


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call] # paho leaves this constructor untyped


def connected_signal(flags: paho.ConnectFlags, properties: object, epoch: int) -> Connected:
    """Return the signal of a CONNACK packet with its flags and properties."""
    return Connected(
        session_present=flags.session_present,
        epoch=epoch,
        maximum_packet=getattr(properties, "MaximumPacketSize", None),
        receive_maximum=getattr(properties, "ReceiveMaximum", None),
        shared_subscriptions=bool(getattr(properties, "SharedSubscriptionAvailable", 1)),
    )


def received_signal(message: paho.MQTTMessage, epoch: int) -> Received:
    """Return the signal of a message that is received now."""
    return Received(
        topic=message.topic,
        payload=bytes(message.payload),
        mid=message.mid,
        qos=message.qos,
        retain=message.retain,
        content_type=getattr(message.properties, "ContentType", None),
        epoch=epoch,
        received_s=time.monotonic(),
        expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
    )


def publish_bytes(topic: str, payload_bytes: int, content_type: str | None = None) -> int:
    """Return the size in bytes of a QoS 1 message as `MqttSession.publish` sends it.

    Source: MQTT 5.0, 3.3 (PUBLISH), 1.5.5 (variable byte integer).
    """
    properties = 0 if content_type is None else 3 + len(content_type.encode())
    rest = 2 + len(topic.encode()) + 2 + _varint_bytes(properties) + properties + payload_bytes
    return 1 + _varint_bytes(rest) + rest


def _varint_bytes(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))

"""Additions to paho-mqtt 2: a client that reports the end of its network thread, and the wire size of a message."""

import logging
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

log = logging.getLogger(__name__)


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


def publish_bytes(topic: str, payload_bytes: int, content_type: str | None = None) -> int:
    """Return the size in bytes of a QoS 1 message as `MqttSession.publish` sends it.

    Source: MQTT 5.0, 3.3 (PUBLISH), 1.5.5 (variable byte integer).
    """
    properties = 0 if content_type is None else 3 + len(content_type.encode())
    rest = 2 + len(topic.encode()) + 2 + _varint_bytes(properties) + properties + payload_bytes
    return 1 + _varint_bytes(rest) + rest


def _varint_bytes(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))

"""One MQTT 5 connection over paho-mqtt 2 that reconnects by itself and reports each event as a signal.

1. A worker (`shared.mqtt.connection_loop`) keeps the connection, and emits signals from paho's network thread.
2. The caller acknowledges messages, in its own order, and only on the connection that delivered them: the next
   connection reuses packet ids.

Source: MQTT 5.0, 3.1.2.4 (clean start), 3.1.2.11.2 (session expiry), 3.1.2.11.3 (receive maximum), 3.2.2.3.3 and
3.2.2.3.6 (receive maximum and maximum packet size of the broker), 3.14.2.1 (disconnect reason codes), 4.6.0-2.
"""

import queue
from collections.abc import Callable

from shared.backoff import full_jitter
from shared.errors import UnavailableError
from shared.mqtt.connection_loop import ConnectionLoop
from shared.mqtt.paho_client import publish_bytes, publish_properties
from shared.mqtt.reason_codes import FAILURE, NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER
from shared.mqtt.signals import Acknowledged, Connected, Disconnected, LastWill, MqttEvent, Received, Subscribed
from shared.settings import MqttSettings

__all__ = [
    "FAILURE",
    "NO_MATCHING_SUBSCRIBERS",
    "SESSION_TAKEN_OVER",
    "Acknowledged",
    "Connected",
    "Disconnected",
    "LastWill",
    "MqttEvent",
    "MqttSession",
    "Received",
    "Subscribed",
    "full_jitter",
    "publish_bytes",
]


class MqttSession:
    """One MQTT 5 connection with a persistent session.

    Args:
        settings: address and login of the broker.
        client_id: id that is stable over restarts, so that the broker finds the session again.
        will: message that the broker publishes if this client vanishes.
        receive_maximum: most unacknowledged messages that the broker may have under way to this client.
        on_signal: function called in the network thread for every signal; it must only enqueue, or pause. By default
            signals go to the queue `signals`.

    Raises:
        InvalidError: TLS files or a password file that cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        will: LastWill | None = None,
        receive_maximum: int | None = None,
        on_signal: Callable[[MqttEvent], None] | None = None,
    ) -> None:
        self.signals: queue.Queue[MqttEvent] = queue.Queue()
        self._settings = settings
        self._loop = ConnectionLoop(settings, client_id, will, receive_maximum, on_signal or self.signals.put)

    @property
    def connected(self) -> bool:
        """Return whether the connection is up now."""
        return self._loop.connected

    def start(self, *, owner_resends: bool = False) -> None:
        """Start to connect in the background, and retry until connected.

        Args:
            owner_resends: whether the owner, and not paho, keeps its messages until they are acknowledged and sends
                them again after a reconnection. Message ids are never used twice then. The owner calls `settled`.
        """
        self._loop.start(owner_resends=owner_resends)

    def settled(self) -> None:
        """Record that this connection works, so that the wait after it is short; see `start`."""
        self._loop.backoff.settled()

    def rival(self) -> None:
        """Record that another client uses this client id; the waits grow as after a takeover."""
        self._loop.backoff.rival()

    def stop(self) -> None:
        """Send DISCONNECT, which cancels the will unless it is `at_stop`, then wait for the threads."""
        self._loop.stop()

    def pause(self) -> None:
        """Disconnect until `resume`; the broker keeps the session and its messages."""
        self._loop.pause()

    def resume(self) -> None:
        """End a pause."""
        self._loop.resume()

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
        """Pass a message to the network thread.

        Returns:
            The message's id; its `Acknowledged` signal follows once the broker has it. If the connection ends before
            that, paho sends the message again on the next one, under the same id, unless the owner resends.

        Raises:
            UnavailableError: not connected.
        """
        if not self.connected:
            raise UnavailableError(f"not connected to the broker at {self._settings.host}:{self._settings.port}")
        properties = publish_properties(content_type, expiry_s)
        client = self._loop.client
        mid = int(client.publish(topic, payload, qos=qos, retain=retain, properties=properties).mid)
        return int(client.user_data_get()) | mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Subscribe to a topic filter; call this after every `Connected`, as the broker may have lost the session.

        A `Subscribed` signal follows with the broker's answer.
        """
        self._loop.subscribe(topic_filter, qos)

    def unsubscribe(self, topic_filter: str) -> None:
        """End a subscription; messages that are queued already still arrive."""
        self._loop.client.unsubscribe(topic_filter)

    def acknowledge(self, message: Received) -> None:
        """Send the PUBACK of a received message; do nothing for a message of an older connection."""
        if message.qos > 0 and message.epoch == self._loop.epoch and self.connected:
            self._loop.client.ack(message.mid, message.qos)

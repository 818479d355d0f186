"""The interface of the publisher to the broker."""

from typing import Protocol


class MqttPublisher(Protocol):
    """A connection to the broker, such as `shared.mqtt.session.MqttSession`."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        """Send a message; return its id, or raise `UnavailableError`."""

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Subscribe to messages."""

    def settled(self) -> None:
        """Record that the broker acknowledged an event, so the connection works."""

    def rival(self) -> None:
        """Record that another client uses this client's id."""

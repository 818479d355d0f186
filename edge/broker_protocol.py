"""What the publisher needs of the broker's side."""

from typing import Protocol


class MqttPublisher(Protocol):
    """A connection to the broker; `shared.mqtt.session.Link` is one."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        """Send; return the message id, or raise `Unavailable`."""

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Ask for messages."""

    def settled(self) -> None:
        """Take note that an event was acknowledged: the connection works."""

    def rival(self) -> None:
        """Take note that another client uses this client's id."""

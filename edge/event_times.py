"""Correct the capture times of events when they are sent, because the clock may be set right while they wait."""

from datetime import datetime

from edge.broker_protocol import MqttPublisher
from edge.clock_history import ClockHistory
from shared.events import ClockStatus
from shared.messages.event import EVENT_CONTENT_TYPE
from shared.messages.event_edits import correct_time


class TimeCorrectingPublisher:
    """A connection to the broker that corrects the capture times of this run's events.

    Args:
        outlet: the connection.
        history: settings of the clock during this run.
        boot: id of this run.
    """

    def __init__(self, outlet: MqttPublisher, history: ClockHistory, boot: str) -> None:
        self._outlet = outlet
        self._history = history
        self._boot = boot

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        """Send a message; return its id.

        Raises:
            UnavailableError: there is no connection.
        """
        if self._history.jumps and content_type == EVENT_CONTENT_TYPE:
            payload = correct_time(payload, self._correct)
        return self._outlet.publish(topic, payload, retain=retain, qos=qos, content_type=content_type)

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Subscribe to messages."""
        self._outlet.subscribe(topic_filter, qos)

    def settled(self) -> None:
        """Record that the broker acknowledged an event, so the connection works."""
        self._outlet.settled()

    def rival(self) -> None:
        """Record that another client uses this client's id."""
        self._outlet.rival()

    def _correct(self, boot: str, seq: int, at: datetime) -> tuple[datetime, ClockStatus] | None:
        return self._history.correct(seq, at) if boot == self._boot else None

"""Correct the times of events and level series when they are sent: the clock may be set right while they wait."""

from dataclasses import replace
from datetime import datetime, timedelta

from edge.broker_protocol import MqttPublisher
from edge.clock_history import ClockHistory
from edge.spool_entries import LEVELS_END
from shared.errors import InvalidError
from shared.events import ClockStatus
from shared.level_series import decode_series, encode_series
from shared.messages.event import EVENT_CONTENT_TYPE
from shared.messages.event_edits import correct_time


class TimeCorrectingPublisher:
    """A connection to the broker that corrects the times of this run's events and level series.

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
        elif self._history.jumps and topic.endswith(LEVELS_END):
            payload = self._correct_series(payload)
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

    def _correct_series(self, payload: bytes) -> bytes:
        """Return a level series with its right start, to the nearest whole second; anything else unchanged."""
        try:
            series = decode_series(payload)
            corrected = self._history.correct_series(series.captured_at) if series.boot == self._boot else None
            if corrected is None:
                return payload
            start, clock = corrected
            whole = (start + timedelta(seconds=0.5)).replace(microsecond=0)
            return encode_series(replace(series, captured_at=whole, clock=clock))
        except InvalidError:
            return payload

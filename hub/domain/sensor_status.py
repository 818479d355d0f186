"""Status of a sensor, as one word that an inspector can act on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from hub.domain.records import Sensor

Word = Literal["online", "silent", "stopped", "lost", "retired"]

SILENT_AFTER: Final = timedelta(minutes=10)
"""A sensor that listens sends a clip every ten seconds or so; from this on something is wrong."""
_LATE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """A sensor's condition.

    Attributes:
        word: `online`; `silent`: connected, but nothing came for a while; `stopped`: it disconnected;
            `lost`: its connection broke; `retired`: an operator does not expect it to send any more.
        text: what that means.
        delay: from capture to receipt, of its last clip.
    """

    word: Word
    text: str
    delay: timedelta | None

    @property
    def is_ok(self) -> bool:
        """Return whether nothing is wrong: it does its work, or is retired."""
        return self.word in {"online", "retired"}

    @property
    def is_delayed(self) -> bool:
        """Return whether its clips come much later than they were captured."""
        return self.delay is not None and self.delay > _LATE


def sensor_status(sensor: Sensor, now: datetime) -> SensorStatus:
    """Return the status of a sensor now."""
    last, captured = sensor.last_received_at, sensor.last_captured_at
    delay = last - captured if last is not None and captured is not None else None
    if sensor.edits.retired:
        return SensorStatus("retired", "An operator retired it.", None)
    if sensor.state == "lost":
        return SensorStatus("lost", "It went away without a word: look at its power and network.", delay)
    if sensor.state == "disconnected":
        return SensorStatus("stopped", "It was stopped on purpose.", delay)
    newest = sensor.last_message_at
    if newest is None or now - newest > SILENT_AFTER:
        kept = report.waiting if (report := sensor.connected_report) is not None else 0
        text = f"Nothing came for a while. It keeps {kept:,} events." if kept else "Nothing came for a while."
        return SensorStatus("silent", text, delay)
    return SensorStatus("online", "It is online.", delay)

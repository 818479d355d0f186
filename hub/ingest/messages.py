"""A message in the pipeline, and its outcome."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from hub.domain.records import WriteState
from shared.errors import InvalidError
from shared.events import Event, EventId
from shared.feature_space import Features
from shared.messages import AlertMessage, decode_event
from shared.mqtt.topics import SensorTopic


class Outcome(Enum):
    """Outcome of a message."""

    ARCHIVED = "archived"
    REPEAT = "repeat"
    STATE = "state"
    BEAT = "heartbeat"
    DEAD_LETTER = "dead letter"
    KNOWN = "known"
    """A retained message that already became a dead letter."""


@dataclass(frozen=True, slots=True)
class HandledMessage:
    """The outcome, and the alert if one was raised."""

    outcome: Outcome
    alert: AlertMessage | None = None


@dataclass(slots=True, eq=False)
class PreparedMessage:
    """A prepared message; `event`, `problem` and `traceback` are all None for a state.

    Attributes:
        retained: whether it is a retained message, which the broker sends again at each subscription.
        traceback: traceback of the unexpected error that the message caused, if it is to become a dead letter.
        waited_s: time that the broker held a state, in seconds; None if unknown.
    """

    topic: str
    payload: bytes
    retained: bool = False
    traceback: str | None = None
    event: Event | None = None
    problem: InvalidError | None = None
    known: WriteState = WriteState.NEW
    space: str = ""
    features: Features = field(default_factory=lambda: np.empty((0, 0), dtype=np.uint8))
    towers: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    waited_s: float | None = None


def decode_message(topic: str, payload: bytes) -> PreparedMessage:
    """Decode a message to an item with its event, or with the error."""
    item = PreparedMessage(topic, payload)
    try:
        source = SensorTopic.parse(topic)
        if source.kind != "state":
            item.event = decode_event(payload, source)
    except InvalidError as error:
        item.problem = error
    return item


def event_id(item: PreparedMessage) -> EventId:
    """Return the id of an item's event; the item must have one."""
    assert item.event is not None  # noqa: S101 - only events get here
    return item.event.id

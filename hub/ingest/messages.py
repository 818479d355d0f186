"""A message on its way through the pipeline, and what became of it."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from hub.domain.records import WriteState
from shared.errors import InvalidError
from shared.events import Event, EventId
from shared.feature_space import Features
from shared.messages.alert import AlertMessage
from shared.messages.event import decode_event
from shared.mqtt.topics import SensorTopic


class Outcome(Enum):
    """The outcome of a message."""

    ARCHIVED = "archived"
    REPEAT = "repeat"
    STATE = "state"
    BEAT = "heartbeat"
    DEAD_LETTER = "dead letter"
    KNOWN = "known"
    """A retained message that became a dead letter when it came first."""


@dataclass(frozen=True, slots=True)
class HandledMessage:
    """The outcome, and the alert if one was raised."""

    outcome: Outcome
    alert: AlertMessage | None = None


@dataclass(slots=True, eq=False)
class PreparedMessage:
    """A message that is prepared; `event`, `problem` and `traceback` are all None of a state.

    Attributes:
        retained: whether the broker keeps it and sends it at each subscription.
        traceback: of the unexpected error that handling it raised, if it is to be set aside.
        waited_s: how long the broker held a state, in seconds; None if that is not known.
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
    """Return a message as an item, with its event or with what is wrong with it."""
    item = PreparedMessage(topic, payload)
    try:
        source = SensorTopic.parse(topic)
        if source.kind != "state":
            item.event = decode_event(payload, source)
    except InvalidError as error:
        item.problem = error
    return item


def event_id(item: PreparedMessage) -> EventId:
    """Return the id of the event of an item that has one."""
    assert item.event is not None  # noqa: S101 - only events get here
    return item.event.id

"""The subscriptions of a hub, requested on each connection, and again while the broker refuses them."""

import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hub.ingest.subscription import event_client_id, problem_of_connection, problem_of_grant
from shared.errors import UnavailableError
from shared.mqtt.reason_codes import FAILURE
from shared.mqtt.session import MqttSession
from shared.mqtt.signals import Connected, Subscribed
from shared.mqtt.topics import (
    ALL_STATES,
    HEARTBEAT_SITE,
    INTAKE_CLOSED,
    HubTopic,
    SensorTopic,
    shared_beats,
    shared_event_subscription,
)
from shared.settings import MqttSettings

log = logging.getLogger(__name__)

ASK_AGAIN_S: Final = 30.0
"""Interval, in seconds, between requests for a subscription that the broker refused: its ACL may be corrected."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A hub as a client of the broker.

    Attributes:
        broker: how to connect.
        hub: name of the hub.
        group: hubs of one group divide the events among themselves.
        beats: whether the hub's heartbeats are taken too.
    """

    broker: MqttSettings
    hub: str
    group: str
    beats: bool = True

    @property
    def client_id(self) -> str:
        """Return the client id, by which the broker keeps the session of this hub."""
        return event_client_id(self.hub)


class EventSubscription:
    """Subscribes to events, states and heartbeats, and publishes whether the hub takes events.

    Args:
        link: connection to the broker.
        subscriber: the hub.

    Attributes:
        problem: why no events come though the broker is there, in words; None if nothing is known.
    """

    def __init__(self, link: MqttSession, subscriber: Subscriber) -> None:
        self._link = link
        hub, group = subscriber.hub, subscriber.group
        self._beats = str(SensorTopic(HEARTBEAT_SITE, hub, "heartbeat")) if subscriber.beats else None
        self._shared = shared_event_subscription(group)
        self._shared_beats = shared_beats(group, hub)
        self._intake_topic = str(HubTopic(hub, "intake"))
        self._ask_again_s = math.inf
        self.problem: str | None = None

    def on_connected(self, signal: Connected) -> None:
        """Subscribe on a new connection."""
        self._link.subscribe(ALL_STATES)
        if (problem := problem_of_connection(signal)) is not None:
            self._refuse(problem)
        else:
            self._link.subscribe(self._shared)

    def ask_again_when_due(self) -> None:
        """Request the subscription that the broker refused once more, if that is due."""
        if time.monotonic() >= self._ask_again_s and self._link.connected:
            self._ask_again_s = time.monotonic() + ASK_AGAIN_S
            self._link.subscribe(self._shared)

    def on_subscribed(self, signal: Subscribed) -> None:
        """Read the broker's answer to a subscription; request heartbeats once it grants events."""
        if signal.topic_filter == self._shared_beats and signal.reason >= FAILURE and self._beats is not None:
            self._link.subscribe(self._beats)  # rights may be given by filter
        if signal.topic_filter != self._shared:
            return
        if (problem := problem_of_grant(signal)) is not None:
            self._refuse(problem)
            self._ask_again_s = time.monotonic() + ASK_AGAIN_S
            return
        if self.problem is not None:
            log.info("the broker grants events now", extra={"filter": self._shared})
        self.problem, self._ask_again_s = None, math.inf
        if self._beats is not None:
            self._link.unsubscribe(self._beats)  # an earlier hub's, of the same session
            self._link.subscribe(self._shared_beats)
        else:
            self._publish_intake(b"")

    def _refuse(self, problem: str) -> None:
        """Request no heartbeats while no events come, so that sensors keep their events."""
        if problem != self.problem:
            log.error("the broker sends no events", extra={"reason": problem})
        self.problem = problem
        if self._beats is not None:
            self._link.unsubscribe(self._shared_beats)
            self._link.unsubscribe(self._beats)
        else:
            self._publish_intake(INTAKE_CLOSED)

    def _publish_intake(self, intake: bytes) -> None:
        """Publish the state of the intake; a retained state of an earlier run is replaced."""
        with suppress(UnavailableError):  # the next connection publishes it
            self._link.publish(self._intake_topic, intake, retain=True)

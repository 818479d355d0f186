"""Check whether a hub can receive events from the broker, without a trace there."""

import queue
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.diagnostics.result import Tried
from hub.ingest.subscription import LITERAL, problem_of_connection, problem_of_grant
from hub.settings import HubSettings
from shared.errors import InvalidError, UnavailableError
from shared.mqtt.brief_connection import ANSWER_S, connected
from shared.mqtt.diagnostics import broker_certificate_expiry, client_certificate_expiry
from shared.mqtt.session import (
    FAILURE,
    Acknowledged,
    Disconnected,
    MqttEvent,
    MqttSession,
    Received,
    Subscribed,
)
from shared.mqtt.topics import ALL_STATES, HEARTBEAT_SITE, ROOT, SensorTopic, shared_beats, shared_event_subscription

ECHO_S: Final = 3.0
"""Maximum time for a message through a shared subscription and back, in seconds."""

STATES_S: Final = 0.5
"""Maximum wait for the next retained state, in seconds."""

WARNED_AHEAD: Final = timedelta(days=30)
"""Time before the expiry of a certificate from which `check` warns."""


def check_broker(settings: HubSettings) -> Tried:
    """Connect with a separate client id, test whether states can be read, and leave no session."""
    mqtt = settings.mqtt.without_session()
    name = f"check-{uuid.uuid4().hex[:8]}"  # never used again: rumqttd 0.20 fails over a client that was in a group
    with connected(mqtt, f"earwitness-{name}") as (link, up):
        if (problem := problem_of_connection(up)) is not None:
            raise InvalidError(problem)
        _may_publish(link)
        _may_take_events(link, name)
        link.subscribe(ALL_STATES)
        states = len({received.topic for received in _received(link)})
    doubts = list(_expiring_certificates(settings))
    if not states:
        doubts.append("no sensor states: no sensor has sent one yet, or the ACL forbids reading them")
    return f"connected to {mqtt.host}:{mqtt.port} with MQTT 5; {states} sensors have sent their state", doubts


def _may_publish(link: MqttSession) -> None:
    """Test whether the broker lets this hub publish, on a topic without subscribers.

    Raises:
        InvalidError: the broker rejects the message.
    """
    mid = link.publish(f"{ROOT}/check", b"")
    while True:
        match link.signals.get(timeout=ANSWER_S):
            case Acknowledged(mid=answered, reason=reason) if answered == mid:
                if reason >= FAILURE:
                    raise InvalidError(
                        f"connected, but the broker does not let this hub publish (reason {reason}): use the hub's"
                        f" certificate or user name, and grant it {ROOT}/# in the ACL"
                    )
                return
            case Disconnected(reason=why):
                raise UnavailableError(f"the broker closed the connection as this hub published: {why}")


def _may_take_events(link: MqttSession, name: str) -> None:
    """Subscribe as `serve` does, in a separate group, and send a message through the subscription.

    Raises:
        InvalidError: the broker rejects the subscription, or the message does not arrive.
    """
    events, beat, beats = (
        shared_event_subscription(name),
        SensorTopic(HEARTBEAT_SITE, name, "heartbeat"),
        shared_beats(name, name),
    )
    try:
        link.subscribe(events)
        if (problem := problem_of_grant(_granted(link, events))) is not None:
            raise InvalidError(problem)
        link.unsubscribe(events)
        link.subscribe(beats)
        if _granted(link, beats).reason >= FAILURE:
            return  # an ACL may grant rights by filter; the one of events is granted
        mid = link.publish(str(beat), b"")
        deadline_s = time.monotonic() + ECHO_S
        while True:
            match _next(link, max(0.0, deadline_s - time.monotonic())):
                case Received(topic=topic) if topic == str(beat):
                    link.unsubscribe(beats)
                    return
                case Acknowledged(mid=answered, reason=reason) if answered == mid and reason >= FAILURE:
                    return
    except queue.Empty:
        raise InvalidError(LITERAL) from None


def _granted(link: MqttSession, topic_filter: str) -> Subscribed:
    """Return the broker's answer to a subscription.

    Raises:
        queue.Empty: no answer in time.
    """
    while True:
        match _next(link, ECHO_S):
            case Subscribed(topic_filter=answered) as signal if answered == topic_filter:
                return signal


def _next(link: MqttSession, timeout_s: float) -> MqttEvent:
    """Return the next signal. Acknowledge a message, as rumqttd 0.20 fails if a group member leaves without that.

    Raises:
        queue.Empty: no signal in time.
    """
    signal = link.signals.get(timeout=timeout_s)
    if isinstance(signal, Received):
        link.acknowledge(signal)
    return signal


def _received(link: MqttSession) -> Iterator[Received]:
    """Yield messages until none arrives for `STATES_S`."""
    try:
        while True:
            signal = _next(link, STATES_S)
            if isinstance(signal, Received):
                yield signal
    except queue.Empty:
        return


def _expiring_certificates(settings: HubSettings) -> Iterator[str]:
    """Yield warnings about certificates that expire soon."""
    ends = {
        "the broker's certificate": broker_certificate_expiry(settings.mqtt),
        "this hub's certificate": client_certificate_expiry(settings.mqtt),
    }
    for name, when in ends.items():
        if when is not None and when - datetime.now(UTC) < WARNED_AHEAD:
            yield f"{name} expires on {when:%Y-%m-%d}: renew it with `earwitness-hub deployment renew DIR`"

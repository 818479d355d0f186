"""Check what a broker grants a hub: hubs divide events by a shared subscription."""

from typing import Final

from shared.mqtt.session import FAILURE
from shared.mqtt.signals import Connected, Subscribed

_OTHER: Final = "use a broker that has them, such as Mosquitto 2"
NO_SHARED: Final = f"the broker has no shared subscriptions, which hubs need to receive events: {_OTHER}"
LITERAL: Final = (
    "the shared subscription delivers nothing, not even this hub's own heartbeats: the broker seems to treat"
    f" `$share` as an ordinary topic, and to have no shared subscriptions: {_OTHER}"
)
_NOT_SUPPORTED: Final = 0x9E
"""Shared subscriptions not supported. Source: MQTT 5.0, 3.9.3."""


def problem_of_connection(signal: Connected) -> str | None:
    """Return why a hub cannot receive events on this connection, or None."""
    return None if signal.shared_subscriptions else NO_SHARED


def problem_of_grant(signal: Subscribed) -> str | None:
    """Return the problem with the broker's answer to the subscription to events, or None."""
    if signal.reason == _NOT_SUPPORTED:
        return NO_SHARED
    if signal.reason >= FAILURE:
        return (
            f"the broker refuses the subscription {signal.topic_filter} (reason 0x{signal.reason:02X}): allow this"
            " hub to read events in the broker's ACL"
        )
    if signal.reason == 0:
        return f"the broker grants {signal.topic_filter} at QoS 0 only, which loses events: make it grant QoS 1"
    return None

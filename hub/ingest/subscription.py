"""A broker's answer to a hub's subscription, and its faults in words: hubs divide events by a shared subscription."""

from typing import Final

from shared.mqtt.session import FAILURE
from shared.mqtt.signals import Connected, Subscribed

_OTHER: Final = "use one that has them, such as Mosquitto 2"
NO_SHARED: Final = f"the broker has no shared subscriptions, which hubs need to take events: {_OTHER}"
LITERAL: Final = (
    "nothing comes through the shared subscription, not even this hub's own heartbeats: the broker seems to take"
    f" `$share` for an ordinary topic, and to have no shared subscriptions: {_OTHER}"
)
_NOT_SUPPORTED: Final = 0x9E
"""Shared subscriptions not supported. Source: MQTT 5.0, 3.9.3."""


def event_client_id(hub: str) -> str:
    """Return the client id of a hub's connection for events."""
    return f"earwitness-hub-{hub}"


def level_client_id(hub: str) -> str:
    """Return the client id of a hub's connection for level series."""
    return f"earwitness-hub-{hub}-levels"


def problem_of_connection(signal: Connected) -> str | None:
    """Return what hinders a hub on this connection, or None."""
    return None if signal.shared_subscriptions else NO_SHARED


def problem_of_grant(signal: Subscribed) -> str | None:
    """Return what is wrong with the answer to the subscription to events, or None."""
    if signal.reason == _NOT_SUPPORTED:
        return NO_SHARED
    if signal.reason >= FAILURE:
        return (
            f"the broker refuses the subscription {signal.topic_filter} (reason 0x{signal.reason:02X}): its ACL must"
            " let this hub read events"
        )
    if signal.reason == 0:
        return f"the broker grants {signal.topic_filter} at QoS 0 only, at which events get lost: let it grant QoS 1"
    return None

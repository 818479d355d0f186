"""`earwitness-hub hubs remove`: give what waits for a hub that is gone to the others, and end its session.

A broker divides events among the sessions of a group, whether their hubs are there or not: the share of one that is
gone waits for it, and is lost when its session ends. So this takes the hub's place for a while:

1. It connects under the hub's name and unsubscribes: from then on the other hubs get all events.
2. What waited is published again, on the topic it came on, and acknowledged once the broker has it for another hub.
3. When nothing waits any more, it ends the session and clears the retained state of the hub's intake.

A hub has a session for events and one for level series. If this is interrupted, nothing is lost: what was not handed
over still waits, events are known by their ids, and levels by their times.
"""

import queue
from collections import deque
from typing import Final

from hub.ingest.subscription import event_client_id, level_client_id
from hub.settings import HubSettings
from shared.errors import InvalidError, UnavailableError
from shared.mqtt.brief_connection import connected
from shared.mqtt.session import (
    FAILURE,
    NO_MATCHING_SUBSCRIBERS,
    Acknowledged,
    Disconnected,
    MqttSession,
    Received,
)
from shared.mqtt.topics import ALL_STATES, HubTopic, shared_event_subscription, shared_level_subscription

CONNECT_S: Final = 10.0
QUIET_S: Final = 3.0
"""Time without a message, in seconds, after which no message waits."""
AT_ONCE: Final = 16


def redistribute_queue(settings: HubSettings) -> int:
    """Do it.

    Returns:
        How many events and level series were handed over.

    Raises:
        UnavailableError: no broker, no other hub, or the hub is running.
        InvalidError: the broker has no session of a hub of this name.
    """
    name, group = event_client_id(settings.hub.name), settings.ingest.consumer_group
    handed = _redistribute(settings, name, shared_event_subscription(group), ALL_STATES)
    if handed is None:
        raise InvalidError(f"the broker has no session of a hub {settings.hub.name!r}: check hub.name")
    levels = level_client_id(settings.hub.name)
    series = _redistribute(settings, levels, shared_level_subscription(group)) or 0
    _end_session(settings, levels)
    _end_session(settings, name, str(HubTopic(settings.hub.name, "intake")))
    return handed + series


def _redistribute(settings: HubSettings, client_id: str, *filters: str) -> int | None:
    """Hand over what waits for one session; return the number of messages, None if the broker has no such session."""
    with connected(settings.mqtt, client_id, within_s=CONNECT_S, receive_maximum=AT_ONCE) as (link, up):
        if not up.session_present:
            return None
        for topic_filter in filters:
            link.unsubscribe(topic_filter)
        return _hand_over_all(link, settings)


def _end_session(settings: HubSettings, client_id: str, retained: str | None = None) -> None:
    """End a session at the broker, and clear a retained topic."""
    with connected(settings.mqtt.without_session(), client_id, within_s=CONNECT_S) as (link, _):
        if retained is not None:
            link.publish(retained, b"", retain=True)


def _hand_over_all(link: MqttSession, settings: HubSettings) -> int:
    """Publish again what comes, until nothing does; acknowledge in the order in which it came."""
    under_way: deque[tuple[int, Received]] = deque()
    answered: set[int] = set()
    handed = 0
    while True:
        try:
            signal = link.signals.get(timeout=QUIET_S)
        except queue.Empty:
            if not under_way:
                return handed
            raise UnavailableError("the broker does not answer: nothing is lost, try again") from None
        match signal:
            case Disconnected():
                raise UnavailableError(
                    f"{settings.hub.name} took its place again: it is running, so stop it first; nothing is lost"
                )
            case Received() if signal.topic.endswith(("/event", "/levels")):
                mid = link.publish(signal.topic, signal.payload, content_type=signal.content_type)
                under_way.append((mid, signal))
            case Received():  # others have states and heartbeats of their own
                link.acknowledge(signal)
            case Acknowledged(mid=mid, reason=reason):
                if reason >= FAILURE or reason == NO_MATCHING_SUBSCRIBERS:
                    raise UnavailableError("no other hub receives events: start one first; nothing is lost")
                answered.add(mid)
        while under_way and under_way[0][0] in answered:
            mid, received = under_way.popleft()
            answered.discard(mid)
            link.acknowledge(received)
            handed += 1

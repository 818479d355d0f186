"""Find and clear the messages about a sensor that the broker retains: states, levels, devices of Home Assistant."""

import queue
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from hub.domain.erasure import Erasure, Mentions
from hub.settings import HubSettings
from shared.errors import UnavailableError
from shared.mqtt.brief_connection import connected
from shared.mqtt.session import FAILURE, Acknowledged, Disconnected, MqttEvent, MqttSession, Received, Subscribed
from shared.mqtt.topics import ROOT

_WAIT_S: Final = 10.0
_QUIET_S: Final = 0.5
"""Once this time passes without a message, all retained messages have come."""


class RetainedMessages:
    """Retained messages that name what is erased.

    Args:
        settings: of a hub.
        erasure: what is erased.
        mentions: finds names of it.
    """

    def __init__(self, settings: HubSettings, erasure: Erasure, mentions: Mentions) -> None:
        self._settings = settings
        self._filters = {
            f"{ROOT}/{erasure.site}/{erasure.sensor or '+'}/#",
            f"{settings.homeassistant.prefix}/#",
        }
        self._mentions = mentions

    def topics(self) -> list[str]:
        """Return the topics of retained messages that name what is erased.

        Raises:
            UnavailableError: the broker does not answer, or does not let this client read.
        """
        with self._connected() as link:
            return sorted(self._found(link))

    def clear(self) -> list[str]:
        """Clear these messages, and return their topics.

        Raises:
            UnavailableError: the broker does not answer, or refuses.
        """
        with self._connected() as link:
            found = sorted(self._found(link))
            waiting = {link.publish(topic, b"", retain=True): topic for topic in found}
            for signal in _signals(link, _WAIT_S) if waiting else ():
                if isinstance(signal, Acknowledged) and signal.mid in waiting:
                    topic = waiting.pop(signal.mid)
                    if signal.reason >= FAILURE:
                        raise UnavailableError(
                            f"the broker does not let this client clear {topic} (reason 0x{signal.reason:02X}): its"
                            " ACL must grant the hub's user that topic"
                        )
                if not waiting:
                    break
        if waiting:
            raise UnavailableError("the broker did not confirm that retained messages are cleared")
        return found

    @contextmanager
    def _connected(self) -> Iterator[MqttSession]:
        name = f"earwitness-erase-{secrets.token_hex(4)}"
        with connected(self._settings.mqtt.without_session(), name) as (link, _):
            yield link

    def _found(self, link: MqttSession) -> set[str]:
        """Subscribe to the topics of the sensors, and of Home Assistant; collect what the broker retains."""
        filters = self._filters
        for one in filters:
            link.subscribe(one)
        refused, found, granted = set[str](), set[str](), set[str]()
        for signal in _signals(link, _WAIT_S, lambda: granted | refused == filters):
            match signal:
                case Subscribed(topic_filter=one, reason=reason):
                    (refused if reason >= FAILURE else granted).add(one)
                case Received(topic=topic, payload=payload, retain=retained):
                    link.acknowledge(signal)
                    if retained and payload and self._mentions.found_in(topic.encode() + b"\0" + payload):
                        found.add(topic)
                case Disconnected(reason=text):
                    raise UnavailableError(f"the broker closed the connection: {text}")
        if granted != filters:
            missing = ", ".join(sorted(filters - granted))
            raise UnavailableError(f"the broker does not let this client read {missing}, or does not answer")
        return found


def _signals(link: MqttSession, wait_s: float, ready: Callable[[], bool] = lambda: False) -> Iterator[MqttEvent]:
    """Yield signals for at most a time; once `ready`, until none comes for `_QUIET_S`."""
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        try:
            yield link.signals.get(timeout=min(left, _QUIET_S) if ready() else left)
        except queue.Empty:
            return

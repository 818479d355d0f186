"""A connection to the broker for the time of one block, for checks and commands that run once."""

import contextlib
import queue
from collections.abc import Iterator
from typing import Final

from shared.errors import UnavailableError
from shared.mqtt.diagnostics import explain_connection_failure
from shared.mqtt.session import MqttSession
from shared.mqtt.signals import Connected, Disconnected
from shared.settings import MqttSettings

ANSWER_S: Final = 5.0
"""Seconds that the broker may take to answer."""


@contextlib.contextmanager
def connected(
    settings: MqttSettings, client_id: str, *, within_s: float = ANSWER_S, receive_maximum: int | None = None
) -> Iterator[tuple[MqttSession, Connected]]:
    """Connect, run the block, and disconnect.

    Args:
        settings: connection to the broker.
        client_id: id of this client.
        within_s: seconds that the broker may take to accept the connection.
        receive_maximum: most messages received and not acknowledged.

    Yields:
        The session, and what the broker answered.

    Raises:
        UnavailableError: the broker does not accept the connection, or the block waits for a signal in vain
            (`queue.Empty`); the text states what to do.
    """
    link = MqttSession(settings, client_id, receive_maximum=receive_maximum)
    reason: str | None = None
    link.start()
    try:
        match link.signals.get(timeout=within_s):
            case Connected() as up:
                yield link, up
                return
            case Disconnected(reason=reason):
                pass
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise UnavailableError(explain_connection_failure(settings, reason))

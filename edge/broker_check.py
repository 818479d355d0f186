"""Test the broker for `earwitness-edge check`: connect as this sensor, publish, find another client."""

import contextlib
import queue
import time
from typing import Final

from edge.settings import EdgeSettings
from edge.sources.live_blocks import DEFAULT_RATE_HZ
from edge.spool import Spool
from shared.errors import InvalidError, UnavailableError
from shared.events import CLIP_S
from shared.messages.event import EVENT_CONTENT_TYPE
from shared.mqtt.brief_connection import ANSWER_S, connected
from shared.mqtt.session import (
    FAILURE,
    SESSION_TAKEN_OVER,
    Acknowledged,
    Connected,
    Disconnected,
    MqttSession,
    publish_bytes,
)
from shared.mqtt.topics import ROOT, SensorTopic

TAKEN_OVER_S: Final = 3.0
"""Seconds that another client with this sensor's client id may take to reconnect after `check` took its session."""
CBOR_BYTES: Final = 1_024
"""Upper bound of the size of an event without its audio."""


def try_broker(settings: EdgeSettings) -> str:
    """Connect, publish a test message, and leave no session at the broker.

    While no agent runs here, the test uses the sensor's client id. Another client with that id then reconnects, which
    shows that it exists. Where the broker takes the client id from the certificate, a running agent is disconnected
    for a moment.

    Raises:
        UnavailableError: the broker does not accept the connection.
        InvalidError: the broker does not let this sensor publish, or another client uses its name.
    """
    mqtt = settings.mqtt.without_session()
    where = f"{mqtt.host}:{mqtt.port}"
    alone = not _agent_runs(settings)
    with connected(mqtt, settings.client_id() if alone else f"{settings.client_id()}-check") as (link, up):
        reason, ended = _published(link, settings)
        refused = reason is None or reason >= FAILURE
        taken_over = reason == SESSION_TAKEN_OVER or (not refused and (ended or _taken_over(link)))
        if alone and taken_over:
            raise InvalidError(
                f"connected to {where}, but another client uses this name ({_place(settings)}): give each"
                " sensor a name of its own (sensor.name); is a card copied, or does an agent run elsewhere?"
            )
        if refused:
            raise InvalidError(f"connected to {where}, but {_refused(settings, reason)}")
        takes = f"connected to {where}, which lets {_place(settings)} publish"
        return takes + _limited(settings, up.maximum_packet)


def _agent_runs(settings: EdgeSettings) -> bool:
    """Return whether an agent has this sensor's spool open."""
    path = settings.spool_path()
    if not path.exists():
        return False
    try:
        Spool(path, settings.spool.max_bytes).close()
    except UnavailableError:
        return True
    return False


def _taken_over(link: MqttSession) -> bool:
    """Return whether the connection ends within `TAKEN_OVER_S`; not every broker sends the reason of a takeover."""
    deadline_s = time.monotonic() + TAKEN_OVER_S
    with contextlib.suppress(queue.Empty):
        while True:
            match link.signals.get(timeout=max(0.0, deadline_s - time.monotonic())):
                case Disconnected():
                    return True
    return False


def _limited(settings: EdgeSettings, limit: int | None) -> str:
    """Return the broker's maximum message size, and whether a clip of this sensor may exceed it, as text."""
    if limit is None:
        return ""
    words = f"; the broker accepts messages of at most {limit:,} bytes"
    defaults = {"synthetic": 22_050, "microphone": DEFAULT_RATE_HZ, "stream": DEFAULT_RATE_HZ}
    rate_hz = settings.source.rate_hz or defaults.get(settings.source.kind)
    if rate_hz is None or settings.features.space is not None:
        return words
    topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "event"))
    largest = publish_bytes(topic, round(2 * CLIP_S * rate_hz) + CBOR_BYTES, EVENT_CONTENT_TYPE)
    if largest <= limit:
        return words
    return (
        f"{words}, but a clip at {rate_hz} Hz has at most {largest:,}. The agent sets larger messages aside in the"
        " spool. Raise the broker's limit (Mosquitto: max_packet_size), lower source.rate_hz, or send embeddings"
        " (features.space)"
    )


def _refused(settings: EdgeSettings, reason: int | None) -> str:
    place = _place(settings)
    why = "no answer" if reason is None else f"reason {reason}"
    return (
        f"the broker does not let {place} publish ({why}): the certificate or user name must be this sensor's, and"
        f" the ACL must grant event, state and check below {ROOT}/{place}"
    )


def _place(settings: EdgeSettings) -> str:
    return f"{settings.sensor.site}/{settings.sensor.name}"


def _published(link: MqttSession, settings: EdgeSettings) -> tuple[int | None, bool]:
    """Publish an empty message without subscribers, and repeat it on each connection until the broker answers.

    Returns:
        The broker's reason code, `SESSION_TAKEN_OVER` if it ended a connection, or None without an answer in time.
        Second, whether a connection ended before the answer.
    """
    mid, ended, deadline_s = _ask(link, settings), False, time.monotonic() + ANSWER_S
    with contextlib.suppress(queue.Empty):
        while True:
            match link.signals.get(timeout=max(0.0, deadline_s - time.monotonic())):
                case Acknowledged(mid=answered, reason=reason) if answered == mid:
                    return reason, ended
                case Disconnected(code=code):
                    ended = True
                    if code == SESSION_TAKEN_OVER:
                        return code, ended
                case Connected():
                    mid = _ask(link, settings)
    return None, ended


def _ask(link: MqttSession, settings: EdgeSettings) -> int | None:
    """Publish the message and return its id, or None if the connection has ended; a signal for that follows."""
    with contextlib.suppress(UnavailableError):
        return link.publish(f"{ROOT}/{_place(settings)}/check", b"")
    return None

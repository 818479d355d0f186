"""Send a command to a sensor over the broker, and wait for the replies. It needs no running hub."""

import queue
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.commands import (
    COMMAND_CAP_BYTES,
    REPLY_CAP_BYTES,
    CommandAction,
    CommandMessage,
    ReplyMessage,
)
from shared.errors import InvalidError, UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE, decode_json, encode_json
from shared.mqtt.session import (
    FAILURE,
    NO_MATCHING_SUBSCRIBERS,
    Acknowledged,
    Connected,
    Disconnected,
    MqttEvent,
    MqttSession,
    Received,
)
from shared.mqtt.signals import Subscribed
from shared.mqtt.topics import CommandTopic
from shared.settings import MqttSettings

CONNECT_S: Final = 15.0
"""Seconds that the broker may take to accept the connection and the command."""
EXPIRES_S: Final = 60
"""Default time in seconds after which a sensor no longer runs a command."""


def make_command(
    place: str,
    action: CommandAction,
    *,
    hub: str,
    settings: Mapping[str, str | None] | None = None,
    expires_s: int = EXPIRES_S,
) -> CommandMessage:
    """Return a new command.

    Args:
        place: the sensor, as `site/sensor`.
        action: what the sensor is to do.
        hub: name of the hub that sends it.
        settings: for `change-settings`, new values by `group.field`; None removes an earlier change.
        expires_s: seconds after which the sensor no longer runs it.

    Raises:
        InvalidError: a name or a value that no message may have.
    """
    site, _, sensor = place.partition("/")
    CommandTopic(site, sensor, "command")
    now = datetime.now(UTC)
    try:
        command = CommandMessage(
            id=secrets.token_hex(8),
            site=site,
            sensor=sensor,
            hub=hub,
            action=action,
            sent_at=now,
            expires_at=now + timedelta(seconds=expires_s),
            settings=dict(settings or {}),
        )
    except ValueError as error:
        raise InvalidError(f"not a command: {error}") from error
    if len(encode_json(command)) > COMMAND_CAP_BYTES:
        raise InvalidError(f"a command has at most {COMMAND_CAP_BYTES} bytes")
    return command


def publish(link: MqttSession, command: CommandMessage) -> int:
    """Publish a command; return the message's id.

    Raises:
        UnavailableError: not connected.
    """
    topic = str(CommandTopic(command.site, command.sensor, "command"))
    expiry_s = max(1, round((command.expires_at - command.sent_at).total_seconds()))
    return link.publish(topic, encode_json(command), content_type=JSON_CONTENT_TYPE, expiry_s=expiry_s)


def replies(settings: MqttSettings, command: CommandMessage, wait_s: float) -> Iterator[ReplyMessage]:
    """Send a command on a connection of its own; yield the replies up to the final one.

    Args:
        settings: connection to the broker.
        command: the command.
        wait_s: longest wait for the final reply, in seconds.

    Raises:
        UnavailableError: no broker, or no final reply in time.
        InvalidError: the broker does not let this client publish commands.
    """
    link = MqttSession(settings.without_session(), f"earwitness-command-{command.id}")
    topic = str(CommandTopic(command.site, command.sensor, "command-reply"))
    signals = _Signals(link, time.monotonic() + CONNECT_S)
    link.start()
    try:
        signals.await_connection(topic)
        signals.await_acceptance(publish(link, command))
        signals.until_s = time.monotonic() + wait_s
        for signal in signals:
            match signal:
                case Connected():
                    link.subscribe(topic)
                case Received(topic=received, payload=payload) if received == topic:
                    link.acknowledge(signal)
                    reply = decode_json(ReplyMessage, payload, REPLY_CAP_BYTES)
                    if reply.id == command.id:
                        yield reply
                        if reply.is_final:
                            return
    finally:
        link.stop()
    place = f"{command.site}/{command.sensor}"
    raise UnavailableError(
        f"{place} sent no final reply within {wait_s:g} s: is it online, and does the broker's ACL let it read its"
        " topic `command` and publish on `command-reply`?"
    )


class _Signals:
    """The signals of a connection until a deadline."""

    def __init__(self, link: MqttSession, until_s: float) -> None:
        self._link = link
        self.until_s = until_s

    def __iter__(self) -> Iterator[MqttEvent]:
        while True:
            try:
                yield self._link.signals.get(timeout=max(0.0, self.until_s - time.monotonic()))
            except queue.Empty:
                return

    def await_connection(self, topic: str) -> None:
        """Wait for the connection and the subscription to replies."""
        reason = "no answer"
        for signal in self:
            match signal:
                case Connected():
                    self._link.subscribe(topic)
                case Disconnected(reason=reason):
                    pass
                case Subscribed(reason=code):
                    if code >= FAILURE:
                        raise InvalidError(f"the broker does not let this client read {topic} (reason 0x{code:02X})")
                    return
        raise UnavailableError(f"no connection to the broker: {reason}")

    def await_acceptance(self, mid: int) -> None:
        """Wait for the broker's PUBACK of the command."""
        for signal in self:
            match signal:
                case Acknowledged(mid=answered, reason=code) if answered == mid:
                    if code >= FAILURE:
                        raise InvalidError(
                            f"the broker does not let this client publish commands (reason 0x{code:02X}): its ACL"
                            " must grant the hub's certificate or user that topic"
                        )
                    if code == NO_MATCHING_SUBSCRIBERS:
                        raise UnavailableError(
                            "no sensor of this name takes commands at this broker: set commands.enabled = true on it"
                        )
                    return
        raise UnavailableError("the broker did not accept the command in time")

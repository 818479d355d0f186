"""Send commands to sensors for the web page, and keep the replies of all sensors in the store, on a thread.

Every hub receives every reply. Its broker session is persistent, so that a reply waits while the hub is offline.
"""

import logging
import queue
from typing import Final

from hub.commands.command_client import publish
from hub.store.events import EventStore
from hub.store.sensor_commands import CommandRecord, SensorCommands
from shared.commands import REPLY_CAP_BYTES, CommandMessage, ReplyMessage
from shared.errors import InvalidError
from shared.messages.codec import decode_json
from shared.mqtt.session import (
    FAILURE,
    NO_MATCHING_SUBSCRIBERS,
    Acknowledged,
    Connected,
    MqttEvent,
    MqttSession,
    Received,
)
from shared.mqtt.topics import ALL_COMMAND_REPLIES, CommandTopic
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

_WAIT_S: Final = 0.5
NO_SENSOR: Final = "no sensor of this name takes commands at the broker: set commands.enabled = true on it"


class CommandService:
    """The commands of one hub.

    Args:
        archive: the event store, whose client keeps commands and replies.
        settings: connection to the broker.
        hub: name of this hub.
    """

    def __init__(self, archive: EventStore, settings: MqttSettings, hub: str) -> None:
        self.hub = hub
        self._store = SensorCommands(archive.client, archive.rows)
        self._link = MqttSession(settings, f"earwitness-hub-{hub}-commands", receive_maximum=64)
        self._under_way: dict[int, CommandMessage] = {}
        self._held: MqttEvent | None = None
        self.worker = Worker("commands", self._step)

    def start(self) -> None:
        """Start to receive replies."""
        self._link.start()
        self.worker.start()

    def stop(self) -> None:
        """Stop; the broker keeps further replies for the next start."""
        self.worker.stop()
        self._link.stop()

    def send(self, command: CommandMessage) -> None:
        """Keep a command and publish it.

        Raises:
            UnavailableError: the broker or the store is not connected.
        """
        self._store.add(command)
        self._under_way[publish(self._link, command)] = command

    def latest(self, place: str) -> list[CommandRecord]:
        """Return the latest commands to a sensor, the newest first.

        Raises:
            UnavailableError: the store does not answer.
        """
        return self._store.latest(place)

    def _step(self) -> float:
        """Handle a signal of the connection; a reply that the store did not take is handled again."""
        try:
            self._held = self._held or self._link.signals.get(timeout=_WAIT_S)
        except queue.Empty:
            return 0.0
        match self._held:
            case Connected():
                self._link.subscribe(ALL_COMMAND_REPLIES)
            case Received():
                self._receive(self._held)
            case Acknowledged(mid=mid, reason=reason):
                self._acknowledged(mid, reason)
        self._held = None
        return 0.0

    def _receive(self, message: Received) -> None:
        try:
            reply = _decoded(message)
        except InvalidError as error:
            log.warning("a reply to a command is invalid and is dropped", extra={"reason": str(error)})
        else:
            self._store.add_reply(reply)
        self._link.acknowledge(message)

    def _acknowledged(self, mid: int, reason: int) -> None:
        command = self._under_way.get(mid)
        if command is not None and reason >= FAILURE:
            self._store.add_undelivered(command, f"the broker refuses commands of this hub (reason 0x{reason:02X})")
        elif command is not None and reason == NO_MATCHING_SUBSCRIBERS:
            self._store.add_undelivered(command, NO_SENSOR)
        self._under_way.pop(mid, None)


def _decoded(message: Received) -> ReplyMessage:
    """Return the reply in a message.

    Raises:
        InvalidError: not a reply, or one on the topic of another sensor.
    """
    reply = decode_json(ReplyMessage, message.payload, REPLY_CAP_BYTES)
    if message.topic != str(CommandTopic(reply.site, reply.sensor, "command-reply")):
        raise InvalidError(f"a reply of {reply.site}/{reply.sensor} came on the topic {message.topic}")
    return reply

"""The latest commands to sensors and the replies, in the store; the keys are in `hub.store.keys`.

Each status of a reply has a field of its own, so that several hubs may store the same replies in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args

from hub.domain.records import to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.rows import Rows
from shared.commands import COMMAND_CAP_BYTES, REPLY_CAP_BYTES, CommandMessage, ReplyMessage, ReplyStatus
from shared.messages.codec import decode_json, encode_json

KEPT_S: Final = 30 * 86_400
LATEST: Final = 20
"""Commands of a sensor that are kept."""
_STATUSES: Final[tuple[ReplyStatus, ...]] = get_args(ReplyStatus)
"""A later status replaces an earlier one."""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command to a sensor.

    Attributes:
        id: its id.
        action: what the sensor was to do.
        at: when it was sent, or when the sensor replied to a command of another program.
        command: as a hub sent it; None if another program did.
        reply: the latest reply; None without one.
        undelivered: why the broker did not deliver it; empty if it did.
    """

    id: str
    action: str
    at: datetime
    command: CommandMessage | None
    reply: ReplyMessage | None
    undelivered: str = ""

    @property
    def status(self) -> str:
        """Return the status of the latest reply, `undelivered`, or `sent`."""
        if self.reply is not None:
            return self.reply.status
        return "undelivered" if self.undelivered else "sent"


class SensorCommands:
    """Commands in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    @raises_unavailable
    def add(self, command: CommandMessage) -> None:
        """Keep a command."""
        self._write(
            f"{command.site}/{command.sensor}", command.id, command.sent_at, {"command": encode_json(command)}
        )

    @raises_unavailable
    def add_reply(self, reply: ReplyMessage) -> None:
        """Keep a reply."""
        self._write(f"{reply.site}/{reply.sensor}", reply.id, reply.at, {reply.status: encode_json(reply)})

    @raises_unavailable
    def add_undelivered(self, command: CommandMessage, reason: str) -> None:
        """Keep why the broker did not deliver a command."""
        self._write(f"{command.site}/{command.sensor}", command.id, command.sent_at, {"undelivered": reason})

    @raises_unavailable
    def latest(self, place: str) -> list[CommandRecord]:
        """Return the latest commands to a sensor, the newest first."""
        ids = [one.decode() for one in self._redis.zrevrange(keys.commands(place), 0, LATEST - 1)]
        pipe = self._redis.pipeline(transaction=False)
        for command_id in ids:
            pipe.hgetall(keys.command(place, command_id))
        read = (
            self._rows.read("command", command_id, record_of, row)
            for command_id, row in zip(ids, pipe.execute(), strict=True)
            if row
        )
        return [one for one in read if one is not None]

    def _write(self, place: str, command_id: str, at: datetime, fields: Mapping[str, bytes | str]) -> None:
        index, row = keys.commands(place), keys.command(place, command_id)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(index, {command_id: to_ms(at)}, nx=True)
            pipe.zremrangebyrank(index, 0, -(LATEST + 1))
            pipe.hset(row, mapping=dict(fields))
            pipe.expire(index, KEPT_S)
            pipe.expire(row, KEPT_S)
            pipe.execute()


def record_of(row: Mapping[bytes, bytes]) -> CommandRecord:
    """Return a command from its hash.

    Raises:
        InvalidError: a message that no program sends.
        LookupError: neither a command nor a reply.
    """
    sent = row.get(b"command")
    command = None if sent is None else decode_json(CommandMessage, sent, COMMAND_CAP_BYTES)
    replies = [row[status.encode()] for status in _STATUSES if status.encode() in row]
    reply = decode_json(ReplyMessage, replies[-1], REPLY_CAP_BYTES) if replies else None
    undelivered = row.get(b"undelivered", b"").decode()
    if command is not None:
        return CommandRecord(command.id, command.action, command.sent_at, command, reply, undelivered)
    if reply is None:
        raise LookupError("neither a command nor a reply")
    return CommandRecord(reply.id, reply.action, reply.at, None, reply)

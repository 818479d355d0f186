"""Dead letters: messages that could not be taken, kept in the store until a person looks, within limits.

A letter is of one of three kinds:

- `invalid`: its data is wrong, and will be. The head of the payload is kept, at most `HEAD_BYTES`.
- `unsupported`: this hub lacks the model of its feature space. The payload is kept whole, so that the letter can be
  re-injected once the hub has the model of the space.
- `bug`: handling it raised an unexpected error twice. The payload is kept whole, with the traceback.

The letters of one sensor and one kind form a queue. Two limits hold, and neither ever stops the hub: of `invalid`
letters a sensor has at most `limit`; and all letters together have at most `max_bytes`, beyond which the longest
queue (in bytes) loses its oldest letter. So a sensor that sends nothing else but rubbish pushes out its own rubbish,
and neither another sensor's letters nor those that can be re-injected.

Letters of earlier hubs are in no queue: the stream holds their payloads, and no limit pushes them out. The keys are
in `hub.store.keys`.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from hub.domain.records import from_ms, to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.json_rows import VERSION
from hub.store.rows import Rows
from shared.errors import InvalidError
from shared.mqtt.topics import SensorTopic

LetterKind = Literal["invalid", "unsupported", "bug"]

HEAD_BYTES: Final = 64 * 1024
"""Bytes kept of the payload of an `invalid` letter: an embedding's message whole, and the header of a FLAC."""
REASON_CHARACTERS: Final = 8_192
"""Longest reason that is kept; of a traceback, its end."""
TOPIC_BYTES: Final = 1_024
CAP_BYTES: Final = 256 * 1024 * 1024
_OVERHEAD: Final = 512
"""Bytes that a letter takes beside payload and reason, about."""
_DIGESTS_KEPT: Final = 10_000
_PAYLOAD: Final = b"payload"
"""The field with the payload of an earlier hub's letter."""

_REMOVE: Final = f"""
local function remove(id)
  local row = redis.call('XRANGE', '{keys.DEAD_LETTERS}', id, id)[1]
  if not row then return 0 end
  local queue, cost = row[2][2], tonumber(row[2][4])
  redis.call('XDEL', '{keys.DEAD_LETTERS}', id)
  if row[2][1] ~= 'queue' then return 1 end
  redis.call('DEL', '{keys.dead_letter("")}' .. id)
  redis.call('ZREM', '{keys.dead_letters_of("")}' .. queue, id)
  redis.call('DECRBY', '{keys.DEAD_LETTER_BYTES}', cost)
  if redis.call('EXISTS', '{keys.dead_letters_of("")}' .. queue) == 1 then
    redis.call('ZINCRBY', '{keys.DEAD_LETTER_QUEUES}', -cost, queue)
  else
    redis.call('ZREM', '{keys.DEAD_LETTER_QUEUES}', queue)
  end
  return 1
end
"""
_TAKE_OUT: Final = f"{_REMOVE} return remove(ARGV[1])"
_PUT: Final = f"""{_REMOVE}
local queue, cost, limit, cap, digest, retained, now, payload = unpack(ARGV, 1, 8)
if digest ~= '' then
  if retained == '1' and redis.call('ZSCORE', '{keys.DEAD_LETTER_DIGESTS}', digest) then return -1 end
  redis.call('ZADD', '{keys.DEAD_LETTER_DIGESTS}', now, digest)
  redis.call('ZREMRANGEBYRANK', '{keys.DEAD_LETTER_DIGESTS}', 0, -1 - {_DIGESTS_KEPT})
end
local id = redis.call('XADD', '{keys.DEAD_LETTERS}', '*', 'queue', queue, 'cost', cost, unpack(ARGV, 9))
redis.call('SET', '{keys.dead_letter("")}' .. id, payload)
redis.call('ZADD', '{keys.dead_letters_of("")}' .. queue, string.match(id, '^%d+'), id)
redis.call('ZINCRBY', '{keys.DEAD_LETTER_QUEUES}', cost, queue)
local total = redis.call('INCRBY', '{keys.DEAD_LETTER_BYTES}', cost)
local discarded = 0
local function push_out(from)
  discarded = discarded + remove(redis.call('ZRANGE', '{keys.dead_letters_of("")}' .. from, 0, 0)[1])
end
if tonumber(limit) > 0 and redis.call('ZCARD', '{keys.dead_letters_of("")}' .. queue) > tonumber(limit) then
  push_out(queue)
end
while total > tonumber(cap) do
  push_out(redis.call('ZREVRANGE', '{keys.DEAD_LETTER_QUEUES}', 0, 0)[1])
  local left = tonumber(redis.call('GET', '{keys.DEAD_LETTER_BYTES}'))
  if left >= total then break end
  total = left
end
if discarded > 0 then redis.call('INCRBY', '{keys.DEAD_LETTERS_DISCARDED}', discarded) end
return discarded
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be taken, without its payload.

    Attributes:
        id: as the store gave it; ids rise with time.
        kind: see the module.
        topic: it came on.
        size: bytes of the payload as it came.
        kept: bytes of it that were kept.
        reason: why it could not be taken; of a bug, the traceback.
        received_at: when it came.
    """

    id: str
    kind: LetterKind
    topic: str
    size: int
    kept: int
    reason: str
    received_at: datetime

    @property
    def is_complete(self) -> bool:
        """Return whether the payload is whole, so that it can be re-injected."""
        return self.kept == self.size


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum of dead letters that are kept.

    Attributes:
        limit: most `invalid` letters of one sensor.
        max_bytes: most bytes of all letters.
    """

    limit: int = 1_000
    max_bytes: int = CAP_BYTES


class DeadLetters:
    """The dead letters of a store; safe to use from several threads.

    Args:
        client: the store's client.
        limits: how many are kept.
        rows: counts those that cannot be read.
    """

    def __init__(self, client: Any, limits: Limits, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._limits = limits
        self._rows = rows
        self._put = client.register_script(_PUT)
        self._take_out = client.register_script(_TAKE_OUT)

    @raises_unavailable
    def put(
        self,
        *,
        topic: str,
        payload: bytes,
        reason: str,
        received_at: datetime,
        kind: LetterKind = "invalid",
        retained: bool = False,
    ) -> int | None:
        """Keep a message that could not be taken.

        Args:
            topic: it came on.
            payload: the message.
            reason: why it could not be taken.
            kind: see the module.
            received_at: when it came.
            retained: whether the broker had kept it and sends it again at each subscription.

        Returns:
            How many older letters were pushed out; None if it is a retained message that was put before.
        """
        kept = payload[:HEAD_BYTES] if kind == "invalid" else payload
        reason = reason[-REASON_CHARACTERS:]
        fields = {
            "v": VERSION,
            "kind": kind,
            "topic": topic.encode("utf-8", "replace")[:TOPIC_BYTES],
            "size": len(payload),
            "kept": len(kept),
            "reason": reason.encode("utf-8", "replace"),
            "received_ms": to_ms(received_at),
        }
        pushed_out = self._put(
            args=[
                f"{_sender(topic)}:{kind}",
                len(kept) + len(reason) + _OVERHEAD,
                self._limits.limit if kind == "invalid" else 0,
                self._limits.max_bytes,
                _digest(topic, payload),
                int(retained),
                to_ms(received_at),
                kept,
                *(part for pair in fields.items() for part in pair),
            ]
        )
        return None if pushed_out < 0 else int(pushed_out)

    @raises_unavailable
    def page(self, limit: int = 100, after: str = "") -> list[DeadLetter]:
        """Return the oldest letters after one, oldest first."""
        found: list[DeadLetter] = []
        while not found and (
            rows := self._redis.xrange(keys.DEAD_LETTERS, min=f"({after}" if after else "-", count=limit)
        ):  # a page of letters that cannot be read is not the end
            read = (self._rows.read("dead letter", key.decode(), _letter(key), row) for key, row in rows)
            found, after = [letter for letter in read if letter is not None], rows[-1][0].decode()
        return found

    @raises_unavailable
    def payload(self, letter: str) -> bytes:
        """Return the part of a letter's message that is kept; nothing if it is gone."""
        kept = self._redis.get(keys.dead_letter(letter))
        if kept is None:
            rows = self._redis.xrange(keys.DEAD_LETTERS, letter, letter)
            kept = rows[0][1].get(_PAYLOAD) if rows else None
        return bytes(kept or b"")

    @raises_unavailable
    def count(self) -> int:
        """Return the number of letters that wait."""
        return int(self._redis.xlen(keys.DEAD_LETTERS))

    @raises_unavailable
    def size_bytes(self) -> int:
        """Return the approximate number of bytes of all letters."""
        return int(self._redis.get(keys.DEAD_LETTER_BYTES) or 0)

    @raises_unavailable
    def discarded(self) -> int:
        """Return the number of letters discarded for newer ones since the store was made."""
        return int(self._redis.get(keys.DEAD_LETTERS_DISCARDED) or 0)

    @raises_unavailable
    def remove(self, letter: str) -> None:
        """Remove a letter, if it is there."""
        self._take_out(args=[letter])


def _letter(key: bytes) -> Any:  # noqa: ANN401 - see `Rows.read`
    def made(row: dict[bytes, bytes]) -> DeadLetter:
        kind = row.get(b"kind", b"invalid").decode()
        if kind not in get_args(LetterKind):
            raise ValueError("a dead letter of an unknown kind")
        return DeadLetter(
            id=key.decode(),
            kind=kind,  # type: ignore[arg-type] # mypy does not narrow by `get_args`
            topic=row[b"topic"].decode("utf-8", "replace"),
            size=int(row[b"size"]),
            kept=len(row[_PAYLOAD]) if _PAYLOAD in row else int(row[b"kept"]),
            reason=row[b"reason"].decode("utf-8", "replace"),
            received_at=from_ms(row[b"received_ms"]),
        )

    return made


def _sender(topic: str) -> str:
    """Whose letter it is: the sensor's place; "" of topics that are no sensor's."""
    try:
        source = SensorTopic.parse(topic)
    except InvalidError:
        return ""
    return f"{source.site}/{source.sensor}"


def _digest(topic: str, payload: bytes) -> str:
    """Return the digest of a message that may be retained; "" of topics whose messages are not retained."""
    if not topic.endswith("/state"):
        return ""
    return hashlib.sha256(topic.encode("utf-8", "replace") + b"\0" + payload).hexdigest()

"""The outbox of one channel in Redis: messages to send, alerts held for a digest, and dead letters.

Its keys are in `hub.store.keys`. A message holds the ids of its alerts; the hub reads the alerts when it claims the
message, so that it sends their latest version. It drops alerts that have expired.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from hub.domain.records import from_ms, to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.consumer_group import IDLE_S, ConsumerGroup, Entry
from shared.messages.alert import AlertMessage

CONSUMER_GROUP: Final = "delivery-workers"
EVENTS: Final = "events"
"""Field of an entry with the ids of its alerts, separated by spaces."""
DEAD_KEPT: Final = 10_000
"""Approximate maximum of dead letters per channel; the oldest are removed first."""
DIGEST_LIMIT: Final = 1_000
"""Maximum number of alerts in one digest; further ones follow in another."""
_DAY: Final = timedelta(days=1)

_RELEASE: Final = """
local held = redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1)
if #held == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', ARGV[2], table.concat(held, ' '), 'digest', '1')
redis.call('ZREM', KEYS[2], unpack(held))
return #held
"""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to send.

    Attributes:
        name: id of its entry in the stream.
        alerts: at least one; several in a digest.
        digest: whether this is a digest of held alerts.
    """

    name: str
    alerts: tuple[AlertMessage, ...]
    digest: bool = False

    @property
    def events(self) -> list[str]:
        """Ids of its alerts."""
        return [alert.event for alert in self.alerts]

    @property
    def put_at(self) -> datetime:
        """Time of its entry in the outbox, by the clock of Redis."""
        return from_ms(self.name.partition("-")[0].encode())


@dataclass(frozen=True, slots=True)
class FailedNotification:
    """A dead letter: alerts that a channel could not send, with reason, number of attempts and time."""

    id: str
    events: tuple[str, ...]
    reason: str
    attempts: int
    at: datetime
    digest: bool = False


@dataclass(frozen=True, slots=True)
class LastFailure:
    """Reason and time of the last failed attempt."""

    reason: str
    at: datetime


class Outbox:
    """The outbox of one channel.

    Args:
        client: Redis client.
        name: name of the channel.
    """

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - the client is untyped
        self.name = name
        self.key = keys.outbox(name)
        self._client = client
        self._stream = ConsumerGroup(client, self.key, CONSUMER_GROUP)
        self._held, self._sent = keys.outbox_held(name), keys.outbox_sent(name)
        self._tries, self._dead = keys.outbox_failures(name), keys.outbox_dead_letters(name)
        self._release = client.register_script(_RELEASE)

    def put(self, pipe: Any, events: Sequence[str], *, digest: bool = False) -> None:  # noqa: ANN401
        """Add one message about at least one alert to a pipeline.

        Args:
            pipe: pipeline that the caller executes.
            events: ids of the alerts.
            digest: see `Notification`.
        """
        pipe.xadd(self.key, {EVENTS: " ".join(events), **({"digest": "1"} if digest else {})})
        pipe.sadd(keys.OUTBOXES, self.name)

    @raises_unavailable
    def claim(
        self, hub: str, *, limit: int = 100, wait_s: float = 0.1, left_over: bool = False, idle_s: float = IDLE_S
    ) -> list[Notification]:
        """Claim messages to send, oldest first; see `ConsumerGroup.take`. Drop those whose alerts all expired.

        Raises:
            UnavailableError: Redis does not answer.
        """
        entries = self._stream.take(hub, limit=limit, wait_s=wait_s, left_over=left_over, idle_s=idle_s)
        return self._read(entries)

    def _read(self, entries: Sequence[Entry]) -> list[Notification]:
        ids = [fields.get(EVENTS.encode(), b"").decode(errors="replace").split() for _, fields in entries]
        flat = [event for events in ids for event in events]
        rows = dict(zip(flat, self._client.mget([keys.alert(e) for e in flat]), strict=True)) if flat else {}
        messages: list[Notification] = []
        gone: list[str] = []
        for (name, fields), events in zip(entries, ids, strict=True):
            try:
                alerts = [AlertMessage.model_validate_json(rows[e]) for e in events if rows[e] is not None]
            except ValidationError as error:  # written by another version of this program
                self._fail(name, events, f"this hub cannot read the alert: {error.error_count()} faults", 0)
                continue
            if alerts:
                messages.append(Notification(name, tuple(alerts), b"digest" in fields))
            else:
                gone.append(name)
        if gone:
            self._done(gone)
        return messages

    @raises_unavailable
    def extend_lease(self, hub: str, name: str) -> bool:
        """Return whether this hub still holds a message; if so, restart its idle time.

        Raises:
            UnavailableError: Redis does not answer.
        """
        return self._stream.keep(hub, name)

    @raises_unavailable
    def ack(self, names: Sequence[str], *, counted: Iterable[str] = (), at: datetime | None = None) -> None:
        """Record that at least one message was sent.

        Args:
            names: names of the messages.
            counted: ids of the alerts that count towards the daily limit.
            at: time of sending; required with `counted`.

        Raises:
            UnavailableError: Redis does not answer; the messages will be sent again.
        """
        self._done(names, {event: to_ms(at) for event in counted} if at is not None else {}, at)

    def _done(self, names: Sequence[str], counted: dict[str, int] | None = None, at: datetime | None = None) -> None:
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, names)
            pipe.hdel(self._tries, *names)
            if counted:
                pipe.zadd(self._sent, counted)
            if at is not None:
                pipe.zremrangebyscore(self._sent, "-inf", to_ms(at - _DAY))
                pipe.hdel(self._tries, "reason", "at")
            pipe.execute()

    @raises_unavailable
    def sent_last_24h(self, now: datetime) -> int:
        """Return the number of alerts sent individually in the last 24 hours."""
        return int(self._client.zcount(self._sent, f"({to_ms(now - _DAY)}", "+inf"))

    @raises_unavailable
    def count(self) -> int:
        """Return the number of messages to send, with those in flight."""
        return self._stream.count()

    @raises_unavailable
    def defer_to_digest(self, message: Notification, at: datetime) -> None:
        """Hold the alerts of a message until `flush_digest`, and finish the message.

        Args:
            message: message to hold.
            at: time from which it is held.
        """
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, [message.name])
            pipe.hdel(self._tries, message.name)
            pipe.zadd(self._held, dict.fromkeys(message.events, to_ms(at)), nx=True)
            pipe.execute()

    @raises_unavailable
    def held_count(self) -> int:
        """Return the number of held alerts."""
        return int(self._client.zcard(self._held))

    @raises_unavailable
    def held_since(self) -> datetime | None:
        """Return the time from which the oldest held alert waits; None if none is held."""
        first = self._client.zrange(self._held, 0, 0, withscores=True)
        return from_ms(str(int(first[0][1])).encode()) if first else None

    @raises_unavailable
    def flush_digest(self) -> int:
        """Combine the held alerts into one message; of several hubs, the first call does it.

        Returns:
            Number of its alerts; 0 if none was held.
        """
        return int(self._release(keys=[self.key, self._held], args=[DIGEST_LIMIT, EVENTS]))

    @raises_unavailable
    def note_failure(self, name: str, reason: str, at: datetime) -> int:
        """Record a failed attempt.

        Returns:
            Number of failed attempts of this message.
        """
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hincrby(self._tries, name, 1)
            pipe.hset(self._tries, mapping={"reason": reason, "at": to_ms(at)})
            return int(pipe.execute()[0])

    @raises_unavailable
    def trouble(self) -> LastFailure | None:
        """Return the failure of the last attempt; None if it succeeded."""
        reason, at = self._client.hmget(self._tries, "reason", "at")
        return LastFailure(reason.decode("utf-8", "replace"), from_ms(at)) if reason and at else None

    @raises_unavailable
    def move_to_dead_letters(self, message: Notification, reason: str, attempts: int) -> None:
        """Turn a message into a dead letter, for an operator.

        Args:
            message: message that cannot be sent.
            reason: cause of the failure.
            attempts: number of attempts.
        """
        self._fail(message.name, message.events, reason, attempts, digest=message.digest)

    def _fail(self, name: str, events: Sequence[str], reason: str, attempts: int, *, digest: bool = False) -> None:
        row = {EVENTS: " ".join(events), "reason": reason, "attempts": attempts, "digest": "1" if digest else ""}
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, [name])
            pipe.hdel(self._tries, name)
            pipe.xadd(self._dead, row, maxlen=DEAD_KEPT, approximate=True)
            pipe.execute()

    @raises_unavailable
    def dead(self, limit: int = DEAD_KEPT) -> list[FailedNotification]:
        """Return at most `limit` dead letters, oldest first."""
        return [
            FailedNotification(
                id=name.decode(),
                events=tuple(row[EVENTS.encode()].decode().split()),
                reason=row[b"reason"].decode("utf-8", "replace"),
                attempts=int(row[b"attempts"]),
                at=from_ms(name.partition(b"-")[0]),
                digest=bool(row[b"digest"]),
            )
            for name, row in self._client.xrange(self._dead, count=limit)
        ]

    @raises_unavailable
    def dead_count(self) -> int:
        """Return the number of dead letters."""
        return int(self._client.xlen(self._dead))

    @raises_unavailable
    def requeue(self, letters: Sequence[FailedNotification]) -> None:
        """Queue dead letters again, after all messages that wait now."""
        with self._client.pipeline(transaction=True) as pipe:
            for letter in letters:
                self.put(pipe, letter.events, digest=letter.digest)
                pipe.xdel(self._dead, letter.id)
            pipe.execute()

    @raises_unavailable
    def remove(self, letters: Sequence[FailedNotification]) -> None:
        """Remove dead letters for good."""
        with self._client.pipeline(transaction=False) as pipe:  # a full store refuses transactions
            for letter in letters:
                pipe.xdel(self._dead, letter.id)
            pipe.execute()


def known_names(client: Any) -> list[str]:  # noqa: ANN401
    """Return the names of all channels that ever had a message, including those no longer in the settings."""
    return sorted(name.decode() for name in client.smembers(keys.OUTBOXES))

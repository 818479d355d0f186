"""What one notifier still has to tell: alerts on their way, alerts held back, alerts it could not be told.

Its keys are in `hub.store.keys`. The alerts themselves are read when they are taken, so whatever became known of them
meanwhile is told too; those that expired are done with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from hub.domain.records import from_ms, to_ms
from hub.store import keys
from hub.store.consumer_group import IDLE_S, ConsumerGroup, Entry
from hub.store.events import translated
from shared.messages import AlertMessage

CONSUMER_GROUP: Final = "couriers"
EVENTS: Final = "events"
"""The field of an entry that holds the ids of its alerts, with spaces between."""
DEAD_KEPT: Final = 10_000
"""About so many dead letters are kept of one notifier; the oldest go first."""
DIGEST_LIMIT: Final = 1_000
"""Most alerts of one digest; what is beyond comes in another."""
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
        name: under which it is done with.
        alerts: at least one; several of a digest.
        digest: whether these alerts were held back and now go out as one.
    """

    name: str
    alerts: tuple[AlertMessage, ...]
    digest: bool = False

    @property
    def events(self) -> list[str]:
        """The ids of its alerts."""
        return [alert.event for alert in self.alerts]

    @property
    def put_at(self) -> datetime:
        """When it was put here, by the store's clock."""
        return from_ms(self.name.partition("-")[0].encode())


@dataclass(frozen=True, slots=True)
class FailedNotification:
    """A dead letter: alerts that a notifier could not be told, why, after how many attempts, and when it gave up."""

    id: str
    events: tuple[str, ...]
    reason: str
    attempts: int
    at: datetime
    digest: bool = False


@dataclass(frozen=True, slots=True)
class LastFailure:
    """Why the last attempt failed, and when."""

    reason: str
    at: datetime


class Outbox:
    """The alerts that one notifier still has to be told.

    Args:
        client: the store's client.
        name: the notifier's.
    """

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - the client is untyped
        self.name = name
        self.key = keys.outbox(name)
        self._client = client
        self._stream = ConsumerGroup(client, self.key, CONSUMER_GROUP)
        self._held, self._told = keys.outbox_held(name), keys.outbox_sent(name)
        self._tries, self._dead = keys.outbox_failures(name), keys.outbox_dead_letters(name)
        self._release = client.register_script(_RELEASE)

    def put(self, pipe: Any, events: Sequence[str], *, digest: bool = False) -> None:  # noqa: ANN401
        """Have a pipeline put in one message about some alerts, at least one.

        Args:
            pipe: the caller's, who executes it.
            events: ids of the alerts.
            digest: see `Outgoing`.
        """
        pipe.xadd(self.key, {EVENTS: " ".join(events), **({"digest": "1"} if digest else {})})
        pipe.sadd(keys.OUTBOXES, self.name)

    @translated
    def claim(
        self, hub: str, *, limit: int = 100, wait_s: float = 0.1, left_over: bool = False, idle_s: float = IDLE_S
    ) -> list[Notification]:
        """Messages to send, the oldest first; see `Stream.take`. One whose alerts all expired is done with.

        Raises:
            Unavailable: the store is away.
        """
        entries = self._stream.take(hub, limit=limit, wait_s=wait_s, left_over=left_over, idle_s=idle_s)
        return self._read(entries)

    def _read(self, entries: Sequence[Entry]) -> list[Notification]:
        ids = [fields.get(EVENTS.encode(), b"").decode(errors="replace").split() for _, fields in entries]
        flat = [event for one in ids for event in one]
        rows = dict(zip(flat, self._client.mget([keys.alert(e) for e in flat]), strict=True)) if flat else {}
        found: list[Notification] = []
        gone: list[str] = []
        for (name, fields), events in zip(entries, ids, strict=True):
            try:
                alerts = [AlertMessage.model_validate_json(rows[e]) for e in events if rows[e] is not None]
            except ValidationError as error:  # written by another version of this program
                self._bury(name, events, f"not an alert that this hub can read: {error.error_count()} faults", 0)
                continue
            if alerts:
                found.append(Notification(name, tuple(alerts), b"digest" in fields))
            else:
                gone.append(name)
        if gone:
            self._done(gone)
        return found

    @translated
    def extend_lease(self, hub: str, name: str) -> bool:
        """Whether a message is still this hub's to send; if so, its idle time begins anew.

        Raises:
            Unavailable: the store is away.
        """
        return self._stream.keep(hub, name)

    @translated
    def ack(self, names: Sequence[str], *, told: Iterable[str] = (), at: datetime | None = None) -> None:
        """Note that some messages, at least one, were sent.

        Args:
            names: of the messages.
            told: ids of the alerts that count towards the most a day.
            at: when they went out; needed with `told`.

        Raises:
            Unavailable: the store is away; they will be sent again.
        """
        self._done(names, {event: to_ms(at) for event in told} if at is not None else {}, at)

    def _done(self, names: Sequence[str], told: dict[str, int] | None = None, at: datetime | None = None) -> None:
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, names)
            pipe.hdel(self._tries, *names)
            if told:
                pipe.zadd(self._told, told)
            if at is not None:
                pipe.zremrangebyscore(self._told, "-inf", to_ms(at - _DAY))
                pipe.hdel(self._tries, "reason", "at")
            pipe.execute()

    @translated
    def sent_last_24h(self, now: datetime) -> int:
        """How many alerts went out on their own in the last 24 hours."""
        return int(self._client.zcount(self._told, f"({to_ms(now - _DAY)}", "+inf"))

    @translated
    def count(self) -> int:
        """How many messages wait to be sent, or are under way."""
        return self._stream.count()

    @translated
    def defer_to_digest(self, message: Notification, at: datetime) -> None:
        """Hold a message's alerts back until `release`.

        Args:
            message: is done with.
            at: since when it is held.
        """
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, [message.name])
            pipe.hdel(self._tries, message.name)
            pipe.zadd(self._held, dict.fromkeys(message.events, to_ms(at)), nx=True)
            pipe.execute()

    @translated
    def held_count(self) -> int:
        """How many alerts are held back."""
        return int(self._client.zcard(self._held))

    @translated
    def held_since(self) -> datetime | None:
        """Since when the first of the alerts that are held back waits; None if there is none."""
        first = self._client.zrange(self._held, 0, 0, withscores=True)
        return from_ms(str(int(first[0][1])).encode()) if first else None

    @translated
    def flush_digest(self) -> int:
        """Make what is held back one message to send, whichever hub asks first.

        Returns:
            How many alerts it has; 0 if none was held.
        """
        return int(self._release(keys=[self.key, self._held], args=[DIGEST_LIMIT, EVENTS]))

    @translated
    def note_failure(self, name: str, reason: str, at: datetime) -> int:
        """Remember an attempt that failed.

        Returns:
            How often sending this message failed so far.
        """
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hincrby(self._tries, name, 1)
            pipe.hset(self._tries, mapping={"reason": reason, "at": to_ms(at)})
            return int(pipe.execute()[0])

    @translated
    def trouble(self) -> LastFailure | None:
        """Why the last attempt failed; None if it did not."""
        reason, at = self._client.hmget(self._tries, "reason", "at")
        return LastFailure(reason.decode("utf-8", "replace"), from_ms(at)) if reason and at else None

    @translated
    def move_to_dead_letters(self, message: Notification, reason: str, attempts: int) -> None:
        """Give a message up: it becomes a dead letter, for a person to look at.

        Args:
            message: is done with.
            reason: why it could not be sent.
            attempts: how often it was tried.
        """
        self._bury(message.name, message.events, reason, attempts, digest=message.digest)

    def _bury(self, name: str, events: Sequence[str], reason: str, attempts: int, *, digest: bool = False) -> None:
        row = {EVENTS: " ".join(events), "reason": reason, "attempts": attempts, "digest": "1" if digest else ""}
        with self._client.pipeline(transaction=True) as pipe:
            self._stream.done(pipe, [name])
            pipe.hdel(self._tries, name)
            pipe.xadd(self._dead, row, maxlen=DEAD_KEPT, approximate=True)
            pipe.execute()

    @translated
    def dead(self, limit: int = DEAD_KEPT) -> list[FailedNotification]:
        """The oldest dead letters, oldest first."""
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

    @translated
    def dead_count(self) -> int:
        """How many dead letters wait for a person."""
        return int(self._client.xlen(self._dead))

    @translated
    def requeue(self, letters: Sequence[FailedNotification]) -> None:
        """Have dead letters sent again, after all that waits now."""
        with self._client.pipeline(transaction=True) as pipe:
            for letter in letters:
                self.put(pipe, letter.events, digest=letter.digest)
                pipe.xdel(self._dead, letter.id)
            pipe.execute()

    @translated
    def remove(self, letters: Sequence[FailedNotification]) -> None:
        """Remove dead letters for good."""
        with self._client.pipeline(transaction=False) as pipe:  # a full store refuses transactions
            for letter in letters:
                pipe.xdel(self._dead, letter.id)
            pipe.execute()


def known_names(client: Any) -> list[str]:  # noqa: ANN401
    """The notifiers that alerts were ever put out for, whether or not they are still in the settings."""
    return sorted(name.decode() for name in client.smembers(keys.OUTBOXES))


def now_utc() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)

"""The archive: every event, alert, sensor state and dead letter, in Redis.

Keys: `ew:event:<id>` hash, `ew:events` time index (sorted set, ms), `ew:alert:<id>` JSON, `ew:alerts` time
index, `ew:alerts:due` stream of those to be told (by `hub.notify`), `ew:sensors` set of `site/sensor`,
`ew:sensor:<site/sensor>` hash, `ew:changes` stream of events that came and went, `ew:dead-letters` stream. One Lua
call writes an event, so it is there whole or not at all, and only once.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import numpy as np
import redis

from hub.health.hearing import BEGAN, FIELD, NOTE, TOLD, Ear, numbers_fields
from hub.search.match import PRESENT
from hub.stored import (
    FIELDS,
    Change,
    DeadLetter,
    Recorded,
    Sensor,
    StoredEvent,
    fields_of,
    ms_of,
    report_fields,
    sensor_of,
    stored_of,
    time_of,
)
from shared.errors import Busy, Invalid, Unavailable
from shared.events import EventId
from shared.messages import AlertMessage, StateMessage
from shared.taxonomy import CATEGORIES

PREFIX: Final = "ew"
DEAD_LETTER_HEAD_BYTES: Final = 64 * 1024
"""How much of a payload over the event cap a dead letter keeps."""
CHANGES_KEPT: Final = 1_000_000
"""About so many changes are kept for hubs that follow; one that was away for longer compares all ids."""
_CHANGES: Final = f"{PREFIX}:changes"
DUE: Final = f"{PREFIX}:alerts:due"
"""Stream of the events whose alerts nobody was told of yet."""
_BATCH: Final = 256
_PAGE: Final = 10_000

_OWN: Final = 11
"""Arguments of the script before an event's fields."""
_RECORD: Final = f"""{NOTE}
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HEXISTS', KEYS[1], 'completed')
end
redis.call('HSET', KEYS[1], unpack(ARGV, {_OWN + 1}))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
local row = redis.call('HMGET', KEYS[4], '{FIELD}', '{TOLD}', '{BEGAN}')
local hearing = note(row[1], row[2], row[3], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[4]),
  tonumber(ARGV[8]), ARGV[9] == '1', tonumber(ARGV[10]), ARGV[11])
redis.call('HSET', KEYS[4], 'last_event', ARGV[1], 'last_captured_ms', ARGV[2], 'last_received_ms', ARGV[4],
  '{FIELD}', hearing)
redis.call('HINCRBY', KEYS[4], 'events', 1)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[5], '*', 'added', ARGV[1])
for i = 6, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
end
return -1
"""
_RECORD_SHA: Final = hashlib.sha1(_RECORD.encode(), usedforsecurity=False).hexdigest()


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def translated(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Turn the client's errors into ours, at the edge of a class that uses the store.

    Raises:
        Unavailable: instead of whatever the client raises.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            raise Unavailable(f"the store: {error}") from error

    return call


class Archive:
    """The store's one client; safe to use from several threads.

    Args:
        url: as `redis.Redis.from_url` takes it.
        timeout_s: longest wait for one answer.
        dead_letter_limit: most dead letters that may wait.
        ear: what a microphone that lives is known by.
    """

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, dead_letter_limit: int = 10_000, ear: Ear | None = None
    ) -> None:
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2
            )
        except ValueError:  # its text may quote a part of the password
            raise Invalid("redis.url is not redis://[user:password@]host:port/db, rediss:// or unix://path") from None
        self._dead_letter_limit = dead_letter_limit
        self._ear = ear or Ear()

    @property
    def client(self) -> Any:  # noqa: ANN401 - the client is untyped
        """The store's client, for what else is kept beside events."""
        return self._redis

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    @translated
    def verify(self) -> None:
        """Check that the server may be trusted with the archive.

        Raises:
            Invalid: the server evicts keys when its memory is full (redis#8842).
            Unavailable: it does not answer.
        """
        policy = str(self._redis.info("memory").get("maxmemory_policy", "unknown"))
        if policy != "noeviction":
            raise Invalid(
                f"the store would throw events away: its maxmemory-policy is {policy!r}. "
                "Set `maxmemory-policy noeviction` in its configuration; the hub does its own retention."
            )

    @translated
    def durable(self) -> bool:
        """Whether the server writes an append-only file, so that its own crash loses at most a second."""
        return bool(self._redis.info("persistence").get("aof_enabled", 0))

    def record(self, event: StoredEvent) -> Recorded:
        """`record_all` of one."""
        return self.record_all([event])[0]

    @translated
    def record_all(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        """Write events, each once; a repeat changes nothing. One round trip; each event is atomic.

        Raises:
            Unavailable: the store did not answer; nothing is known of the writes, and repeating them is safe.
        """
        if not events:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            self._record(pipe, event)
        try:
            answers = pipe.execute()
        except redis.exceptions.NoScriptError:  # a server that was started anew; some may be written by now
            self._redis.script_load(_RECORD)
            return self.record_all(events)
        return [Recorded(int(answer)) for answer in answers]

    def _record(self, pipe: Any, event: StoredEvent) -> None:  # noqa: ANN401 - the client is untyped
        fields = fields_of(event)
        key, flat = str(event.id), [part for pair in fields.items() for part in pair]
        keys = [_event(key), f"{PREFIX}:events", f"{PREFIX}:sensors", _sensor(event.place), _CHANGES]
        keys += indexes_of(event.place, event.presence)
        pipe.evalsha(
            _RECORD_SHA,
            len(keys),
            *keys,
            *(key, fields["captured_ms"], event.place, fields["received_ms"], CHANGES_KEPT),
            *self._ear.arguments(event),
            *flat,
        )

    @translated
    def known_all(self, events: Sequence[EventId]) -> list[Recorded]:
        """What `record_all` would answer, without writing: spares the features of repeats."""
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hmget(_event(str(event)), "site", "completed")
        return [
            Recorded.NEW if site is None else Recorded.UNFINISHED if completed is None else Recorded.REPEAT
            for site, completed in pipe.execute()
        ]

    @translated
    def complete_all(self, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:
        """Mark events as looked at, and keep their alerts until they are told; one transaction."""
        with self._redis.pipeline(transaction=True) as pipe:
            self.queue_completion(pipe, done)
            pipe.execute()

    def queue_completion(self, pipe: Any, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:  # noqa: ANN401
        """`complete_all` as a part of another transaction."""
        for event, alert in done:
            if alert is not None:
                pipe.set(_alert(alert.event), alert.model_dump_json())
                pipe.zadd(f"{PREFIX}:alerts", {alert.event: ms_of(alert.captured_at)})
                pipe.xadd(DUE, {"event": alert.event})
            pipe.hset(_event(str(event)), "completed", 1)

    @translated
    def position(self) -> str:
        """The place of the newest change; `changes` from here tells what comes later."""
        newest = self._redis.xrevrange(_CHANGES, count=1)
        return newest[0][0].decode() if newest else "0-0"

    @translated
    def changes(self, after: str, *, limit: int = 1_000) -> tuple[str, list[Change]] | None:
        """What came and went after a position.

        Args:
            after: a position told before.
            limit: most changes told.

        Returns:
            The position now, and the changes, oldest first; None if some after this position may be kept no more,
            or if the store does not know the position: it was emptied, or came back as it was before.
        """
        with self._redis.pipeline(transaction=True) as pipe:  # else it may be trimmed between two answers
            pipe.xrange(_CHANGES, count=1)
            pipe.xrevrange(_CHANGES, count=1)
            pipe.xlen(_CHANGES)
            pipe.xread({_CHANGES: after}, count=limit)
            oldest, newest, kept, found = pipe.execute()
        if after == "0-0":
            missed = kept >= CHANGES_KEPT  # trimming leaves at least so many
        else:
            missed = not oldest or not _order(oldest[0][0]) <= _order(after) <= _order(newest[0][0])
        if missed:
            return None
        if not found:
            return after, []
        entries = found[0][1]
        changes = [Change(name.decode(), what == b"gone") for _, row in entries for what, name in row.items()]
        return entries[-1][0].decode(), changes

    def ids(self) -> Iterator[list[str]]:
        """All events in pages, oldest first, each once; one that is added or removed meanwhile may be missing.

        Pages go on from a time, not from a rank: ranks shift when old events expire, and others were overlooked.
        """
        start, told = "-inf", set[str]()
        while rows := self._ids_from(start, _PAGE + len(told)):
            if page := [event for event, _ in rows if event not in told]:
                yield page
            else:
                return
            newest = rows[-1][1]
            start, told = repr(newest), {event for event, at in rows if at == newest}

    @translated
    def _ids_from(self, start: str, limit: int) -> list[tuple[str, float]]:
        """Events captured at this time (ms) or later, with their times, oldest first."""
        rows = self._redis.zrangebyscore(f"{PREFIX}:events", start, "+inf", start=0, num=limit, withscores=True)
        return [(key.decode(), at) for key, at in rows]

    @translated
    def fetch(self, events: Sequence[str]) -> list[StoredEvent]:
        """Those of some events that are there, in their order; one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for key in events:
            pipe.hmget(_event(key), FIELDS)
        rows = zip(events, pipe.execute(), strict=True)
        return [event for key, row in rows if (event := stored_of(key, row)) is not None]

    def get(self, event: EventId) -> StoredEvent | None:
        """One event, or None."""
        return next(iter(self.fetch([str(event)])), None)

    @translated
    def count(self) -> int:
        """How many events are archived."""
        return int(self._redis.zcard(f"{PREFIX}:events"))

    @translated
    def events(
        self, *, limit: int = 50, before: datetime | None = None, place: str | None = None
    ) -> list[StoredEvent]:
        """The newest events, newest first.

        Args:
            limit: most events returned.
            before: only events captured before this.
            place: only events of this `site/sensor`.
        """
        upper = "+inf" if before is None else f"({ms_of(before)}"
        index = f"{PREFIX}:events" if place is None else index_of(place)
        ids = self._redis.zrevrangebyscore(index, upper, "-inf", start=0, num=limit)
        return self.fetch([key.decode() for key in ids])

    @translated
    def alerts(self, *, limit: int = 50, before: datetime | None = None) -> list[AlertMessage]:
        """The newest alerts, newest first."""
        upper = "+inf" if before is None else f"({ms_of(before)}"
        ids = self._redis.zrevrangebyscore(f"{PREFIX}:alerts", upper, "-inf", start=0, num=limit)
        return self._alerts(ids)

    @translated
    def alert(self, event: str) -> AlertMessage | None:
        """The alert of one event, or None."""
        return next(iter(self._alerts([event.encode()])), None)

    @translated
    def alert_count(self) -> int:
        """How many alerts are kept."""
        return int(self._redis.zcard(f"{PREFIX}:alerts"))

    def _alerts(self, ids: list[bytes]) -> list[AlertMessage]:
        if not ids:
            return []
        rows = self._redis.mget([_alert(key.decode()) for key in ids])
        return [AlertMessage.model_validate_json(row) for row in rows if row is not None]

    @translated
    def note_state(self, state: StateMessage) -> bool:
        """Keep a sensor's announced state; a late `lost` of an earlier boot is ignored.

        Returns:
            Whether the state was taken.
        """
        place = f"{state.site}/{state.sensor}"
        names = ("boot", "highest_seq")
        found = zip(names, self._redis.hmget(_sensor(place), names), strict=True)
        known = {name: value.decode() for name, value in found if value is not None}
        if state.state == "lost" and known.get("boot", state.boot) != state.boot:
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(f"{PREFIX}:sensors", place)
            reported = report_fields(state.report) if state.report is not None else {}
            numbers = numbers_fields(state, known)
            pipe.hset(_sensor(place), mapping={"state": state.state, "boot": state.boot, **reported, **numbers})
            pipe.execute()
        return True

    @translated
    def sensors(self) -> list[Sensor]:
        """All sensors that ever spoke, by name."""
        places = sorted(name.decode() for name in self._redis.smembers(f"{PREFIX}:sensors"))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(_sensor(place))
        return [sensor_of(place, row) for place, row in zip(places, pipe.execute(), strict=True)]

    @translated
    def bury(self, *, topic: str, payload: bytes, reason: str, received_at: datetime, cap_bytes: int) -> None:
        """Keep a message that cannot be taken; only the head of one over the cap.

        Raises:
            Busy: the limit of dead letters is reached: a person must look first.
        """
        if int(self._redis.xlen(f"{PREFIX}:dead-letters")) >= self._dead_letter_limit:
            raise Busy(
                f"{self._dead_letter_limit} dead letters wait: look at `earwitness-hub dead-letters list`, "
                "then re-inject or remove them"
            )
        kept = payload if len(payload) <= cap_bytes else payload[:DEAD_LETTER_HEAD_BYTES]
        self._redis.xadd(
            f"{PREFIX}:dead-letters",
            {
                "topic": topic.encode("utf-8", "replace"),
                "payload": kept,
                "size": len(payload),
                "reason": reason,
                "received_ms": ms_of(received_at),
            },
        )

    @translated
    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The oldest dead letters, oldest first."""
        rows = self._redis.xrange(f"{PREFIX}:dead-letters", count=limit)
        return [
            DeadLetter(
                id=key.decode(),
                topic=row[b"topic"].decode("utf-8", "replace"),
                payload=row[b"payload"],
                size=int(row[b"size"]),
                reason=row[b"reason"].decode("utf-8", "replace"),
                received_at=time_of(row[b"received_ms"]),
            )
            for key, row in rows
        ]

    @translated
    def dead_letter_count(self) -> int:
        """How many dead letters wait."""
        return int(self._redis.xlen(f"{PREFIX}:dead-letters"))

    @translated
    def unbury(self, letter_id: str) -> None:
        """Remove a dead letter."""
        self._redis.xdel(f"{PREFIX}:dead-letters", letter_id)

    @translated
    def expire(self, before: datetime) -> dict[str, str]:
        """Remove one batch of events and alerts captured before a time.

        Returns:
            The events removed, each with the path of its clip, or ""; call again until there are none.
        """
        ids = self._redis.zrangebyscore(f"{PREFIX}:events", "-inf", f"({ms_of(before)}", start=0, num=_BATCH)
        with self._redis.pipeline(transaction=False) as pipe:
            for key in ids:
                pipe.hmget(_event(key.decode()), "clip", "site", "presence")
            rows = dict(zip([key.decode() for key in ids], pipe.execute(), strict=True))
        alerts = self._redis.zrangebyscore(f"{PREFIX}:alerts", "-inf", f"({ms_of(before)}", start=0, num=_BATCH)
        with self._redis.pipeline(transaction=True) as pipe:
            for key, (_, site, presence) in rows.items():
                pipe.delete(_event(key))
                pipe.zrem(f"{PREFIX}:events", key)
                if site is not None and presence is not None:
                    place = f"{site.decode()}/{EventId.parse(key).sensor}"
                    for index in indexes_of(place, np.frombuffer(presence, dtype="<f4").tolist()):
                        pipe.zrem(index, key)
                pipe.xadd(_CHANGES, {"gone": key}, maxlen=CHANGES_KEPT, approximate=True)
            for key in alerts:
                pipe.delete(_alert(key.decode()))
                pipe.zrem(f"{PREFIX}:alerts", key)
            pipe.execute()
        return {key: (clip or b"").decode() for key, (clip, _, _) in rows.items()}


def index_of(what: str) -> str:
    """Key of the time index of a place, `site/sensor`, or of a category."""
    return f"{PREFIX}:events:{what}"


def indexes_of(place: str, presence: Sequence[float]) -> list[str]:
    """Keys of the time indexes that an event is in, beside that of all events."""
    present = [name for name, p in zip(CATEGORIES, presence, strict=True) if p >= PRESENT]
    return [index_of(what) for what in (place, *present)]


def _event(key: str) -> str:
    return f"{PREFIX}:event:{key}"


def _alert(key: str) -> str:
    return f"{PREFIX}:alert:{key}"


def _sensor(place: str) -> str:
    return f"{PREFIX}:sensor:{place}"


def _order(position: str | bytes) -> tuple[int, int]:
    """A stream position as numbers that compare."""
    text = position.decode() if isinstance(position, bytes) else position
    ms, _, number = text.partition("-")
    return int(ms), int(number)

"""The archive: every event, alert, sensor state and dead letter, in Redis.

Keys: `ew:event:<id>` hash, `ew:events` time index (sorted set, ms), `ew:alert:<id>` JSON, `ew:alerts` time
index, `ew:alerts:unpublished` set, `ew:sensors` set of `site/sensor`, `ew:sensor:<site/sensor>` hash,
`ew:dead-letters` stream. One Lua call writes an event, so it is there whole or not at all, and only once.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import numpy as np
import redis

from shared.errors import Busy, Invalid, Unavailable
from shared.events import EventId, Levels
from shared.messages import AlertMessage, StateMessage
from shared.space import Features, space_of

PREFIX: Final = "ew"
DEAD_LETTER_HEAD_BYTES: Final = 64 * 1024
"""How much of a payload over the event cap a dead letter keeps."""
_BATCH: Final = 256

_RECORD: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HEXISTS', KEYS[1], 'completed')
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
redis.call('HSET', KEYS[4], 'last_event', ARGV[1], 'last_captured_ms', ARGV[2], 'last_received_ms', ARGV[4])
redis.call('HINCRBY', KEYS[4], 'events', 1)
return -1
"""


class Recorded(Enum):
    """What came of writing an event."""

    NEW = -1
    UNFINISHED = 0
    """Archived before, but the hub stopped before it had looked for matches."""
    REPEAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class StoredEvent:
    """An archived event.

    Attributes:
        features: uint8 [frames, dimension] of the feature space `space`.
        presence: probability of each category, float32 [8].
        clip: path of the audio below the clip directory, or "".
    """

    id: EventId
    site: str
    captured_at: datetime
    received_at: datetime
    duration_s: float
    levels: Levels
    space: str
    features: Features
    presence: tuple[float, ...]
    clip: str = ""

    @property
    def place(self) -> str:
        """`site/sensor`."""
        return f"{self.site}/{self.id.sensor}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be taken, with the reason; `payload` is cut short if `size` is larger."""

    id: str
    topic: str
    payload: bytes
    size: int
    reason: str
    received_at: datetime

    @property
    def whole(self) -> bool:
        """Whether the payload is all there, so that it can be re-injected."""
        return len(self.payload) == self.size


@dataclass(frozen=True, slots=True)
class Sensor:
    """What is known of a sensor: its last event and the state it announced."""

    place: str
    events: int
    last_event: str
    last_captured_at: datetime | None
    last_received_at: datetime | None
    state: str
    boot: str


P = ParamSpec("P")
R = TypeVar("R")


def _translated(
    method: Callable[Concatenate["Archive", P], R],
) -> Callable[Concatenate["Archive", P], R]:
    """Turn the client's errors into ours, at the edge of this module."""

    @functools.wraps(method)
    def call(self: "Archive", /, *args: P.args, **kwargs: P.kwargs) -> R:
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
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0, dead_letter_limit: int = 10_000) -> None:
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2
            )
        except ValueError:  # its text may quote a part of the password
            raise Invalid("redis.url is not redis://[user:password@]host:port/db, rediss:// or unix://path") from None
        self._record = self._redis.register_script(_RECORD)
        self._dead_letter_limit = dead_letter_limit

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    @_translated
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

    @_translated
    def durable(self) -> bool:
        """Whether the server writes an append-only file, so that its own crash loses at most a second."""
        return bool(self._redis.info("persistence").get("aof_enabled", 0))

    @_translated
    def record(self, event: StoredEvent) -> Recorded:
        """Write an event, once; a repeat changes nothing. Atomic.

        Raises:
            Unavailable: the store did not answer; nothing is known of the write, and repeating it is safe.
        """
        fields: dict[str, str | bytes] = {
            "site": event.site,
            "captured_ms": str(_ms(event.captured_at)),
            "received_ms": str(_ms(event.received_at)),
            "duration_s": repr(event.duration_s),
            "laeq": repr(event.levels.laeq),
            "lafmax": repr(event.levels.lafmax),
            "level_unit": event.levels.unit,
            "space": event.space,
            "features": event.features.tobytes(),
            "presence": np.asarray(event.presence, dtype="<f4").tobytes(),
            "clip": event.clip,
        }
        flat = [part for pair in fields.items() for part in pair]
        key = str(event.id)
        answer = self._record(
            keys=[_event(key), f"{PREFIX}:events", f"{PREFIX}:sensors", _sensor(event.place)],
            args=[key, fields["captured_ms"], event.place, fields["received_ms"], *flat],
        )
        return Recorded(int(answer))

    @_translated
    def known(self, event: EventId) -> Recorded:
        """What `record` would answer, without writing: spares the features of a repeat."""
        there, completed = (
            self._redis.pipeline().exists(_event(str(event))).hexists(_event(str(event)), "completed").execute()
        )
        return Recorded(int(completed)) if there else Recorded.NEW

    @_translated
    def complete(self, event: EventId, alert: AlertMessage | None) -> None:
        """Mark an event as looked at, and keep its alert until it is published; one transaction."""
        with self._redis.pipeline(transaction=True) as pipe:
            if alert is not None:
                pipe.set(_alert(alert.event), alert.model_dump_json())
                pipe.zadd(f"{PREFIX}:alerts", {alert.event: _ms(alert.captured_at)})
                pipe.sadd(f"{PREFIX}:alerts:unpublished", alert.event)
            pipe.hset(_event(str(event)), "completed", 1)
            pipe.execute()

    @_translated
    def get(self, event: EventId) -> StoredEvent | None:
        """One event, or None."""
        return _stored(str(event), self._redis.hgetall(_event(str(event))))

    @_translated
    def count(self) -> int:
        """How many events are archived."""
        return int(self._redis.zcard(f"{PREFIX}:events"))

    @_translated
    def events(
        self, *, limit: int = 50, before: datetime | None = None, place: str | None = None
    ) -> list[StoredEvent]:
        """The newest events, newest first.

        Args:
            limit: most events returned.
            before: only events captured before this.
            place: only events of this `site/sensor`.
        """
        upper = "+inf" if before is None else f"({_ms(before)}"
        found: list[StoredEvent] = []
        start = 0
        while len(found) < limit:
            ids = self._redis.zrevrangebyscore(f"{PREFIX}:events", upper, "-inf", start=start, num=_BATCH)
            if not ids:
                break
            start += len(ids)
            found += [e for e in self._fetch(ids) if place is None or e.place == place]
        return found[:limit]

    def scan(self) -> Iterator[list[StoredEvent]]:
        """All events in batches, in no particular order; one that is added meanwhile may be missing or twice."""
        cursor = 0
        while True:
            cursor, batch = self._scan_batch(cursor)
            if batch:
                yield batch
            if cursor == 0:
                return

    @_translated
    def _scan_batch(self, cursor: int) -> tuple[int, list[StoredEvent]]:
        position, rows = self._redis.zscan(f"{PREFIX}:events", cursor=cursor, count=_BATCH)
        return int(position), self._fetch([key for key, _ in rows])

    @_translated
    def _fetch(self, ids: list[bytes]) -> list[StoredEvent]:
        pipe = self._redis.pipeline(transaction=False)
        for key in ids:
            pipe.hgetall(_event(key.decode()))
        rows = zip(ids, pipe.execute(), strict=True)
        return [event for key, row in rows if (event := _stored(key.decode(), row)) is not None]

    @_translated
    def alerts(self, *, limit: int = 50, before: datetime | None = None) -> list[AlertMessage]:
        """The newest alerts, newest first."""
        upper = "+inf" if before is None else f"({_ms(before)}"
        ids = self._redis.zrevrangebyscore(f"{PREFIX}:alerts", upper, "-inf", start=0, num=limit)
        return self._alerts(ids)

    @_translated
    def alert_count(self) -> int:
        """How many alerts are kept."""
        return int(self._redis.zcard(f"{PREFIX}:alerts"))

    @_translated
    def unpublished(self) -> list[AlertMessage]:
        """Alerts that the broker has not acknowledged yet."""
        return self._alerts(sorted(self._redis.smembers(f"{PREFIX}:alerts:unpublished")))

    @_translated
    def published(self, event: str) -> None:
        """Note that the broker has an alert."""
        self._redis.srem(f"{PREFIX}:alerts:unpublished", event)

    def _alerts(self, ids: list[bytes]) -> list[AlertMessage]:
        if not ids:
            return []
        rows = self._redis.mget([_alert(key.decode()) for key in ids])
        return [AlertMessage.model_validate_json(row) for row in rows if row is not None]

    @_translated
    def note_state(self, state: StateMessage) -> bool:
        """Keep a sensor's announced state; a late `lost` of an earlier boot is ignored.

        Returns:
            Whether the state was taken.
        """
        place = f"{state.site}/{state.sensor}"
        boot = self._redis.hget(_sensor(place), "boot")
        if state.state == "lost" and boot is not None and boot.decode() != state.boot:
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(f"{PREFIX}:sensors", place)
            pipe.hset(_sensor(place), mapping={"state": state.state, "boot": state.boot})
            pipe.execute()
        return True

    @_translated
    def sensors(self) -> list[Sensor]:
        """All sensors that ever spoke, by name."""
        places = sorted(name.decode() for name in self._redis.smembers(f"{PREFIX}:sensors"))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(_sensor(place))
        return [_sensor_of(place, row) for place, row in zip(places, pipe.execute(), strict=True)]

    @_translated
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
                "received_ms": _ms(received_at),
            },
        )

    @_translated
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
                received_at=_time(row[b"received_ms"]),
            )
            for key, row in rows
        ]

    @_translated
    def dead_letter_count(self) -> int:
        """How many dead letters wait."""
        return int(self._redis.xlen(f"{PREFIX}:dead-letters"))

    @_translated
    def unbury(self, letter_id: str) -> None:
        """Remove a dead letter."""
        self._redis.xdel(f"{PREFIX}:dead-letters", letter_id)

    @_translated
    def expire(self, before: datetime) -> list[StoredEvent]:
        """Remove one batch of events and alerts captured before a time.

        Returns:
            The events removed; call again until the list is empty.
        """
        ids = self._redis.zrangebyscore(f"{PREFIX}:events", "-inf", f"({_ms(before)}", start=0, num=_BATCH)
        gone = self._fetch(ids) if ids else []
        alerts = self._redis.zrangebyscore(f"{PREFIX}:alerts", "-inf", f"({_ms(before)}", start=0, num=_BATCH)
        with self._redis.pipeline(transaction=True) as pipe:
            for key in ids:
                pipe.delete(_event(key.decode()))
                pipe.zrem(f"{PREFIX}:events", key)
            for key in alerts:
                pipe.delete(_alert(key.decode()))
                pipe.zrem(f"{PREFIX}:alerts", key)
                pipe.srem(f"{PREFIX}:alerts:unpublished", key)
            pipe.execute()
        return gone


def _event(key: str) -> str:
    return f"{PREFIX}:event:{key}"


def _alert(key: str) -> str:
    return f"{PREFIX}:alert:{key}"


def _sensor(place: str) -> str:
    return f"{PREFIX}:sensor:{place}"


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _time(ms: bytes) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)


def _stored(key: str, row: dict[bytes, bytes]) -> StoredEvent | None:
    if not row:
        return None
    space = space_of(row[b"space"].decode())
    unit = row[b"level_unit"]
    return StoredEvent(
        id=EventId.parse(key),
        site=row[b"site"].decode(),
        captured_at=_time(row[b"captured_ms"]),
        received_at=_time(row[b"received_ms"]),
        duration_s=float(row[b"duration_s"]),
        levels=Levels(float(row[b"laeq"]), float(row[b"lafmax"]), "dB" if unit == b"dB" else "dBFS"),
        space=space.id,
        features=np.frombuffer(row[b"features"], dtype=np.uint8).reshape(space.shape),
        presence=tuple(float(p) for p in np.frombuffer(row[b"presence"], dtype="<f4")),
        clip=row[b"clip"].decode(),
    )


def _sensor_of(place: str, row: dict[bytes, bytes]) -> Sensor:
    captured, received = row.get(b"last_captured_ms"), row.get(b"last_received_ms")
    return Sensor(
        place=place,
        events=int(row.get(b"events", b"0")),
        last_event=row.get(b"last_event", b"").decode(),
        last_captured_at=_time(captured) if captured else None,
        last_received_at=_time(received) if received else None,
        state=row.get(b"state", b"unknown").decode(),
        boot=row.get(b"boot", b"").decode(),
    )

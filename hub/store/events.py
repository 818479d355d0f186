"""The archive: every event, alert, sensor state and dead letter, in Redis.

The keys are in `hub.store.keys`. One Lua call writes an event, so it is there whole or not at all, and only once.

What removes events uses only commands that a store without free memory still takes, and no transaction, which Redis
then refuses (its `processCommand`: MULTI may take any amount of memory). The note of it in the stream of
changes needs memory: it follows, and is written later if the store refuses it.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis

from hub.domain.match import PRESENCE_THRESHOLD
from hub.domain.records import (
    FIELDS,
    ChangeRecord,
    ClockReading,
    Sensor,
    StoredEvent,
    WriteState,
    from_redis_hash,
    report_fields,
    report_of,
    sensor_from_hash,
    to_ms,
    to_redis_hash,
)
from hub.store import client as store
from hub.store import keys
from hub.store.client import connect, meaning
from hub.store.dead_letters import CAP_BYTES, DeadLetter, DeadLetters, LetterKind, Limits
from hub.store.fitness import Fitness, examine_store, wait_for_disk
from hub.store.rows import Rows
from hub.store.sensor_signals import BEGAN, FIELD, TOLD, UPDATE_SIGNAL_STATS_LUA, SilenceThresholds, numbers_fields
from shared.errors import UnavailableError
from shared.events import EventId
from shared.messages import AlertMessage, StateMessage
from shared.taxonomy import CATEGORIES

log = logging.getLogger(__name__)

translated = store.raises_unavailable

CHANGES_KEPT: Final = 1_000_000
"""About so many changes are kept for hubs that follow; one that was away for longer compares all ids."""
_BATCH: Final = 256
_PAGE: Final = 10_000
_LATE_MS: Final = 86_400_000
"""An event that came so long after its capture is kept for as long after its receipt."""

_OWN: Final = 12
"""Arguments of the script before an event's fields."""
_RECORD: Final = f"""{UPDATE_SIGNAL_STATS_LUA}
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
if ARGV[12] ~= '' then redis.call('HSET', KEYS[4], 'last_claimed_ms', ARGV[12]) end
redis.call('HINCRBY', KEYS[4], 'events', 1)
if ARGV[4] - ARGV[2] > {_LATE_MS} then redis.call('ZADD', KEYS[6], ARGV[4], ARGV[1]) end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[5], '*', 'added', ARGV[1])
for i = 7, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
end
return -1
"""
_RECORD_SHA: Final = hashlib.sha1(_RECORD.encode(), usedforsecurity=False).hexdigest()


class EventStore:
    """The store's one client; safe to use from several threads.

    Args:
        url: as `redis.Redis.from_url` takes it.
        timeout_s: longest wait for one answer.
        ca_file: authority that made the store's certificate; the system's if None.
        max_dead_letters: most dead letters of one sensor's that are invalid.
        max_dead_letter_bytes: most bytes of all dead letters.
        ear: what a microphone that lives is known by.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
        max_dead_letters: int = 1_000,
        max_dead_letter_bytes: int = CAP_BYTES,
        ear: SilenceThresholds | None = None,
    ) -> None:
        self._redis = connect(url, timeout_s, ca_file)
        self._sync_ms = int(800 * timeout_s)
        self._ear = ear or SilenceThresholds()
        self.rows = Rows()
        self.letters = DeadLetters(self._redis, Limits(max_dead_letters, max_dead_letter_bytes), self.rows)
        self._untold: list[str] = []  # events that went, of which the changes do not tell yet
        self._kept: dict[str, int] = {}

    @property
    def client(self) -> Any:  # noqa: ANN401 - the client is untyped
        """The store's client, for what else is kept beside events."""
        return self._redis

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    def verify(self, *, durable: bool = False) -> Fitness:
        """Check that the server may be trusted with the archive; see `hub.store.fitness`.

        Args:
            durable: whether events must be on its disk before they are acknowledged.

        Raises:
            Invalid: it never can be, as it is set up: it evicts keys when its memory is full (redis#8842), is a
                replica or a node of a cluster, lacks commands, or its user lacks rights.
            Unavailable: it does not answer.
        """
        return examine_store(self._redis, durable=durable)

    @translated
    def wait_for_disk(self) -> None:
        """Wait until all that was written before is on the server's disk.

        Raises:
            Unavailable: it is not, within the time for one answer.
        """
        if not wait_for_disk(self._redis, keys.SYNCED, self._sync_ms):
            raise UnavailableError(
                "the store: its append-only file is not on its disk in time: look at that disk, and at `appendfsync`"
            )

    def numbers(self) -> tuple[int, int]:
        """How many events and dead letters there are; a word is written, too, which tells a store that takes none.

        Raises:
            Unavailable: the store does not answer, or takes nothing (but for want of memory).
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(keys.EVENTS)
        pipe.set(keys.ASKED, 1, ex=60)
        try:
            events, written = pipe.execute(raise_on_error=False)
            for answer in (events, written):
                if isinstance(answer, redis.RedisError) and not isinstance(answer, redis.exceptions.OutOfMemoryError):
                    raise answer
            return int(events), self.letters.count()
        except redis.RedisError as error:
            raise meaning(error) from error

    @translated
    def full(self) -> bool:
        """Whether the store takes nothing for want of memory."""
        try:
            self._redis.set(keys.ASKED, 1, ex=60)
        except redis.exceptions.OutOfMemoryError:
            return True
        return False

    @translated
    def has_append_only_file(self) -> bool:
        """Whether the server writes an append-only file, so that its own crash loses at most a second."""
        return bool(self._redis.info("persistence").get("aof_enabled", 0))

    def add(self, event: StoredEvent) -> WriteState:
        """`record_all` of one."""
        return self.add_many([event])[0]

    @translated
    def add_many(self, events: Sequence[StoredEvent]) -> list[WriteState]:
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
            return self.add_many(events)
        return [WriteState(int(answer)) for answer in answers]

    def _record(self, pipe: Any, event: StoredEvent) -> None:  # noqa: ANN401 - the client is untyped
        fields = to_redis_hash(event)
        key, flat = str(event.id), [part for pair in fields.items() for part in pair]
        written = [keys.event(key), keys.EVENTS, keys.SENSORS, keys.sensor(event.place), keys.CHANGES, keys.LATE]
        written += time_index_keys(event.place, event.presence)
        pipe.evalsha(
            _RECORD_SHA,
            len(written),
            *written,
            *(key, fields["captured_ms"], event.place, fields["received_ms"], CHANGES_KEPT),
            *self._ear.arguments(event),
            "" if event.backfilled else to_ms(event.claimed_at or event.captured_at),
            *flat,
        )

    @translated
    def write_states(self, events: Sequence[EventId]) -> list[WriteState]:
        """What `record_all` would answer, without writing: spares the features of repeats."""
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hmget(keys.event(str(event)), "site", "completed")
        return [
            WriteState.NEW if site is None else WriteState.UNFINISHED if completed is None else WriteState.REPEAT
            for site, completed in pipe.execute()
        ]

    @translated
    def mark_processed(self, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:
        """Mark events as looked at, and keep their alerts until they are told; one transaction."""
        with self._redis.pipeline(transaction=True) as pipe:
            self.pipeline_mark_processed(pipe, done)
            pipe.execute()

    def pipeline_mark_processed(self, pipe: Any, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:  # noqa: ANN401
        """`complete_all` as a part of another transaction."""
        for event, alert in done:
            if alert is not None:
                pipe.set(keys.alert(alert.event), alert.model_dump_json())
                pipe.zadd(keys.ALERTS, {alert.event: to_ms(alert.captured_at)})
                pipe.xadd(keys.ALERTS_PENDING, {"event": alert.event})
            pipe.hset(keys.event(str(event)), "completed", 1)

    @translated
    def last_change_id(self) -> str:
        """The place of the newest change; `changes` from here tells what comes later."""
        newest = self._redis.xrevrange(keys.CHANGES, count=1)
        return newest[0][0].decode() if newest else "0-0"

    @translated
    def changes(self, after: str, *, limit: int = 1_000) -> tuple[str, list[ChangeRecord]] | None:
        """What came and went after a position.

        Args:
            after: a position told before.
            limit: most changes told.

        Returns:
            The position now, and the changes, oldest first; None if some after this position may be kept no more,
            or if the store does not know the position: it was emptied, or came back as it was before.
        """
        # No transaction, which a full store refuses even to read. What is trimmed after it was read counts as missed.
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xread({keys.CHANGES: after}, count=limit)
            pipe.xrange(keys.CHANGES, count=1)
            pipe.xrevrange(keys.CHANGES, count=1)
            pipe.xlen(keys.CHANGES)
            found, oldest, newest, kept = pipe.execute()
        if after == "0-0":
            missed = kept >= CHANGES_KEPT  # trimming leaves at least so many
        else:
            missed = not oldest or not _parse_stream_id(oldest[0][0]) <= _parse_stream_id(after) <= _parse_stream_id(
                newest[0][0]
            )
        if missed:
            return None
        if not found:
            return after, []
        entries = found[0][1]
        changes = [ChangeRecord(name.decode(), what == b"gone") for _, row in entries for what, name in row.items()]
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
        rows = self._redis.zrangebyscore(keys.EVENTS, start, "+inf", start=0, num=limit, withscores=True)
        return [(key.decode(), at) for key, at in rows]

    @translated
    def fetch(self, events: Sequence[str]) -> list[StoredEvent]:
        """Those of some events that are there and can be read, in their order; one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for key in events:
            pipe.hmget(keys.event(key), FIELDS)
        rows = zip(events, pipe.execute(), strict=True)
        read = (self.rows.read("event", key, partial(from_redis_hash, key), row) for key, row in rows)
        return [event for event in read if event is not None]

    def get(self, event: EventId) -> StoredEvent | None:
        """One event, or None."""
        return next(iter(self.fetch([str(event)])), None)

    @translated
    def count(self) -> int:
        """How many events are archived."""
        return int(self._redis.zcard(keys.EVENTS))

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
        upper = "+inf" if before is None else f"({to_ms(before)}"
        index = keys.EVENTS if place is None else keys.events_of(place)
        ids = self._redis.zrevrangebyscore(index, upper, "-inf", start=0, num=limit)
        return self.fetch([key.decode() for key in ids])

    @translated
    def alerts(self, *, limit: int = 50, before: datetime | None = None) -> list[AlertMessage]:
        """The newest alerts, newest first."""
        upper = "+inf" if before is None else f"({to_ms(before)}"
        ids = self._redis.zrevrangebyscore(keys.ALERTS, upper, "-inf", start=0, num=limit)
        return self._alerts(ids)

    @translated
    def alert(self, event: str) -> AlertMessage | None:
        """The alert of one event, or None."""
        return next(iter(self._alerts([event.encode()])), None)

    @translated
    def alert_count(self) -> int:
        """How many alerts are kept."""
        return int(self._redis.zcard(keys.ALERTS))

    def _alerts(self, ids: list[bytes]) -> list[AlertMessage]:
        if not ids:
            return []
        rows = self._redis.mget([keys.alert(key.decode()) for key in ids])
        read = (
            self.rows.read("alert", key.decode(), AlertMessage.model_validate_json, row)
            for key, row in zip(ids, rows, strict=True)
        )
        return [alert for alert in read if alert is not None]

    @translated
    def update_sensor_state(self, state: StateMessage, skew_s: float | None = None) -> bool:
        """Keep a sensor's announced state; a late `lost` of an earlier boot is ignored.

        Args:
            state: as announced.
            skew_s: how far its clock was ahead of this hub's as it reported, in seconds; None if that is not known.

        Returns:
            Whether the state was taken.
        """
        place = f"{state.site}/{state.sensor}"
        names = ("boot", "highest_seq")
        found = zip(names, self._redis.hmget(keys.sensor(place), names), strict=True)
        known = {name: value.decode() for name, value in found if value is not None}
        if state.state == "lost" and known.get("boot", state.boot) != state.boot:
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(keys.SENSORS, place)
            reported = report_fields(state.report) if state.report is not None else {}
            measured = {} if skew_s is None else {"clock_skew_s": round(skew_s, 3), "clock_boot": state.boot}
            told = {**reported, **measured, **numbers_fields(state, known)}
            about = {"state": state.state, "boot": state.boot, "software": state.software}
            pipe.hset(keys.sensor(place), mapping={**about, **told})
            pipe.execute()
        return True

    @translated
    def skews(self, places: Sequence[str]) -> dict[str, ClockReading]:
        """The clocks of some sensors, as far as they were measured."""
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hmget(keys.sensor(place), "clock_boot", "clock_skew_s")
        rows = zip(places, pipe.execute(), strict=True)
        return {
            place: ClockReading(boot.decode(), float(skew))
            for place, (boot, skew) in rows
            if None not in {boot, skew}
        }

    @translated
    def newest(self, places: Sequence[str]) -> list[datetime | None]:
        """When the newest event of each of some sensors was captured; None where there is none."""
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.zrevrange(keys.events_of(place), 0, 0, withscores=True)
        return [datetime.fromtimestamp(rows[0][1] / 1000, UTC) if rows else None for rows in pipe.execute()]

    @translated
    def time(self) -> datetime:
        """The store's own time, UTC."""
        seconds, microseconds = self._redis.time()
        return datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)

    @translated
    def sensors(self) -> list[Sensor]:
        """All sensors that ever spoke, by name."""
        places = sorted(name.decode() for name in self._redis.smembers(keys.SENSORS))
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.hgetall(keys.sensor(place))
        read = (self.sensor_from(place, row) for place, row in zip(places, pipe.execute(), strict=True))
        return [sensor for sensor in read if sensor is not None]

    def sensor_from(self, place: str, row: dict[bytes, bytes]) -> Sensor | None:
        """A sensor from its hash, without a report that cannot be read; None if the rest cannot be read either."""
        sensor = self.rows.read("sensor", place, partial(sensor_from_hash, place), row)
        return sensor and replace(sensor, report=self.rows.read("report", place, report_of, row))

    @translated
    def add_dead_letter(
        self,
        *,
        topic: str,
        payload: bytes,
        reason: str,
        received_at: datetime,
        kind: LetterKind = "invalid",
        retained: bool = False,
    ) -> int | None:
        """Keep a message that cannot be taken; see `DeadLetters.put`."""
        return self.letters.put(
            topic=topic, payload=payload, reason=reason, kind=kind, received_at=received_at, retained=retained
        )

    @translated
    def dead_letters(self, limit: int = 100, after: str = "") -> list[DeadLetter]:
        """The oldest dead letters, or those after one, oldest first; without their payloads."""
        return self.letters.page(limit, after)

    @translated
    def dead_letter_payload(self, letter: str) -> bytes:
        """What is kept of a dead letter's message; nothing if it is gone."""
        return self.letters.payload(letter)

    @translated
    def dead_letter_count(self) -> int:
        """How many dead letters wait."""
        return self.letters.count()

    @translated
    def remove_dead_letter(self, letter_id: str) -> None:
        """Remove a dead letter."""
        self.letters.remove(letter_id)

    @translated
    def delete_before(self, before: datetime, now: datetime | None = None) -> dict[str, str]:
        """Remove one batch of events and alerts captured, and received, before a time.

        Args:
            before: the time.
            now: what was captured later, by a clock that was wrong, goes by its receipt alone.

        Returns:
            The events removed, each with the path of its clip, or ""; call again until there are none.
        """
        limit = to_ms(before)
        due = self._due(keys.EVENTS, limit) or (self._ahead(limit, to_ms(now)) if now else [])
        with self._redis.pipeline(transaction=False) as pipe:
            for key in due:
                pipe.hmget(keys.event(key), "clip", "site", "presence")
            rows = dict(zip(due, pipe.execute(), strict=True))
        alerts = self._due(keys.ALERTS, limit)
        # No transaction: a full store refuses those. The list of events goes last: what is cut short is made up.
        with self._redis.pipeline(transaction=False) as pipe:
            for key, (_, site, presence) in rows.items():
                for index in self.rows.read("event", key, partial(_indexes_of_row, key, site), presence) or ():
                    pipe.zrem(index, key)
                pipe.delete(keys.event(key))
                pipe.zrem(keys.LATE, key)
                pipe.zrem(keys.EVENTS, key)
            for key in {*alerts, *due}:
                pipe.delete(keys.alert(key))
                pipe.zrem(keys.ALERTS, key)
            pipe.execute()
        self._untold += rows
        self._tell_gone()
        return {key: (clip or b"").decode() for key, (clip, _, _) in rows.items()}

    def _due(self, index: str, limit: int) -> list[str]:
        """The oldest of an index from before a time, less those that came late and are kept for longer."""
        start = self._kept.pop(index, 0)  # so many of the oldest are known to be kept
        while ids := self._redis.zrangebyscore(index, "-inf", f"({limit}", start=start, num=_BATCH):
            received = self._redis.zmscore(keys.LATE, ids)
            due = [key.decode() for key, at in zip(ids, received, strict=True) if at is None or at < limit]
            if due:
                self._kept[index] = start
                return due
            start += len(ids)
        return []

    def _ahead(self, limit: int, now: int) -> list[str]:
        """Events captured after now and received before a time; earlier hubs archived such."""
        start = 0
        while ids := self._redis.zrevrangebyscore(keys.EVENTS, "+inf", f"({now}", start=start, num=_BATCH):
            pipe = self._redis.pipeline(transaction=False)
            for key in ids:
                pipe.hget(keys.event(key.decode()), "received_ms")
            received = [
                self.rows.read("event", key.decode(), int, at) or 0
                for key, at in zip(ids, pipe.execute(), strict=True)
            ]
            if due := [key.decode() for key, at in zip(ids, received, strict=True) if at < limit]:
                return due
            start += len(ids)
        return []

    def _tell_gone(self) -> None:
        """Note in the changes what went; a store that has no memory for that is asked again the next time."""
        while self._untold:
            pipe = self._redis.pipeline(transaction=False)
            for key in self._untold[:_BATCH]:
                pipe.xadd(keys.CHANGES, {"gone": key}, maxlen=CHANGES_KEPT, approximate=True)
            try:
                pipe.execute()
            except redis.ResponseError as error:  # telling an event twice changes nothing
                log.warning("removals are not told yet", extra={"events": len(self._untold), "reason": str(error)})
                return
            del self._untold[:_BATCH]


def time_index_keys(place: str, presence: Sequence[float]) -> list[str]:
    """Keys of the time indexes that an event is in, beside that of all events."""
    present = [name for name, p in zip(CATEGORIES, presence, strict=True) if p >= PRESENCE_THRESHOLD]
    return [keys.events_of(what) for what in (place, *present)]


def _indexes_of_row(key: str, site: bytes, presence: bytes) -> list[str]:
    """Keys of the indexes that a stored event is in; of one that cannot be read, of all categories."""
    place = f"{site.decode()}/{key.split('.')[-3]}"
    if len(presence) != 4 * len(CATEGORIES):
        return time_index_keys(place, [1.0] * len(CATEGORIES))
    return time_index_keys(place, np.frombuffer(presence, dtype="<f4").tolist())


def _parse_stream_id(position: str | bytes) -> tuple[int, int]:
    """A stream position as numbers that compare."""
    text = position.decode() if isinstance(position, bytes) else position
    ms, _, number = text.partition("-")
    return int(ms), int(number)

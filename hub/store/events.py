"""The archive of events in Redis, with the alerts, sensors, changes and dead letters beside them.

The keys are in `hub.store.keys`. One Lua call writes an event: it is stored whole or not at all, and only once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from hub.domain.records import StoredEvent, WriteState, to_ms
from hub.store import changes, keys
from hub.store.alerts import AlertStore
from hub.store.client import connect, meaning, raises_unavailable
from hub.store.codec import FIELDS, from_redis_hash, to_redis_hash
from hub.store.dead_letters import DeadLetters, Limits
from hub.store.erasures import ERASED, IS_ERASED_LUA
from hub.store.event_removal import EventRemoval, time_index_keys
from hub.store.fitness import Fitness, StoreReport, examine_store, wait_for_disk
from hub.store.level_details import LevelDetailsReader
from hub.store.rows import Rows
from hub.store.sensor_signals import BEGAN, FIELD, REPORTED, UPDATE_SIGNAL_STATS_LUA, SilenceThresholds
from hub.store.sensors import SensorStore
from shared.errors import UnavailableError
from shared.events import EventId
from shared.messages.alert import AlertMessage

_PAGE: Final = 10_000
_LATE_MS: Final = 86_400_000
"""An event that arrived more than this time after its capture is kept by the time of its receipt."""

_OWN: Final = 12
"""Arguments of the script before an event's fields."""
_RECORD: Final = f"""{UPDATE_SIGNAL_STATS_LUA}{IS_ERASED_LUA}
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HEXISTS', KEYS[1], 'completed')
end
if is_erased(KEYS[7], ARGV[3], ARGV[2]) then return {ERASED} end
redis.call('HSET', KEYS[1], unpack(ARGV, {_OWN + 1}))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
local row = redis.call('HMGET', KEYS[4], '{FIELD}', '{REPORTED}', '{BEGAN}')
local signals = note(row[1], row[2], row[3], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[4]),
  tonumber(ARGV[8]), ARGV[9] == '1', tonumber(ARGV[10]), ARGV[11])
redis.call('HSET', KEYS[4], 'last_event', ARGV[1], 'last_captured_ms', ARGV[2], 'last_received_ms', ARGV[4],
  '{FIELD}', signals)
if ARGV[12] ~= '' then redis.call('HSET', KEYS[4], 'last_claimed_ms', ARGV[12]) end
redis.call('HINCRBY', KEYS[4], 'events', 1)
if ARGV[4] - ARGV[2] > {_LATE_MS} then redis.call('ZADD', KEYS[6], ARGV[4], ARGV[1]) end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[5], '*', 'added', ARGV[1])
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
end
return -1
"""
_RECORD_SHA: Final = hashlib.sha1(_RECORD.encode(), usedforsecurity=False).hexdigest()


class EventStore:
    """Events in the store, and the one client of the store; safe to use from several threads.

    Args:
        url: as `redis.Redis.from_url` takes it.
        timeout_s: longest wait for one answer.
        ca_file: authority that made the store's certificate; the system's if None.
        limits: most dead letters that are kept; None: as `Limits` has them by default.
        ear: thresholds by which a working microphone is recognised.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
        limits: Limits | None = None,
        ear: SilenceThresholds | None = None,
    ) -> None:
        self._redis = connect(url, timeout_s, ca_file)
        self._sync_ms = int(800 * timeout_s)
        self._ear = ear or SilenceThresholds()
        self.rows = Rows()
        self.letters = DeadLetters(self._redis, limits or Limits(), self.rows)
        self.alerts = AlertStore(self._redis, self.rows)
        self.sensors = SensorStore(self._redis, self.rows)
        self.changes = changes.ChangeLog(self._redis)
        self.level_details = LevelDetailsReader(self._redis, self.rows)
        self.removal = EventRemoval(self._redis, self.rows, self.changes)

    @property
    def client(self) -> Any:  # noqa: ANN401 - the client is untyped
        """The store's client, for what is kept beside events."""
        return self._redis

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    def verify(self, *, durable: bool = False) -> Fitness:
        """Check that the server can keep the archive; see `hub.store.fitness`.

        Args:
            durable: whether events must be on its disk before they are acknowledged.

        Raises:
            InvalidError: its configuration forbids it: it evicts keys when its memory is full (redis#8842), is a
                replica or a node of a cluster, lacks commands, or its user lacks rights.
            UnavailableError: it does not answer.
        """
        return examine_store(self._redis, durable=durable)

    @raises_unavailable
    def wait_for_disk(self) -> None:
        """Wait until everything written before is on the server's disk.

        Raises:
            UnavailableError: it is not, within the time for one answer.
        """
        if not wait_for_disk(self._redis, keys.SYNCED, self._sync_ms):
            raise UnavailableError(
                "the store: its append-only file is not on its disk in time: look at that disk, and at `appendfsync`"
            )

    def report(self) -> StoreReport:
        """Return the number of events and of dead letters; a test write shows whether the store takes writes.

        Raises:
            UnavailableError: the store does not answer, or refuses the write for another reason than a lack of
                memory.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(keys.EVENTS)
        pipe.set(keys.ASKED, 1, ex=60)
        try:
            events, written = pipe.execute(raise_on_error=False)
            full = isinstance(written, redis.exceptions.OutOfMemoryError)
            for answer in (events, written):
                if isinstance(answer, redis.RedisError) and not (full and answer is written):
                    raise answer
            return StoreReport(int(events), self.letters.count(), str(meaning(written)) if full else "")
        except redis.RedisError as error:
            raise meaning(error) from error

    @raises_unavailable
    def full(self) -> bool:
        """Return whether the store refuses writes because its memory is full."""
        try:
            self._redis.set(keys.ASKED, 1, ex=60)
        except redis.exceptions.OutOfMemoryError:
            return True
        return False

    @raises_unavailable
    def has_append_only_file(self) -> bool:
        """Return whether the server writes an append-only file, so that its crash loses at most a second."""
        return bool(self._redis.info("persistence").get("aof_enabled", 0))

    def add(self, event: StoredEvent) -> WriteState:
        """Write one event; see `add_many`."""
        return self.add_many([event])[0]

    @raises_unavailable
    def add_many(self, events: Sequence[StoredEvent]) -> list[WriteState]:
        """Write events, each once; a repeat changes nothing. One round trip; each event is atomic.

        Raises:
            UnavailableError: the store did not answer. It is not known what was written; to repeat the call is safe.
        """
        if not events:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            self._record(pipe, event)
        try:
            answers = pipe.execute()
        except redis.exceptions.NoScriptError:  # the server was restarted; some may be written by now
            self._redis.script_load(_RECORD)
            return self.add_many(events)
        return [WriteState(int(answer)) for answer in answers]

    def _record(self, pipe: Any, event: StoredEvent) -> None:  # noqa: ANN401 - the client is untyped
        fields = to_redis_hash(event)
        key, flat = str(event.id), [part for pair in fields.items() for part in pair]
        written = [keys.event(key), keys.EVENTS, keys.SENSORS, keys.sensor(event.place), keys.CHANGES, keys.LATE]
        written.append(keys.ERASURES)
        written += time_index_keys(event.place, event.presence)
        pipe.evalsha(
            _RECORD_SHA,
            len(written),
            *written,
            *(key, fields["captured_ms"], event.place, fields["received_ms"], changes.CHANGES_KEPT),
            *self._ear.arguments(event),
            "" if event.backfilled else to_ms(event.claimed_at or event.captured_at),
            *flat,
        )

    @raises_unavailable
    def write_states(self, events: Sequence[EventId]) -> list[WriteState]:
        """Return what `add_many` would return, without writing: the features of repeats need not be computed."""
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.hmget(keys.event(str(event)), "site", "completed")
        return [
            WriteState.NEW if site is None else WriteState.UNFINISHED if completed is None else WriteState.REPEAT
            for site, completed in pipe.execute()
        ]

    @raises_unavailable
    def mark_processed(self, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:
        """Mark events as processed, and keep their alerts until they are dispatched; one transaction."""
        with self._redis.pipeline(transaction=True) as pipe:
            self.pipeline_mark_processed(pipe, done)
            pipe.execute()

    def pipeline_mark_processed(self, pipe: Any, done: Sequence[tuple[EventId, AlertMessage | None]]) -> None:  # noqa: ANN401
        """Queue the commands of `mark_processed` in another transaction."""
        for event, alert in done:
            if alert is not None:
                self.alerts.queue(pipe, alert)
            pipe.hset(keys.event(str(event)), "completed", 1)

    def ids(self) -> Iterator[list[str]]:
        """Yield the ids of all events in pages, oldest first, each once.

        Events that are added or removed meanwhile may be missing. A page continues from a time, not from a rank:
        ranks shift when old events expire.
        """
        start, seen = "-inf", set[str]()
        while rows := self._ids_from(start, _PAGE + len(seen)):
            if page := [event for event, _ in rows if event not in seen]:
                yield page
            else:
                return
            newest = rows[-1][1]
            start, seen = repr(newest), {event for event, at in rows if at == newest}

    @raises_unavailable
    def _ids_from(self, start: str, limit: int) -> list[tuple[str, float]]:
        """Return events captured at a time (ms) or later, with their times, oldest first."""
        rows = self._redis.zrangebyscore(keys.EVENTS, start, "+inf", start=0, num=limit, withscores=True)
        return [(key.decode(), at) for key, at in rows]

    @raises_unavailable
    def fetch(self, events: Sequence[str]) -> list[StoredEvent]:
        """Return those of some events that exist and can be read, in their order; one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for key in events:
            pipe.hmget(keys.event(key), FIELDS)
        rows = zip(events, pipe.execute(), strict=True)
        read = (self.rows.read("event", key, partial(from_redis_hash, key), row) for key, row in rows)
        return [event for event in read if event is not None]

    def get(self, event: EventId) -> StoredEvent | None:
        """Return one event, or None."""
        return next(iter(self.fetch([str(event)])), None)

    @raises_unavailable
    def count(self) -> int:
        """Return the number of events."""
        return int(self._redis.zcard(keys.EVENTS))

    @raises_unavailable
    def events(
        self, *, limit: int = 50, before: datetime | None = None, place: str | None = None
    ) -> list[StoredEvent]:
        """Return the newest events, newest first.

        Args:
            limit: most events returned.
            before: only events captured before this.
            place: only events of this `site/sensor`.
        """
        upper = "+inf" if before is None else f"({to_ms(before)}"
        index = keys.EVENTS if place is None else keys.events_of(place)
        ids = self._redis.zrevrangebyscore(index, upper, "-inf", start=0, num=limit)
        return self.fetch([key.decode() for key in ids])

    @raises_unavailable
    def time(self) -> datetime:
        """Return the store's own time, UTC."""
        seconds, microseconds = self._redis.time()
        return datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)

    @raises_unavailable
    def delete_before(self, before: datetime, now: datetime | None = None) -> dict[str, str]:
        """Remove one batch of events and alerts captured, and received, before a time.

        Args:
            before: the time.
            now: events captured after this time, by a clock that was wrong, go by their receipt alone.

        Returns:
            The removed events, each with the path of its audio file, or ""; call again until there are none.
        """
        return self.removal.remove_batch(to_ms(before), to_ms(now) if now else None)

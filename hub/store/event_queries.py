"""Lists of events by time, place, category and level, page by page: the archive's indexes as people ask of them.

1. The narrowest index that serves is read from the newest event on: of the place, else of the category, else of all.
2. If place and category are both asked for, the category's index shows which of a batch contain it.
3. A page ends at a `Cursor`, the time and id of its last event; the next one goes on from there. Events of equal
   times are ordered by id, so none is lost or returned twice.

A request looks at a limited number of events: a page may hold fewer than were asked for, or none, and still have a
next one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hub.domain.records import StoredEvent
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.event_removal import time_index_keys
from hub.store.events import EventStore
from shared.events import ClockStatus
from shared.taxonomy import CATEGORIES

_LAEQS: Final = f"""
local found = {{}}
for i, event in ipairs(ARGV) do
  found[i] = redis.call('HGET', '{keys.event("")}' .. event, 'laeq') or ''
end
return found
"""
_FACTS: Final = f"""
local found = {{}}
for i, event in ipairs(ARGV) do
  found[i] = redis.call('HMGET', '{keys.event("")}' .. event, 'laeq', 'clock', 'backfilled')
end
return found
"""
_FIRST_BATCH: Final = 128
_LAST_BATCH: Final = 4_096
MAX_SCANNED: Final = 20_000
"""Events that one request looks at."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """The position at which a list goes on: after the item of this time (ms since 1970 UTC) and id."""

    ms: int
    id: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The events that are listed; all by default.

    Attributes:
        since_ms: captured at this time or later, ms since 1970 UTC.
        until_ms: captured at this time or before.
        place: of this `site/sensor`.
        category: likely containing this category.
        min_laeq: at least this loud, in the sensor's unit.
        clock: with this status of the sensor's clock.
        backfilled: whether they are replays of old recordings.
        with_alert: only those that raised an alert.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    place: str | None = None
    category: str | None = None
    min_laeq: float | None = None
    clock: ClockStatus | None = None
    backfilled: bool | None = None
    with_alert: bool = False

    @property
    def by_facts(self) -> bool:
        """Return whether no index shows which events fit."""
        return (self.min_laeq, self.clock, self.backfilled) != (None, None, None)

    def fits(self, facts: Sequence[bytes | None]) -> bool:
        """Return whether fields `laeq`, `clock` and `backfilled` fit; earlier hubs did not write the last two."""
        laeq, clock, backfilled = facts
        return (
            laeq is not None
            and (self.min_laeq is None or float(laeq) >= self.min_laeq)
            and (self.clock is None or (clock or b"unknown").decode() == self.clock)
            and (self.backfilled is None or (backfilled == b"1") == self.backfilled)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first, and where the next page begins; None at the end."""

    events: Sequence[StoredEvent]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class LevelPoint:
    """The capture time of a clip, ms since 1970 UTC, and its LAeq."""

    at_ms: int
    laeq: float


@dataclass(frozen=True, slots=True)
class EpisodeCount:
    """The number of episodes of a category at a place, and when the last one began, ms since 1970 UTC."""

    place: str
    category: str
    times: int
    last_ms: int


class EventQueries:
    """Lists events; safe to use from several threads.

    Args:
        archive: whose store is used.
    """

    def __init__(self, archive: EventStore) -> None:
        self._archive = archive
        self._redis = archive.client
        self._read_laeqs = self._redis.register_script(_LAEQS)
        self._read_facts = self._redis.register_script(_FACTS)

    @raises_unavailable
    def events(
        self,
        wanted: EventFilter,
        *,
        limit: int,
        after: Cursor | None = None,
        keep: Callable[[Sequence[Cursor]], Sequence[Cursor]] | None = None,
    ) -> Page:
        """Return a page of events, newest first.

        Args:
            wanted: which.
            limit: most events.
            after: where the page begins; at the newest if not given.
            keep: returns those of some events that are listed, in the same order; all if not given.

        Raises:
            UnavailableError: the store is away.
        """
        chosen: list[str] = []
        looked_at, last = 0, None
        for batch in self._batches(wanted, after):
            matching = list(self._matching(wanted, batch))
            for cursor in matching if keep is None else keep(matching):
                chosen.append(cursor.id)
                last = cursor
                if len(chosen) == limit:
                    return Page(self._archive.fetch(chosen), last)
            last = batch[-1]
            looked_at += len(batch)
            if looked_at >= MAX_SCANNED:
                return Page(self._archive.fetch(chosen), last)
        return Page(self._archive.fetch(chosen), None)

    def _batches(self, wanted: EventFilter, after: Cursor | None) -> Iterator[list[Cursor]]:
        """Return all events of the narrowest index, newest first, in batches that grow."""
        index = _narrowest(wanted)
        upper = min((ms for ms in (wanted.until_ms, after.ms if after else None) if ms is not None), default=None)
        lower = "-inf" if wanted.since_ms is None else wanted.since_ms
        size, ties = _FIRST_BATCH, 0
        while True:
            rows = self._redis.zrevrangebyscore(
                index, "+inf" if upper is None else upper, lower, start=0, num=size + ties, withscores=True
            )
            found = [Cursor(int(ms), key.decode()) for key, ms in rows]
            fresh = [cursor for cursor in found if after is None or cursor < after]
            if fresh:
                yield fresh
            if len(rows) < size + ties:
                return
            upper = found[-1].ms
            ties = sum(cursor.ms == upper for cursor in found)
            after = min(found[-1], after) if after else found[-1]
            size = min(_LAST_BATCH, 2 * size)

    def _matching(self, wanted: EventFilter, batch: Sequence[Cursor]) -> Iterator[Cursor]:
        """Return the events of a batch that are of the category, and otherwise as wanted."""
        if wanted.place is not None and wanted.with_alert:
            begin = wanted.place.replace("/", ".") + "."
            batch = [cursor for cursor in batch if cursor.id.startswith(begin)]
        if wanted.category is not None and (wanted.place is not None or wanted.with_alert) and batch:
            scores = self._redis.zmscore(keys.events_of(wanted.category), [cursor.id for cursor in batch])
            batch = [cursor for cursor, score in zip(batch, scores, strict=True) if score is not None]
        if not wanted.by_facts:
            yield from batch
            return
        for start in range(0, len(batch), _LAST_BATCH):
            some = batch[start : start + _LAST_BATCH]
            for cursor, facts in zip(some, self._read_facts(args=[cursor.id for cursor in some]), strict=True):
                if wanted.fits(facts):
                    yield cursor

    def _laeqs(self, batch: Sequence[Cursor]) -> list[float | None]:
        """Levels of events; None of one that went."""
        found: list[float | None] = []
        for start in range(0, len(batch), _LAST_BATCH):
            names = [cursor.id for cursor in batch[start : start + _LAST_BATCH]]
            found += [float(laeq) if laeq else None for laeq in self._read_laeqs(args=names)]
        return found

    @raises_unavailable
    def count(self, wanted: EventFilter) -> int:
        """Return the number of events of a place, or else of a category, or else of all, between two times."""
        index = _narrowest(wanted)
        lower = "-inf" if wanted.since_ms is None else wanted.since_ms
        upper = "+inf" if wanted.until_ms is None else wanted.until_ms
        return int(self._redis.zcount(index, lower, upper))

    @raises_unavailable
    def levels(self, places: Sequence[str], limit: int) -> dict[str, list[LevelPoint]]:
        """Levels of the newest clips of some sensors, oldest first; at most `limit` each."""
        pipe = self._redis.pipeline(transaction=False)
        for place in places:
            pipe.zrevrange(keys.events_of(place), 0, limit - 1, withscores=True)
        found = [[Cursor(int(ms), key.decode()) for key, ms in reversed(rows)] for rows in pipe.execute()]
        laeqs = iter(self._laeqs([cursor for own in found for cursor in own]))
        return {
            place: [LevelPoint(cursor.ms, laeq) for cursor in own if (laeq := next(laeqs)) is not None]
            for place, own in zip(places, found, strict=True)
        }

    @raises_unavailable
    def tallies(self, places: Sequence[str]) -> list[EpisodeCount]:
        """Episodes of each category at some places, where there are any, the most first."""
        pairs = [(place, category) for place in places for category in CATEGORIES]
        pipe = self._redis.pipeline(transaction=False)
        for place, category in pairs:
            pipe.zcard(keys.episodes_of(place, category))
            pipe.zrevrange(keys.episodes_of(place, category), 0, 0, withscores=True)
        answers = pipe.execute()
        found = [
            EpisodeCount(place, category, times, int(last[0][1]))
            for (place, category), times, last in zip(pairs, answers[::2], answers[1::2], strict=True)
            if last
        ]
        return sorted(found, key=lambda tally: -tally.times)

    @raises_unavailable
    def backfill_indexes(self) -> int:
        """Put events that were archived before there were these indexes into them.

        Returns:
            How many there were.

        Raises:
            UnavailableError: the store is away; completing again is safe.
        """
        places = [sensor.place for sensor in self._archive.sensors.all()]
        if sum(self.count(EventFilter(place=place)) for place in places) == self._archive.count():
            return 0
        added = 0
        for page in self._archive.ids():
            for start in range(0, len(page), _LAST_BATCH):
                pipe = self._redis.pipeline(transaction=False)
                for event in self._archive.fetch(page[start : start + _LAST_BATCH]):
                    for index in time_index_keys(event.place, event.presence):
                        pipe.zadd(index, {str(event.id): round(event.captured_at.timestamp() * 1000)})
                    added += 1
                pipe.execute()
        return added


def _narrowest(wanted: EventFilter) -> str:
    """Key of the narrowest index that serves."""
    if wanted.with_alert:
        return keys.ALERTS
    if wanted.place is None and wanted.category is None:
        return keys.EVENTS
    return keys.events_of(wanted.place or wanted.category or "")

"""Lists of events by place, category and level: pages against a naive look, on every store."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from hub.domain.records import StoredEvent, to_ms
from hub.store.event_queries import MAX_SCANNED, Cursor, EventFilter, EventQueries
from hub.store.events import EventStore
from shared.events import EventId, Levels
from shared.taxonomy import CATEGORIES
from tests.factories import NOON, stored

pytestmark = pytest.mark.redis


@pytest.fixture
def events(archive: EventStore) -> list[StoredEvent]:
    """Events of three sensors, many of one instant, newest first."""
    rng = np.random.default_rng(0)
    made = [
        replace(
            stored(number, sensor=f"street-{rng.integers(3)}", after_s=float(rng.integers(20))),
            presence=tuple(np.where(rng.random(8) < 0.3, 0.9, 0.1).tolist()),
            levels=Levels(float(rng.integers(-60, -20)), -10.0),
        )
        for number in range(300)
    ]
    archive.add_many(made)
    return sorted(made, key=lambda event: (to_ms(event.captured_at), str(event.id)), reverse=True)


def listed(catalogue: EventQueries, wanted: EventFilter, limit: int) -> list[str]:
    found: list[str] = []
    after: Cursor | None = None
    while True:
        page = catalogue.events(wanted, limit=limit, after=after)
        found += [str(event.id) for event in page.events]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 128, 300, 301])
@pytest.mark.parametrize("place", [None, "demo/street-1", "demo/nowhere"])
@pytest.mark.parametrize("category", [None, "dog"])
@pytest.mark.parametrize("min_laeq", [None, -30.0])
def test_pages_hold_what_a_naive_look_finds(
    archive: EventStore,
    events: list[StoredEvent],
    limit: int,
    place: str | None,
    category: str | None,
    min_laeq: float | None,
) -> None:
    since, until = NOON + timedelta(seconds=3), NOON + timedelta(seconds=17)
    wanted = EventFilter(to_ms(since), to_ms(until), place, category, min_laeq)
    expected = [
        str(event.id)
        for event in events
        if since <= event.captured_at <= until
        and place in {None, event.place}
        and (category is None or event.presence[CATEGORIES.index(category)] >= 0.5)
        and (min_laeq is None or event.levels.laeq >= min_laeq)
    ]
    assert listed(EventQueries(archive), wanted, limit) == expected


def test_what_comes_meanwhile_does_not_shift_the_pages(archive: EventStore, events: list[StoredEvent]) -> None:
    catalogue = EventQueries(archive)
    first = catalogue.events(EventFilter(), limit=100)
    archive.add(replace(stored(999, after_s=3600.0), id=EventId("demo", "late", "boot", 1)))
    assert first.next is not None
    rest = catalogue.events(EventFilter(), limit=500, after=first.next)
    reported = [str(event.id) for page in (first, rest) for event in page.events]
    assert reported == [str(event.id) for event in events]


@pytest.mark.parametrize("store_url", ["valkey"], indirect=True)
def test_a_request_looks_at_a_limited_number_of_events(archive: EventStore) -> None:
    quiet = stored(0)
    for start in range(0, MAX_SCANNED + 5_000, 5_000):
        archive.add_many([replace(quiet, id=EventId("demo", "street-1", "many", start + n)) for n in range(5_000)])
    loud = replace(stored(1), id=EventId("demo", "a", "first", 0), levels=Levels(0.0, 0.0))
    archive.add(loud)
    catalogue = EventQueries(archive)
    page = catalogue.events(EventFilter(min_laeq=-10.0), limit=5)
    assert page.events == []
    assert page.next is not None
    rest = catalogue.events(EventFilter(min_laeq=-10.0), limit=5, after=page.next)
    assert [event.id for event in rest.events] == [loud.id]
    assert rest.next is None


def test_what_expires_leaves_every_index(archive: EventStore, events: list[StoredEvent]) -> None:
    while archive.delete_before(NOON + timedelta(seconds=10)):
        pass
    left = [event for event in events if event.captured_at >= NOON + timedelta(seconds=10)]
    catalogue = EventQueries(archive)
    assert catalogue.count(EventFilter()) == len(left)
    for place in {event.place for event in events}:
        assert catalogue.count(EventFilter(place=place)) == sum(event.place == place for event in left)
    for number, category in enumerate(CATEGORIES):
        assert catalogue.count(EventFilter(category=category)) == sum(event.presence[number] >= 0.5 for event in left)


def test_an_archive_of_before_the_indexes_is_completed_once(archive: EventStore, events: list[StoredEvent]) -> None:
    keys = [key for key in archive.client.keys("ew:events:*") if key != b"ew:events"]
    archive.client.delete(*keys)
    catalogue = EventQueries(archive)
    assert catalogue.backfill_indexes() == len(events)
    assert catalogue.backfill_indexes() == 0
    assert sorted(archive.client.keys("ew:events:*")) == sorted(keys)
    assert listed(catalogue, EventFilter(place="demo/street-1"), 50)


def test_levels_are_those_of_the_newest_clips_oldest_first(archive: EventStore, events: list[StoredEvent]) -> None:
    own = [event for event in events if event.place == "demo/street-2"][:5]
    (levels,) = EventQueries(archive).levels(["demo/street-2"], 5).values()
    assert [level.laeq for level in levels] == [event.levels.laeq for event in reversed(own)]
    assert EventQueries(archive).levels([], 5) == {}

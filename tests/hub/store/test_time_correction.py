"""A start puts right what earlier hubs archived from the future, whatever else is in the store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.store.codec import to_redis_hash
from hub.store.episode_rows import encode_episode
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.time_correction import Mender
from tests.factories import NOON, stored

pytestmark = pytest.mark.redis

NOW = NOON + timedelta(days=1)
LATER = datetime(2199, 1, 1, tzinfo=UTC)
AHEAD_MS = int(LATER.timestamp() * 1000)


def test_an_event_from_the_future_whose_id_has_no_site_is_put_right(archive: EventStore) -> None:
    old = "street-1.boot.9"
    archive.client.hset(f"ew:event:{old}", mapping=to_redis_hash(replace(stored(9), captured_at=LATER)))
    for index in ("ew:events", "ew:events:demo/street-1", "ew:events:dog"):
        archive.client.zadd(index, {old: AHEAD_MS})
    assert Mender(archive).mend(NOW) == 1
    assert archive.client.zscore("ew:events", old) < AHEAD_MS
    assert archive.client.zscore("ew:events:demo/street-1", old) < AHEAD_MS


@pytest.mark.parametrize(
    ("field", "value"),
    [("presence", b"\0"), ("received_ms", b"never"), ("duration_s", b"nan"), ("received_ms", b"-9e9")],
)
def test_a_row_from_the_future_that_cannot_be_read_is_left_alone_and_hinders_no_start(
    archive: EventStore, field: str, value: bytes
) -> None:
    spoilt, ahead = (replace(stored(seq), captured_at=LATER, received_at=NOON) for seq in (1, 2))
    archive.add_many([spoilt, ahead])
    archive.client.hset(f"ew:event:{spoilt.id}", field, value)
    assert Mender(archive).mend(NOW) == 1
    back = archive.get(ahead.id)
    assert back is not None
    assert back.claimed_at == LATER
    assert Mender(archive).mend(NOW) == 0


@pytest.mark.parametrize("row", [b"{}", b"null", b"\xff", b'["a", 1]'])
def test_an_episode_or_alert_that_cannot_be_read_hinders_no_start(archive: EventStore, row: bytes) -> None:
    ahead = replace(stored(2), captured_at=LATER, received_at=NOON)
    archive.add(ahead)
    archive.client.set(f"ew:alert:{ahead.id}", row)
    archive.client.zadd("ew:alerts", {str(ahead.id): AHEAD_MS})
    archive.client.set(f"ew:episode:{ahead.id}.4", row)
    archive.client.zadd("ew:episodes", {f"{ahead.id}.4": AHEAD_MS})
    assert Mender(archive).mend(NOW) == 1
    assert archive.get(ahead.id) is not None
    assert Mender(archive).mend(NOW) == 0


def test_an_episode_is_put_right_though_a_start_ended_before_it_came_to_that(archive: EventStore) -> None:
    archive.add(stored(2))
    episode_store = EpisodeStore(archive)
    episode = Episode(f"{stored(2).id}.4", "demo/street-1", "dog", AHEAD_MS, AHEAD_MS + 10_000)
    archive.client.set(f"ew:episode:{episode.id}", encode_episode(episode))
    for index in ("ew:episodes", "ew:episodes:demo/street-1:dog"):
        archive.client.zadd(index, {episode.id: AHEAD_MS})
    Mender(archive).mend(NOW)
    assert [one.opened_ms for one in episode_store.episodes()] == [to_ms(NOON)]

"""One suite for every store: Valkey (embedded) and Debian's Redis."""

from datetime import timedelta

import numpy as np
import pytest
import redis

from hub.domain.records import ChangeRecord, WriteState
from hub.store.dead_letters import HEAD_BYTES
from hub.store.events import EventStore
from shared.errors import InvalidError, UnavailableError
from shared.messages.sensor import StateMessage
from tests.factories import NOON, alert, stored

pytestmark = pytest.mark.redis


def bury(archive: EventStore, payload: bytes = b"?", reason: str = "no") -> None:
    archive.letters.put(topic="earwitness/v1/a/b/event", payload=payload, reason=reason, received_at=NOON)


def test_an_event_comes_back_as_it_was_written(archive: EventStore) -> None:
    event = stored()
    assert archive.add(event) is WriteState.NEW
    back = archive.get(event.id)
    assert back is not None
    assert (back.features == event.features).all()
    assert back.towers is not None
    assert event.towers is not None
    assert back.towers.network == event.towers.network
    assert (back.towers.values == event.towers.values).all()
    assert back.towers.identity.tolist() == event.towers.identity.tolist() == [-2, -1, 0, 1, 2]
    assert [getattr(back, name) for name in ("id", "site", "captured_at", "received_at", "levels", "presence")] == [
        getattr(event, name) for name in ("id", "site", "captured_at", "received_at", "levels", "presence")
    ]


def test_an_event_of_an_earlier_hub_has_no_towers_and_neither_has_one_whose_towers_are_none(
    archive: EventStore, store_url: str
) -> None:
    event = stored()
    archive.add(event)
    with redis.Redis.from_url(store_url) as store:
        for value in (b"name:odd", None):
            if value is None:
                store.hdel(f"ew:event:{event.id}", "towers")
            else:
                store.hset(f"ew:event:{event.id}", "towers", value)
            back = archive.get(event.id)
            assert back is not None
            assert back.towers is None


def test_towers_that_an_earlier_hub_archived_have_no_identity(archive: EventStore, store_url: str) -> None:
    event = stored()
    archive.add(event)
    with redis.Redis.from_url(store_url) as store:
        store.hset(f"ew:event:{event.id}", "towers", b"network:" + np.arange(3, dtype="<f2").tobytes())
    back = archive.get(event.id)
    assert back is not None
    assert back.towers is not None
    assert (back.towers.network, back.towers.values.tolist()) == ("network", [0.0, 1.0, 2.0])
    assert back.towers.identity.size == 0


def test_a_repeat_changes_nothing(archive: EventStore) -> None:
    archive.add(stored())
    archive.mark_processed([(stored().id, None)])
    assert archive.add(stored(after_s=5)) is WriteState.REPEAT
    assert archive.write_states([stored().id]) == [WriteState.REPEAT]
    assert archive.count() == 1
    assert [sensor.events for sensor in archive.sensors.all()] == [1]
    back = archive.get(stored().id)
    assert back is not None
    assert back.captured_at == NOON


def test_an_event_whose_handling_was_cut_short_is_known_as_unfinished(archive: EventStore) -> None:
    archive.add(stored())
    assert archive.write_states([stored().id, stored(1).id]) == [WriteState.UNFINISHED, WriteState.NEW]
    assert archive.add(stored()) is WriteState.UNFINISHED


def test_events_come_newest_first_and_can_be_paged_and_filtered(archive: EventStore) -> None:
    for seq in range(300):
        archive.add(stored(seq, sensor=f"street-{seq % 2}", after_s=10 * seq))
    newest = archive.events(limit=3)
    assert [event.id.seq for event in newest] == [299, 298, 297]
    assert [event.id.seq for event in archive.events(limit=2, before=newest[-1].captured_at)] == [296, 295]
    assert [event.id.seq for event in archive.events(limit=2, place="demo/street-0")] == [298, 296]
    assert len(archive.events(limit=500, place="demo/street-1")) == 150


def test_events_written_together_are_distinguished(archive: EventStore) -> None:
    archive.add(stored(1))
    archive.add(stored(2))
    archive.mark_processed([(stored(2).id, None)])
    reported = archive.add_many([stored(0), stored(1), stored(2), stored(3)])
    assert reported == [WriteState.NEW, WriteState.UNFINISHED, WriteState.REPEAT, WriteState.NEW]
    assert archive.count() == 4
    assert archive.add_many([]) == []


def test_a_server_that_forgot_our_script_is_sent_it_again(archive: EventStore, store_url: str) -> None:
    archive.add(stored(0))
    redis.Redis.from_url(store_url, protocol=2).script_flush()
    assert archive.add_many([stored(0), stored(1)]) == [WriteState.UNFINISHED, WriteState.NEW]


@pytest.mark.parametrize("count", [0, 1, 600])
def test_all_ids_come_oldest_first_and_events_by_id_in_the_order_asked_for(archive: EventStore, count: int) -> None:
    archive.add_many([stored(seq, after_s=-seq) for seq in range(count)])
    ids = [event for page in archive.ids() for event in page]
    assert ids == [str(stored(seq).id) for seq in reversed(range(count))]
    assert [str(event.id) for event in archive.fetch([*ids[:5], "no.such.1"])] == ids[:5]


@pytest.mark.parametrize("apart_s", [1, 0], ids=["apart", "all at once"])
def test_ids_overlook_none_that_stays_while_others_expire(
    archive: EventStore, monkeypatch: pytest.MonkeyPatch, apart_s: int
) -> None:
    monkeypatch.setattr("hub.store.events._PAGE", 50)
    archive.add_many([stored(seq, after_s=-1) for seq in range(100)])
    archive.add_many([stored(seq, after_s=apart_s * seq) for seq in range(100, 300)])
    reported: list[str] = []
    for page in archive.ids():
        reported += page
        archive.delete_before(NOON)
    assert len(reported) == len(set(reported))
    assert set(reported) >= {str(stored(seq).id) for seq in range(100, 300)}


def test_changes_report_what_came_and_went_after_a_position(archive: EventStore) -> None:
    archive.add(stored(0))
    start = archive.changes.last_id()
    assert archive.changes.since(start) == (start, [])
    archive.add_many([stored(1, after_s=50), stored(0)])
    archive.delete_before(NOON + timedelta(seconds=10))
    found = archive.changes.since(start)
    assert found is not None
    position, happened = found
    assert happened == [ChangeRecord(str(stored(1).id), gone=False), ChangeRecord(str(stored(0).id), gone=True)]
    assert position == archive.changes.last_id()
    first = archive.changes.since(start, limit=1)
    assert first is not None
    assert first[1] == happened[:1]
    assert archive.changes.since(first[0]) == (position, happened[1:])


def test_changes_that_are_kept_no_more_are_reported_as_missed(archive: EventStore, store_url: str) -> None:
    assert archive.changes.last_id() == "0-0"
    archive.add(stored(0))
    start = archive.changes.last_id()
    archive.add_many([stored(seq) for seq in range(1, 500)])
    assert archive.changes.since(start) is not None
    client = redis.Redis.from_url(store_url, protocol=2)
    client.xtrim("ew:changes", maxlen=100, approximate=False)
    assert archive.changes.since(start) is None
    assert archive.changes.since(archive.changes.last_id()) is not None
    client.delete("ew:changes")
    assert archive.changes.since(start) is None


def test_a_store_that_came_back_as_it_was_before_does_not_know_the_position(
    archive: EventStore, store_url: str
) -> None:
    archive.add(stored(0))
    before = archive.changes.last_id()
    archive.add(stored(1))
    position = archive.changes.last_id()
    redis.Redis.from_url(store_url, protocol=2).xdel("ew:changes", position)
    assert archive.changes.since(before) is not None
    assert archive.changes.since(position) is None


def test_more_changes_than_are_kept_since_the_very_start_are_reported_as_missed(
    archive: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.changes.CHANGES_KEPT", 200)
    start = archive.changes.last_id()
    archive.add_many([stored(seq) for seq in range(150)])
    found = archive.changes.since(start)
    assert found is not None
    assert len(found[1]) == 150
    archive.add_many([stored(seq) for seq in range(150, 600)])
    assert archive.changes.since(start) is None


def test_old_events_and_alerts_expire_and_young_ones_stay(archive: EventStore) -> None:
    for seq in range(4):
        archive.add(stored(seq, after_s=100 * seq))
    archive.mark_processed([(stored(0).id, alert())])
    gone = archive.delete_before(NOON + timedelta(seconds=200))
    assert gone == {str(stored(0).id): "", str(stored(1).id): ""}
    assert archive.delete_before(NOON + timedelta(seconds=200)) == {}
    assert (archive.count(), archive.alerts.count()) == (2, 0)
    assert archive.get(stored(0).id) is None


def test_events_of_a_feature_space_that_is_unknown_by_now_expire_too(archive: EventStore, store_url: str) -> None:
    archive.add(stored())
    redis.Redis.from_url(store_url, protocol=2).hset(f"ew:event:{stored().id}", "space", "gone-u8/1")
    assert list(archive.delete_before(NOON + timedelta(seconds=10))) == [str(stored().id)]
    assert archive.count() == 0


def test_dead_letters_keep_topic_payload_and_reason(archive: EventStore) -> None:
    bury(archive, b"\xff\x00", "not CBOR")
    (letter,) = archive.letters.page()
    assert (letter.topic, archive.letters.payload(letter.id), letter.reason, letter.is_complete) == (
        "earwitness/v1/a/b/event",
        b"\xff\x00",
        "not CBOR",
        True,
    )
    archive.letters.remove(letter.id)
    assert archive.letters.count() == 0


def test_a_huge_payload_is_kept_in_part_and_marked(archive: EventStore) -> None:
    bury(archive, b"x" * 1_000_000)
    (letter,) = archive.letters.page()
    assert (letter.kept, letter.size, letter.is_complete) == (HEAD_BYTES, 1_000_000, False)
    assert len(archive.letters.payload(letter.id)) == HEAD_BYTES


def state(boot: str, what: str) -> StateMessage:
    return StateMessage.model_validate(
        {
            "site": "demo",
            "sensor": "street-1",
            "boot": boot,
            "state": what,
            "source": "scene",
            "payload_format": "flac",
            "software": "0",
            "started_at": NOON,
        }
    )


def test_a_late_will_of_an_old_boot_does_not_kill_a_new_session(archive: EventStore) -> None:
    assert archive.sensors.update_state(state("one", "ready"))
    assert archive.sensors.update_state(state("two", "ready"))
    assert not archive.sensors.update_state(state("one", "lost"))
    assert [sensor.state for sensor in archive.sensors.all()] == ["ready"]
    assert archive.sensors.update_state(state("two", "lost"))
    assert [sensor.state for sensor in archive.sensors.all()] == ["lost"]


def test_a_server_that_evicts_is_refused(archive: EventStore, store_url: str) -> None:
    archive.verify()
    client = redis.Redis.from_url(store_url, protocol=2)
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(InvalidError, match="noeviction"):
            archive.verify()
    finally:
        client.config_set("maxmemory-policy", "noeviction")


def test_a_mistaken_address_is_refused_without_showing_its_password() -> None:
    with pytest.raises(InvalidError, match=r"redis\.url") as caught:
        EventStore("redis://me:hunter/2@127.0.0.1:6379/0")
    assert "hunter" not in str(caught.value)


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        EventStore("redis://127.0.0.1:1/0", timeout_s=0.5).count()

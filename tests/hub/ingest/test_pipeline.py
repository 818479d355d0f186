"""The pipeline on every store: messages handled together give the same result as one by one."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import redis

from hub.features.logmel import LogMel
from hub.ingest.messages import HandledMessage, Outcome
from hub.ingest.pipeline import Pipeline, Recognition
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import default_checkpoint, load
from hub.notify.dispatcher import unpublished_alert_count
from hub.search.follower import IndexFollower, sync_index
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.errors import UnavailableError
from shared.feature_space import VGGISH
from shared.messages.codec import encode_json
from shared.messages.event import encode_event
from shared.messages.sensor import StateMessage
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event, stored
from tests.identities import identified
from tests.pipelines import SCORERS, pipeline_of
from tests.server_processes import Store, eventually

pytestmark = pytest.mark.redis


def pipeline(archive: EventStore, retrieval: Retrieval | None = None, metrics: HubMetrics | None = None) -> Pipeline:
    recognition = Recognition(LogMel(), Retrieval(SCORERS) if retrieval is None else retrieval)
    return pipeline_of(Stores.of(archive), lambda: NOON + timedelta(days=1), recognition=recognition, metrics=metrics)


def message(seq: int, sensor: str = "street-1") -> tuple[str, bytes]:
    sent = event(seq, sensor=sensor, after_s=1_000.0 * seq)
    return str(SensorTopic("demo", sensor, "event")), encode_event(sent)


def state() -> tuple[str, bytes]:
    reported = StateMessage.model_validate(
        {
            "site": "demo",
            "sensor": "street-1",
            "boot": "boot",
            "state": "ready",
            "source": "scene",
            "payload_format": "flac",
            "software": "0",
            "started_at": NOON,
        }
    )
    return str(SensorTopic("demo", "street-1", "state")), encode_json(reported)


def seen(handled: list[HandledMessage]) -> list[tuple[Outcome, list[str]]]:
    return [(one.outcome, [match.event for match in one.alert.matches] if one.alert else []) for one in handled]


def ranks(handled: list[HandledMessage]) -> list[float | None]:
    return [match.rank for one in handled if one.alert for match in one.alert.matches]


@pytest.fixture
def single(store: Store) -> Iterator[EventStore]:
    opened = EventStore(store.url)
    yield opened
    opened.close()


@pytest.mark.parametrize("knows", [True, False])
def test_the_matches_of_an_alert_report_the_source_where_the_model_knows_it(archive: EventStore, knows: bool) -> None:
    bare = replace(load(default_checkpoint(VGGISH.id)), identity=None)
    scorer = Scorer(identified(bare) if knows else bare)
    handled = list(pipeline(archive, Retrieval([scorer])).handle_all([message(n) for n in range(4)]))
    matches = [match for one in handled if one.alert for match in one.alert.matches]
    assert matches
    assert {match.same_source is not None for match in matches} == {knows}
    kept = [match for alert in archive.alerts.newest() for match in alert.matches]
    assert {match.same_source for match in kept} == {match.same_source for match in matches}


def test_a_batch_gives_what_its_messages_give_one_by_one(archive: EventStore, single: EventStore) -> None:
    messages = [message(n) for n in range(12)]
    together = list(pipeline(archive).handle_all(messages))
    alone = pipeline(single)
    one_by_one = [alone.handle(*message) for message in messages]
    assert seen(together) == seen(one_by_one)
    assert ranks(together) == pytest.approx(ranks(one_by_one), abs=1e-3)
    assert [one.alert is not None for one in together] == [False, *[True] * 11]
    assert archive.count() == 12
    assert unpublished_alert_count(archive.client) == archive.alerts.count() == 11


def test_bad_messages_states_and_repeats_within_a_batch_are_dealt_with_in_their_place(archive: EventStore) -> None:
    batch = [message(0), ("nonsense", b"?"), message(1), state(), message(1), (message(2)[0], b"\xff"), message(2)]
    handled = list(pipeline(archive).handle_all(batch))
    kinds = (Outcome.ARCHIVED, Outcome.DEAD_LETTER, Outcome.ARCHIVED, Outcome.STATE, Outcome.REPEAT)
    assert [one.outcome for one in handled] == [*kinds, Outcome.DEAD_LETTER, Outcome.ARCHIVED]
    assert archive.count() == 3
    assert archive.letters.count() == 2
    assert [sensor.state for sensor in archive.sensors.all()] == ["ready"]
    assert next(pipeline(archive).handle_all([message(0)])).outcome is Outcome.REPEAT


def test_an_event_of_a_space_without_a_model_is_dead_lettered_alone(archive: EventStore) -> None:
    handled = list(pipeline(archive, Retrieval(SCORERS[1:])).handle_all([state(), message(0), state()]))
    assert [one.outcome for one in handled] == [Outcome.STATE, Outcome.DEAD_LETTER, Outcome.STATE]
    (letter,) = archive.letters.page()
    assert "no model" in letter.reason
    assert (letter.kind, letter.is_complete) == ("unsupported", True)


def test_what_was_reported_before_an_error_is_done_with_and_the_rest_can_be_handled_again(
    single: EventStore, store: Store
) -> None:
    hub = pipeline(single)
    bad = ("nonsense", b"?")
    batch = [message(0), bad, message(1), bad, message(2)]
    handled = hub.handle_all(batch)
    reported = [next(handled).outcome for _ in range(3)]
    single.wait_for_disk()
    store.kill()
    with pytest.raises(UnavailableError):
        next(handled)
    store.start()
    assert reported == [Outcome.ARCHIVED, Outcome.DEAD_LETTER, Outcome.ARCHIVED]
    assert [one.outcome for one in hub.handle_all(batch[len(reported) :])] == [Outcome.DEAD_LETTER, Outcome.ARCHIVED]
    assert (single.count(), single.letters.count()) == (3, 2)


def test_a_store_that_goes_away_loses_and_doubles_nothing(single: EventStore, store: Store) -> None:
    hub = pipeline(single)
    batch = [message(n) for n in range(5)]
    store.kill()
    with pytest.raises(UnavailableError):
        list(hub.handle_all(batch))
    store.start()
    assert [one.outcome for one in hub.handle_all(batch)] == [Outcome.ARCHIVED] * 5
    assert single.count() == 5


def test_an_event_cut_short_before_it_was_looked_at_is_looked_at_again(archive: EventStore) -> None:
    first = pipeline(archive)
    list(first.handle_all([message(0)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "pipeline_mark_processed", lambda *_: (_ for _ in ()).throw(UnavailableError("away")))
        with pytest.raises(UnavailableError):
            list(first.handle_all([message(3)]))
    assert archive.count() == 2
    (handled,) = first.handle_all([message(3)])
    assert handled.outcome is Outcome.ARCHIVED
    assert handled.alert is not None
    assert [match.event for match in handled.alert.matches] == ["demo.street-1.boot.0"]


def test_hubs_that_follow_see_each_others_events_and_removals(archive: EventStore) -> None:
    one, two = Retrieval(SCORERS), Retrieval(SCORERS)
    after = archive.changes.last_id()
    followers = [IndexFollower(archive, retrieval, after) for retrieval in (one, two)]
    for follower in followers:
        follower.start()
    try:
        for n, retrieval in zip(range(10), itertools.cycle((one, two))):
            pipeline(archive, retrieval).handle(*message(n))
        eventually(lambda: len(one) == len(two) == 10, 20, "both hubs know ten events")
        archive.delete_before(NOON.replace(hour=13))
        eventually(lambda: len(one) == len(two) == archive.count(), 20, "what was removed is gone from both")
    finally:
        for follower in followers:
            follower.stop()
    assert 0 < archive.count() < 10


def test_a_hub_that_missed_changes_compares_everything(archive: EventStore, store_url: str) -> None:
    writer = pipeline(archive)
    list(writer.handle_all([message(n) for n in range(5)]))
    stale = archive.changes.last_id()
    reader = Retrieval(SCORERS)
    assert sync_index(archive, reader) == 5
    list(writer.handle_all([message(n) for n in range(5, 9)]))
    archive.delete_before(NOON.replace(minute=1))
    redis.Redis.from_url(store_url, protocol=2).xtrim("ew:changes", maxlen=1, approximate=False)
    follower = IndexFollower(archive, reader, stale)
    follower.start()
    try:
        eventually(lambda: set(reader.ids()) == {e for page in archive.ids() for e in page}, 20, "all is compared")
    finally:
        follower.stop()
    assert len(reader) == archive.count() == 8


def test_an_event_that_this_hub_cannot_read_is_left_out_and_following_goes_on(archive: EventStore) -> None:
    reader = Retrieval(SCORERS)
    archive.add(replace(stored(0), space="brought-along/1"))
    assert sync_index(archive, reader) == 0
    follower = IndexFollower(archive, reader, archive.changes.last_id())
    follower.start()
    try:
        archive.add_many([stored(1), replace(stored(2), space="brought-along/1"), stored(3)])
        eventually(lambda: len(reader) == 2, 20, "those that can be read are found")
    finally:
        follower.stop()
    assert set(reader.ids()) == {str(stored(seq).id) for seq in (1, 3)}


def test_a_store_that_goes_away_is_followed_again_when_it_is_back(store: Store, single: EventStore) -> None:
    reader = Retrieval(SCORERS)
    single.add(stored(0))
    assert sync_index(single, reader) == 1
    follower = IndexFollower(single, reader, single.changes.last_id())
    follower.start()
    try:
        single.wait_for_disk()
        store.kill()
        store.start()
        single.add(stored(1))
        eventually(
            lambda: set(reader.ids()) == {e for page in single.ids() for e in page}, 20, "it is followed again"
        )
    finally:
        follower.stop()
    assert str(stored(1).id) in set(reader.ids())


def test_reconciling_reports_how_far_it_is(archive: EventStore) -> None:
    list(pipeline(archive).handle_all([message(n) for n in range(5)]))
    reported: list[tuple[int, int]] = []
    reader = Retrieval(SCORERS)
    sync_index(archive, reader, lambda done, of: reported.append((done, of)))
    assert reported[-1] == (5, 5)
    assert np.all(np.diff([done for done, _ in reported]) >= 0)

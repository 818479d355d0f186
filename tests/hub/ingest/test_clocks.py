"""Wrong clocks on every store: of sensors, of a hub; and a store that is full."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from hub.alerting.detector import AlertDetector
from hub.domain.alert_rule import AlertRule, SearchResult
from hub.domain.clocks import waited_s
from hub.domain.match import Match
from hub.domain.records import ChangeRecord, StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.metrics.definitions import HubMetrics
from hub.monitoring.clocks import ClockProbe
from hub.search.follower import IndexFollower
from hub.search.retrieval import Retrieval
from hub.store.episodes import EpisodeStore
from hub.store.event_queries import EventFilter, EventQueries
from hub.store.events import EventStore
from hub.store.stores import Stores
from hub.store.time_correction import Mender
from shared.errors import UnavailableError
from shared.events import Event
from shared.messages.codec import encode_json
from shared.messages.event import encode_event
from shared.messages.sensor import STATE_EXPIRY_S, SensorReport, StateMessage
from shared.mqtt.session import MqttSession, Received
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event, stored
from tests.hub.ingest.test_pipeline import pipeline
from tests.pipelines import SCORERS, flagging, pipeline_of
from tests.server_processes import Mosquitto, eventually

pytestmark = [pytest.mark.redis, pytest.mark.mosquitto]

NOW = NOON + timedelta(days=1)
"""The time of the pipeline's clock."""


def sent(archive: EventStore, *events: Event) -> list[StoredEvent]:
    line = pipeline(archive)
    list(line.handle_all([(str(SensorTopic("demo", e.id.sensor, "event")), encode_event(e)) for e in events]))
    return archive.fetch([str(e.id) for e in events])


def report(archive: EventStore, at: datetime, waited_s: float | None, sensor: str = "street-1") -> None:
    state = StateMessage(
        site="demo",
        sensor=sensor,
        boot="boot",
        state="ready",
        source="microphone",
        payload_format="flac",
        software="test",
        started_at=at,
        report=SensorReport(at=at, waiting=0, spool=0.0, dropped=0),
    )
    line = pipeline(archive)
    list(line.process(line.prepare([(str(SensorTopic("demo", sensor, "state")), encode_json(state))], [waited_s])))


@pytest.mark.parametrize("year", [1970, 2199])
def test_an_event_of_an_impossible_year_takes_the_time_of_its_receipt_and_keeps_its_claim(
    archive: EventStore, year: int
) -> None:
    claimed = datetime(year, 6, 1, tzinfo=UTC)
    wrong, right = replace(event(), captured_at=claimed), replace(event(1), captured_at=NOW - timedelta(seconds=5))
    kept, _ = sent(archive, wrong, right)
    assert (kept.captured_at, kept.received_at, kept.claimed_at) == (NOW - timedelta(seconds=10), NOW, claimed)
    newest = EventQueries(archive).events(EventFilter(), limit=5).events
    assert [str(one.id) for one in newest] == [str(right.id), str(wrong.id)], "it does not stay first in lists"
    assert archive.delete_before(NOW - timedelta(days=90)) == {}
    assert set(archive.delete_before(NOW)) == {str(wrong.id), str(right.id)}, "it expires like any other"


def test_events_of_one_batch_that_take_the_time_of_receipt_keep_their_order(archive: EventStore) -> None:
    wrong = [replace(event(seq), captured_at=datetime(1970, 1, 1, tzinfo=UTC)) for seq in range(12)]
    kept = sent(archive, *wrong)
    assert [one.claimed_at for one in kept] == [one.captured_at for one in wrong]
    newest = EventQueries(archive).events(EventFilter(), limit=20).events
    assert [one.id.seq for one in reversed(newest)] == list(range(12))
    assert kept[-1].captured_at - kept[0].captured_at < timedelta(seconds=1)


def test_what_a_sensor_states_of_clip_and_clock_is_archived_and_searchable(archive: EventStore) -> None:
    old = replace(event(), backfilled=True, clock="unsynchronised", rate_hz=48_000)
    live = replace(event(1), clock="synchronised")
    kept, _ = sent(archive, old, live)
    assert (kept.backfilled, kept.clock, kept.rate_hz) == (True, "unsynchronised", 48_000)
    catalogue = EventQueries(archive)
    for wanted, found in (
        (EventFilter(backfilled=True), [old]),
        (EventFilter(backfilled=False), [live]),
        (EventFilter(clock="synchronised"), [live]),
        (EventFilter(clock="unknown"), []),
    ):
        assert [one.id for one in catalogue.events(wanted, limit=5).events] == [one.id for one in found]


def test_an_event_of_an_earlier_hub_states_nothing_of_its_clock(archive: EventStore) -> None:
    archive.add(stored())
    archive.client.hdel(f"ew:event:{stored().id}", "clock", "backfilled", "rate_hz")
    back = archive.get(stored().id)
    assert back is not None
    assert (back.clock, back.backfilled, back.rate_hz, back.claimed_at) == ("unknown", False, 0, None)


def test_a_sensor_whose_clock_is_measured_behind_is_archived_by_receipt(archive: EventStore) -> None:
    report(archive, NOW - timedelta(hours=7), waited_s=3_600.0)
    (known,) = archive.sensors.all()
    assert known.clock_skew_s == pytest.approx(-6 * 3_600)
    late = replace(event(), captured_at=NOW - timedelta(hours=6))
    (kept,) = sent(archive, late)
    assert (kept.captured_at, kept.claimed_at) == (NOW - timedelta(seconds=10), late.captured_at)


def test_a_backlog_of_a_sensor_whose_clock_is_right_keeps_its_time(archive: EventStore) -> None:
    report(archive, NOW - timedelta(hours=6), waited_s=6 * 3_600.0)
    (known,) = archive.sensors.all()
    assert known.clock_skew_s == pytest.approx(0.0)
    late = replace(event(), captured_at=NOW - timedelta(hours=6))
    (kept,) = sent(archive, late)
    assert (kept.captured_at, kept.claimed_at) == (late.captured_at, None)
    report(archive, NOW - timedelta(hours=6), waited_s=None)
    assert archive.sensors.all()[0].clock_skew_s == pytest.approx(0.0), "how long that one waited is not known"


def test_an_event_whose_handling_was_cut_short_keeps_the_time_it_was_archived_with(archive: EventStore) -> None:
    wrong = replace(event(), captured_at=datetime(2199, 6, 1, tzinfo=UTC))
    early = stored(after_s=3_600.0)
    archive.add(early)
    (kept,) = sent(archive, wrong)
    assert kept.captured_at == early.captured_at


def test_what_comes_long_after_its_capture_is_kept_for_as_long_after_its_receipt(archive: EventStore) -> None:
    old = replace(stored(), captured_at=NOON - timedelta(days=2_000))
    archive.add_many([old, *(stored(seq) for seq in range(1, 4))])
    assert len(archive.delete_before(NOON)) == 0
    assert set(archive.delete_before(NOON + timedelta(seconds=5))) == {str(stored(seq).id) for seq in range(1, 4)}
    assert archive.delete_before(NOON + timedelta(seconds=5)) == {}
    assert set(archive.delete_before(NOON + timedelta(seconds=20))) == {str(old.id)}
    assert archive.client.exists("ew:late") == 0


def test_many_that_are_kept_do_not_hide_those_that_are_due(
    archive: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.event_removal._BATCH", 10)
    old = [replace(stored(seq), captured_at=NOON - timedelta(days=2_000)) for seq in range(35)]
    archive.add_many([*old, *(stored(seq, after_s=seq - 100) for seq in range(100, 125))])
    gone: dict[str, str] = {}
    while some := archive.delete_before(NOON + timedelta(seconds=10)):
        gone |= some
    assert set(gone) == {str(stored(seq).id) for seq in range(100, 110)}
    archive.delete_before(NOON)
    while some := archive.delete_before(NOON + timedelta(hours=1)):
        gone |= some
    assert len(gone) == 60


def test_what_an_earlier_hub_kept_from_the_future_goes_by_its_receipt(archive: EventStore) -> None:
    ahead = replace(stored(), captured_at=datetime(2199, 1, 1, tzinfo=UTC), received_at=NOON)
    archive.add(ahead)
    assert archive.delete_before(NOON, NOW) == {}
    assert archive.delete_before(NOON + timedelta(seconds=1)) == {}, "it goes by a time that is not reported"
    assert set(archive.delete_before(NOON + timedelta(seconds=1), NOW)) == {str(ahead.id)}


def look(archive: EventStore, ahead: timedelta = timedelta(0)) -> ClockProbe:
    metrics = HubMetrics(CollectorRegistry())
    return ClockProbe(archive, metrics, timedelta(minutes=2), now=lambda: datetime.now(UTC) + ahead)


def test_a_hub_whose_clock_is_ahead_of_the_stores_may_not_remove_anything(archive: EventStore) -> None:
    wrong = look(archive, timedelta(days=100))
    assert not wrong.may_remove()
    assert "store" in wrong.doubts.retention
    assert not wrong.trusted
    assert look(archive).may_remove()


def test_a_hub_may_not_remove_anything_while_the_newest_event_is_of_long_ago(archive: EventStore) -> None:
    archive.add(stored())
    silent = look(archive)
    assert not silent.may_remove(), "of June, by the clock of its sensor"
    assert silent.trusted
    now = datetime.now(UTC)
    archive.add(replace(stored(1), captured_at=now, received_at=now))
    assert silent.may_remove()


@pytest.fixture
def full(archive: EventStore) -> Iterator[EventStore]:
    """An archive of 300 events in a store that takes no more."""
    archive.add_many([stored(seq) for seq in range(300)])
    archive.client.config_set("maxmemory", 1)
    yield archive
    archive.client.config_set("maxmemory", 0)


def test_a_store_without_memory_is_freed_by_age_and_reports_it_once_it_has_some(full: EventStore) -> None:
    before = full.changes.last_id()
    with pytest.raises(UnavailableError, match=r"memory|OOM"):
        full.add(stored(999))
    gone: dict[str, str] = {}
    while some := full.delete_before(NOON + timedelta(minutes=1)):
        gone |= some
    assert len(gone) == 300
    assert full.count() == 0
    assert full.changes.since(before) == (before, []), "there was no memory for that"
    full.client.config_set("maxmemory", 0)
    full.delete_before(NOON)
    reported = full.changes.since(before)
    assert reported is not None
    assert set(reported[1]) == {ChangeRecord(name, gone=True) for name in gone}


def test_a_full_store_is_freed_though_it_could_take_no_event_for_more_than_a_day(full: EventStore) -> None:
    assert look(full).may_remove(), "that nothing is newer is for want of memory"
    assert not look(full, timedelta(days=100)).may_remove(), "by a clock that is wrong nothing is removed"
    full.client.config_set("maxmemory", 0)
    assert not look(full).may_remove(), "now silence has a meaning"


def test_a_follower_finds_removed_events_without_a_notice(
    full: EventStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.search.follower.COMPARED_EVERY_S", 0.2)
    other, retrieval = EventStore(store_url), Retrieval(SCORERS)
    retrieval.load(full.fetch([str(stored(seq).id) for seq in range(300)]))
    follower = IndexFollower(other, retrieval, other.changes.last_id())
    follower.start()
    try:
        while full.delete_before(NOON + timedelta(minutes=1)):
            pass
        eventually(lambda: len(retrieval) == 0, 30, "the index is emptied")
    finally:
        follower.stop()
        other.close()


def test_an_alert_states_whether_it_is_of_a_replay_and_how_late_its_clip_came(archive: EventStore) -> None:
    line = pipeline(archive)
    past = replace(event(), backfilled=True, captured_at=NOW - timedelta(days=3))
    replayed = replace(event(1, seed=0), backfilled=True, captured_at=NOW - timedelta(days=2))
    late = replace(event(2, seed=0), captured_at=NOW - timedelta(minutes=30))
    messages = [(str(SensorTopic("demo", e.id.sensor, "event")), encode_event(e)) for e in (past, replayed, late)]
    _, first, second = [handled.alert for handled in line.handle_all(messages)]
    assert first is not None
    assert second is not None
    assert first.backfilled
    assert not second.backfilled
    assert second.delay_s == pytest.approx(1_790.0)


def test_a_sensor_two_hours_ahead_raises_one_alert_a_cool_down_and_not_one_a_clip(archive: EventStore) -> None:
    now = [NOW]
    line = pipeline_of(Stores.of(archive), lambda: now[0], flagging())
    about: list[str] = []
    line.handle(str(SensorTopic("demo", "other", "event")), encode_event(event(sensor="other")))
    for seq in range(90):
        now[0] = NOW + timedelta(seconds=10 * seq)
        ahead = timedelta(hours=2) if seq < 45 else timedelta(0)
        sent_by = replace(event(seq), captured_at=now[0] - timedelta(seconds=10) + ahead)
        handled = line.handle(str(SensorTopic("demo", "street-1", "event")), encode_event(sent_by))
        about += handled.alert.categories if handled.alert is not None else []
    assert 1 <= len(about) == len(set(about)), "one alert about each category, in the quarter of an hour"
    (known,) = [sensor for sensor in archive.sensors.all() if sensor.place == "demo/street-1"]
    assert known.last_captured_at == now[0] - timedelta(seconds=10)


def test_the_broker_takes_off_the_time_that_a_state_waited(mosquitto: Mosquitto) -> None:
    topic = str(SensorTopic("demo", "street-1", "state"))
    received: list[Received] = []

    def fetch() -> bool:
        """Ask for what is retained, as any subscriber receives it."""
        link.subscribe(topic)
        eventually(lambda: not link.signals.empty(), 20, "something came")
        signal = link.signals.get()
        if isinstance(signal, Received):
            link.acknowledge(signal)
            received.append(signal)
            return (waited_s(signal.expiry_s, retained=signal.retain) or 0.0) >= 2.0
        return False

    link = MqttSession(mosquitto.settings, "both")
    link.start()
    try:
        eventually(lambda: link.connected, 20, "it is connected")
        link.publish(topic, b"{}", retain=True, expiry_s=STATE_EXPIRY_S)
        eventually(fetch, 60, "the retained state has waited for seconds")
    finally:
        link.stop()
    assert (waited_s(received[-1].expiry_s, retained=True) or 0.0) < 120.0


def test_a_long_episode_does_not_crowd_out_what_was_detected_before_it(archive: EventStore) -> None:
    now = [NOW]
    line = pipeline_of(Stores.of(archive), lambda: now[0], flagging(cooldown_s=0.0, exclude_same_sensor_s=120.0))
    topic = str(SensorTopic("demo", "street-1", "event"))
    before = replace(event(0, seed=1), captured_at=NOW - timedelta(days=2))
    line.handle(topic, encode_event(before))
    found = []
    for seq in range(1, 60):
        now[0] = NOW + timedelta(seconds=10 * seq)
        one = replace(event(seq, seed=0), captured_at=now[0] - timedelta(seconds=10))
        found.append(line.handle(topic, encode_event(one)).alert)
    reported = [one for one in found if one is not None]
    assert reported
    assert {match.event for one in reported for match in one.matches} == {str(before.id)}
    again = replace(event(99, seed=0), captured_at=now[0] + timedelta(seconds=300))
    now[0] += timedelta(seconds=320)
    alert = line.handle(topic, encode_event(again)).alert
    assert alert is not None
    assert all(match.event != str(again.id) for match in alert.matches)


def test_what_earlier_hubs_archived_from_the_future_is_put_right_at_a_start(archive: EventStore) -> None:
    ahead = replace(stored(0), captured_at=datetime(2199, 1, 1, tzinfo=UTC), received_at=NOON)
    right = stored(1, after_s=60.0)
    archive.add_many([ahead, right])
    episode_store = EpisodeStore(archive)
    rule = AlertRule(min_presence=0.0, min_shared=0.0, threshold=0.0, others_per_day=1e9)
    matrix = np.zeros((8, 3), np.float32)
    found = SearchResult([Match("o.b.0", "demo/o", to_ms(NOON), 8.0, 8.0, matrix)], np.full((1, 8), 0.9, np.float32))
    AlertDetector(episode_store, SensorMap({}, 0.0, ZoneInfo("UTC")), rule).process([ahead], [found])
    assert Mender(archive).mend(NOON - timedelta(days=400)) == 0, "by a clock that is behind"
    assert Mender(archive).mend(NOW) == 1
    assert Mender(archive).mend(NOW) == 0
    back = archive.get(ahead.id)
    assert back is not None
    assert (back.captured_at, back.claimed_at) == (NOON - timedelta(seconds=10), ahead.captured_at)
    page = EventQueries(archive).events(EventFilter(place="demo/street-1"), limit=5).events
    assert [event.id for event in page] == [right.id, ahead.id]
    assert [alert.captured_at for alert in archive.alerts.newest()] == [back.captured_at]
    assert {episode.opened_ms for episode in episode_store.episodes()} == {to_ms(back.captured_at)}
    assert len(episode_store.episodes(place="demo/street-1", category="dog")) == 1

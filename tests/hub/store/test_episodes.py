"""The episode store on every store: episodes, thresholds, verdicts, and two hubs that take one sensor's clips."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hub.alerting.detector import AlertDetector
from hub.alerting.enrichment import AlertEnricher
from hub.alerting.threshold_tuner import ThresholdTuner
from hub.app.event_factory import build_enricher
from hub.app.factory import build_feedback, build_recurrence, build_threshold_tuner
from hub.domain.alert_rule import AlertRule, SearchResult
from hub.domain.alert_state import AlertState
from hub.domain.match import Match
from hub.domain.presence_matrix import BOTH
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.settings import AlertsSettings, HubSettings
from hub.store.episode_batch import EpisodeBatch
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.errors import InvalidError
from shared.events import EventId, Levels
from shared.feature_space import VGGISH
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES

pytestmark = pytest.mark.redis

MONDAY = datetime(2026, 11, 2, 7, tzinfo=UTC)
DOG = CATEGORIES.index("dog")
PLACES = SensorMap(
    {"demo/s1": (40.7, -74.0), "demo/s2": (40.7005, -74.0), "demo/far": (40.8, -74.0)}, 200.0, ZoneInfo("UTC")
)


def event(seq: int, at: datetime, sensor: str = "s1", dog: float = 0.9) -> StoredEvent:
    return StoredEvent(
        id=EventId("demo", sensor, "boot", seq),
        captured_at=at,
        received_at=at,
        duration_s=10.0,
        levels=Levels(60.0, 65.0, "dB"),
        space=VGGISH.id,
        features=np.zeros(VGGISH.shape, np.uint8),
        presence=tuple(dog if number == DOG else 0.0 for number in range(8)),
    )


def alike(match_probability: float) -> SearchResult:
    matrix = np.zeros((8, 3), np.float32)
    matrix[DOG, BOTH] = 1.0
    row = np.zeros((1, 8), np.float32)
    row[0, DOG] = match_probability
    return SearchResult([Match("demo.s9.boot.0", "demo/s9", to_ms(MONDAY), 8.0, 8.0, matrix)], row)


@pytest.fixture
def episode_store(archive: EventStore) -> EpisodeStore:
    return EpisodeStore(archive)


@pytest.fixture
def tuner(archive: EventStore) -> ThresholdTuner:
    alerts = AlertsSettings(max_false_alerts_per_day=1.0, default_threshold=0.5)
    return build_threshold_tuner(alerts, Stores.of(archive))


def alert_enricher(archive: EventStore) -> AlertEnricher:
    settings, stores = HubSettings(), Stores.of(archive)
    return build_enricher(settings, stores, PLACES, build_recurrence(settings, stores, PLACES))


def conclude(
    archive: EventStore,
    episode_store: EpisodeStore,
    events: list[StoredEvent],
    match_probability: float = 0.9,
    **rule: float,
) -> list[AlertMessage | None]:
    archive.add_many(events)
    detector = AlertDetector(episode_store, PLACES, AlertRule(**{"threshold": 0.5, "others_per_day": 1e9, **rule}))  # type: ignore[arg-type]
    return detector.process(events, [alike(match_probability)] * len(events))


def test_one_sound_event_is_one_episode_with_one_alert(archive: EventStore, episode_store: EpisodeStore) -> None:
    alerts = conclude(archive, episode_store, [event(n, MONDAY + timedelta(seconds=10 * n)) for n in range(4)])
    alerts += conclude(archive, episode_store, [event(n, MONDAY + timedelta(seconds=10 * n)) for n in range(4, 6)])
    reported = [alert for alert in alerts if alert is not None]
    (episode,) = episode_store.episodes()
    assert [alert.event for alert in reported] == ["demo.s1.boot.0"]
    assert (episode.clips, episode.duration_s, episode.alert) == (6, 60.0, "demo.s1.boot.0")
    assert reported[0].episode == episode.id
    assert (reported[0].categories, reported[0].threshold) == (["dog"], 0.5)
    assert episode_store.episode(episode.id) == episode
    assert archive.alerts.count() == 1


def test_episodes_are_found_by_time_place_and_category(archive: EventStore, episode_store: EpisodeStore) -> None:
    for hour in range(5):
        at = MONDAY + timedelta(hours=hour)
        conclude(archive, episode_store, [event(hour, at), event(hour, at, "far")])
    opened = [to_ms(MONDAY + timedelta(hours=hour)) for hour in range(5)]
    found = episode_store.episodes(place="demo/s1", category="dog", limit=2)
    assert [e.opened_ms for e in found] == opened[:2:-1]
    assert len(episode_store.episodes(place="demo/s1")) == 5
    assert len(episode_store.episodes(category="music")) == 0
    assert {e.place for e in episode_store.episodes(since_ms=opened[4])} == {"demo/s1", "demo/far"}
    assert [e.opened_ms for e in episode_store.episodes(place="demo/far", before_ms=opened[1])] == opened[:1]
    assert episode_store.active_hours("demo/s1", opened[1], opened[3]).tolist() == [
        o // 3_600_000 for o in opened[1:4]
    ]
    assert (episode_store.sites(), episode_store.observed_range("demo")) == (["demo"], (opened[0], opened[4]))


def test_what_expires_is_gone(archive: EventStore, episode_store: EpisodeStore) -> None:
    for hour in range(3):
        conclude(archive, episode_store, [event(hour, MONDAY + timedelta(hours=hour))])
    assert episode_store.expire(to_ms(MONDAY + timedelta(hours=1))) == 1
    assert episode_store.expire(to_ms(MONDAY + timedelta(hours=1))) == 0
    assert len(episode_store.episodes()) == len(episode_store.episodes(place="demo/s1", category="dog")) == 2


def test_a_nearby_sensor_raises_no_second_alert_but_is_linked(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    first, second, third = conclude(
        archive, episode_store, [event(0, MONDAY), event(0, MONDAY, "s2"), event(0, MONDAY, "far")]
    )
    assert first is not None
    assert second is None
    assert third is not None
    reported = alert_enricher(archive).enrich([first])[0]
    assert [name.rpartition(".")[0] for name in reported.linked] == ["demo.s2.boot.0"]
    assert reported.recurrence is not None
    assert (reported.recurrence.episodes, reported.recurrence.other_places) == (1, ["demo/s9"])


def test_an_alert_in_a_rhythm_recurs_and_is_urgent_far_above_ambient(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    alerts = []
    for day in range(12):
        for hour in range(24):
            at = MONDAY + timedelta(days=day, hours=hour - 7)
            alerts += conclude(
                archive,
                episode_store,
                [event(24 * day + hour, at, dog=0.9 if hour == 7 else 0.0)],
                others_per_day=1.0,
            )
    reported = [alert for alert in alerts if alert is not None]
    assert [alert.severity for alert in reported][-4:] == ["recurring"] * 4
    assert reported[0].severity == "notice"
    enricher = alert_enricher(archive)
    last = enricher.enrich([reported[-1]])[0]
    assert last.recurrence is not None
    assert (last.recurrence.days, last.recurrence.regularity) == (12, "daily around 07:00")
    assert last.severity == "recurring"
    assert enricher.severity(reported[-1].model_copy(update={"above_ambient_db": 12.0})) == "urgent"
    assert enricher.severity(reported[0].model_copy(update={"above_ambient_db": 12.0})) == "notice"


def test_a_site_has_no_more_alerts_out_of_rhythm_than_its_budget(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    alerts = []
    for hour in range(72):
        at = MONDAY + timedelta(hours=hour)
        alerts += conclude(archive, episode_store, [event(hour, at), event(hour, at, "far")], others_per_day=2.0)
    reported = [alert for alert in alerts if alert is not None and alert.severity == "notice"]
    assert 4 <= len(reported) <= 6
    for alert in reported:
        day = [
            other for other in reported if timedelta(0) <= other.captured_at - alert.captured_at < timedelta(days=1)
        ]
        assert len(day) <= 2


def test_two_hubs_together_keep_to_the_budget_of_a_site(archive: EventStore, store_url: str) -> None:
    """Each takes the clips of sensors that are far from each other, at the same time."""
    places = SensorMap({}, 200.0, ZoneInfo("UTC"))
    hubs = [archive, *(EventStore(store_url) for _ in range(2))]
    alerts = list[AlertMessage | None]()

    def work(own: EventStore, number: int) -> None:
        detector = AlertDetector(EpisodeStore(own), places, AlertRule(threshold=0.5, others_per_day=2.0))
        for seq in range(20):
            one = event(seq, MONDAY + timedelta(minutes=seq), f"hub{number}-{seq}")
            own.add_many([one])
            alerts.extend(detector.process([one], [alike(0.9)]))

    threads = [threading.Thread(target=work, args=(hub, number)) for number, hub in enumerate(hubs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for other in hubs[1:]:
        other.close()
    assert len(alerts) == 60
    assert sum(alert is not None for alert in alerts) == 2


def test_what_a_site_was_offered_is_kept_and_counts_in_the_days_after(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    for hour in range(49):
        conclude(archive, episode_store, [event(hour, MONDAY + timedelta(hours=hour))], others_per_day=1.0)
    with episode_store.batch() as batch:
        budget = batch.load([event(900, MONDAY + timedelta(hours=49))], {}, {}).budgets["demo"]
    offers = budget.offers
    assert offers.since_ms == to_ms(MONDAY)
    counted = [count for counts in (offers.history, offers.today) for key, count in counts.items() if key[0] == "s"]
    assert 40 < sum(counted) <= 49, "one a sound event; a day that is over weighs a little less"
    assert len(budget.alerts_ms) in {2, 3}


def test_two_hubs_that_take_one_sensors_clips_raise_one_alert(archive: EventStore, store_url: str) -> None:
    """Each judges while the other does: the second one judges again."""
    other = EventStore(store_url)
    meeting, alerts, loads = threading.Barrier(2, timeout=10), list[AlertMessage | None](), list[int]()
    events = [event(0, MONDAY), event(1, MONDAY + timedelta(seconds=10))]
    archive.add_many(events)

    def work(own: EventStore, stored: StoredEvent) -> None:
        tried = 0

        class Meeting(EpisodeBatch):
            def load(self, *args: Any) -> AlertState:
                nonlocal tried
                tried += 1
                state = super().load(*args)
                if tried == 1:
                    meeting.wait()
                return state

        class MeetingStore(EpisodeStore):
            @contextmanager
            def batch(self) -> Iterator[EpisodeBatch]:
                with own.client.pipeline(transaction=True) as pipe:
                    yield Meeting(own, pipe, {})

        detector = AlertDetector(MeetingStore(own), PLACES, AlertRule(threshold=0.5))
        alerts.extend(detector.process([stored], [alike(0.9)]))
        loads.append(tried)

    threads = [threading.Thread(target=work, args=pair) for pair in zip((archive, other), events, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    other.close()
    assert sorted(loads) == [1, 2], "the second one to commit loads and decides again"
    assert sum(alert is not None for alert in alerts) == 1
    (episode,) = EpisodeStore(archive).episodes()
    assert episode.clips == 2


def test_thresholds_are_learned_from_history_and_used_from_the_next_event_on(
    archive: EventStore, episode_store: EpisodeStore, tuner: ThresholdTuner
) -> None:
    rng = np.random.default_rng(0)
    at = MONDAY
    for number in range(240):
        at += timedelta(hours=1)
        conclude(archive, episode_store, [event(number, at)], float(rng.uniform(0.5, 0.8)))
    assert tuner.tune_stale() == ["demo"]
    assert tuner.tune_stale() == []
    learned = episode_store.thresholds.of("demo")["dog"]
    assert learned.episodes == 240
    assert learned.days == pytest.approx(10, abs=0.1)
    assert learned.value == 0.5, "of 24 a day one has an alert: that is in the budget, however doubtful"
    assert learned.alerts_per_day == 1.0
    assert learned.false_alerts_per_day == pytest.approx(0.35, abs=0.05)
    tuner.pin_threshold("demo", "dog", 0.7)
    later = at + timedelta(hours=1)
    assert conclude(archive, episode_store, [event(900, later)], 0.69) == [None]
    (alert,) = conclude(archive, episode_store, [event(901, later + timedelta(hours=2))], 0.95)
    assert alert is not None
    assert alert.threshold == pytest.approx(0.7)


@pytest.fixture
def alerted(archive: EventStore, episode_store: EpisodeStore) -> AlertMessage:
    rng = np.random.default_rng(0)
    for number in range(60):
        conclude(
            archive, episode_store, [event(number, MONDAY + timedelta(hours=number))], float(rng.uniform(0.5, 0.8))
        )
    return archive.alerts.newest(limit=1)[0]


def test_a_verdict_moves_the_threshold_at_once(
    archive: EventStore, episode_store: EpisodeStore, tuner: ThresholdTuner, alerted: AlertMessage
) -> None:
    feedback = build_feedback(Stores.of(archive), tuner)
    before = tuner.tune("demo")["dog"]
    given = feedback.submit(alert=alerted, match="demo.s9.boot.0", verdict="different", by="inspector", now=MONDAY)
    after = episode_store.thresholds.of("demo")["dog"]
    assert after.value > before.value
    assert (after.verdicts, before.verdicts) == (1, 0)
    assert feedback.stored.for_alert(alerted.event) == feedback.stored.newest() == feedback.stored.all() == [given]
    changed = feedback.submit(
        alert=alerted, match="demo.s9.boot.0", verdict="same", now=MONDAY + timedelta(seconds=1)
    )
    assert feedback.stored.all() == [changed], "a later verdict on the same match replaces the earlier one"
    assert episode_store.thresholds.of("demo")["dog"].value < after.value


def test_a_nearby_sensor_that_detects_first_how_it_goes_on_raises_no_second_alert(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    conclude(archive, episode_store, [event(0, MONDAY)])
    later = MONDAY + timedelta(minutes=10)
    assert conclude(archive, episode_store, [event(1, later, "s2"), event(2, later, "far")])[0] is None
    near = episode_store.episodes(place="demo/s2", category="dog")
    assert [episode.alert for episode in near] == ["demo.s1.boot.0"]
    assert conclude(archive, episode_store, [event(3, later + timedelta(hours=1), "s2")])[0] is not None, "long over"


def test_ignore_at_one_place_hushes_no_other(
    archive: EventStore, episode_store: EpisodeStore, tuner: ThresholdTuner
) -> None:
    (alerted,) = conclude(archive, episode_store, [event(0, MONDAY)])
    assert alerted is not None
    build_feedback(Stores.of(archive), tuner).submit(alert=alerted, match=None, verdict="ignore", now=MONDAY)
    assert conclude(archive, episode_store, [event(1, MONDAY + timedelta(days=2), "s2")])[0] is not None


def test_ignore_hushes_a_category_at_a_place_for_a_week(
    archive: EventStore, episode_store: EpisodeStore, tuner: ThresholdTuner, alerted: AlertMessage
) -> None:
    build_feedback(Stores.of(archive), tuner).submit(alert=alerted, match=None, verdict="ignore", now=MONDAY)
    for day, expected in ((2, False), (6, False), (8, True)):
        at = alerted.captured_at + timedelta(days=day)
        (alert,) = conclude(archive, episode_store, [event(1_000 + day, at)], 0.99)
        assert (alert is not None) == expected


def test_feedback_on_what_is_not_there_is_refused(
    archive: EventStore, tuner: ThresholdTuner, alerted: AlertMessage
) -> None:
    feedback = build_feedback(Stores.of(archive), tuner)
    with pytest.raises(InvalidError, match="no match"):
        feedback.submit(alert=alerted, match="unknown.b.0", verdict="same")
    with pytest.raises(InvalidError, match="unknown categories"):
        feedback.submit(alert=alerted, match=None, verdict="wrong-category", categories=["cat"])
    assert feedback.stored.all() == []


def histories(episode_store: EpisodeStore) -> list[tuple[object, ...]]:
    """What is kept of episodes, less their names."""
    return [
        (e.opened_ms, e.last_ms, e.clips, e.max_match_probability, e.peak_presence, bool(e.alert))
        for e in episode_store.episodes(limit=500)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_does_not_depend_on_the_order_in_which_clips_come(
    archive: EventStore, episode_store: EpisodeStore, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.choice([10, 40, 60, 100, 900, 4_000], 60))
    presence = rng.choice([0.4, 0.6, 0.9], 60, p=[0.2, 0.4, 0.4])
    in_time = [event(n, MONDAY + timedelta(seconds=int(at)), dog=presence[n]) for n, at in enumerate(starts)]
    clips = [replace(one, received_at=MONDAY + timedelta(days=9)) for one in in_time]
    kept = []
    for order, at_once in (
        (range(60), 60),
        (rng.permutation(60), 7),
        (reversed(range(60)), 1),
        ([*range(30, 60), *range(30)], 16),
    ):
        archive.client.flushall()
        arrived = [clips[n] for n in order]
        for start in range(0, 60, at_once):
            conclude(archive, episode_store, arrived[start : start + at_once])
        kept.append((histories(episode_store), episode_store.observed_range("demo")))
    assert kept[1:] == kept[:1] * 3


def test_an_episode_that_became_a_part_of_another_is_found_under_both_names(
    archive: EventStore, episode_store: EpisodeStore
) -> None:
    for n, at_s in enumerate((0, 100, 50)):
        conclude(
            archive,
            episode_store,
            [event(n, MONDAY + timedelta(seconds=at_s))],
            match_probability=0.9 if at_s else 0.0,
        )
    (episode,) = episode_store.episodes()
    assert episode.clips == 3
    assert episode_store.episode("demo.s1.boot.0.7") == episode_store.episode("demo.s1.boot.1.7") == episode
    assert [e.id for e in episode_store.episodes(place="demo/s1", category="dog")] == [episode.id]


def test_traces_expire(archive: EventStore, episode_store: EpisodeStore) -> None:
    conclude(archive, episode_store, [event(0, MONDAY, dog=0.4), event(1, MONDAY + timedelta(hours=1))])
    assert archive.client.exists("ew:traces:demo/s1:dog") == 1
    episode_store.expire_traces(to_ms(MONDAY))
    assert archive.client.exists("ew:traces:demo/s1:dog") == 1
    episode_store.expire_traces(to_ms(MONDAY + timedelta(hours=2)))
    assert archive.client.exists("ew:traces:demo/s1:dog") == 0


def test_an_episode_that_is_merged_while_a_list_is_read_is_no_row_that_cannot_be_read(archive: EventStore) -> None:
    archive.client.zadd("ew:episodes", {"demo.street-1.boot.1.4": 1_780_315_200_000})
    archive.client.set("ew:episode:demo.street-1.boot.1.4", b'"demo.street-1.boot.0.4"')
    assert EpisodeStore(archive).episodes() == []
    assert archive.rows.left_out == {}

"""Sources on every store: filed once whatever is repeated, by whom and in what order; judged, expired, renewed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry

from hub.alerting.source_enrichment import SourceEnricher
from hub.alerting.source_filing import SourceFiler
from hub.alerting.source_recurrence import SourceHistories
from hub.app.factory import build_feedback, build_threshold_tuner
from hub.domain.episodes import Episode
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.domain.sources import Seen, SourceRule
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.settings import AlertsSettings
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.source_rows import Group
from hub.store.source_transaction import Drawer
from hub.store.source_verdicts import SourceVerdicts
from hub.store.sources import SourceStore
from hub.store.stores import Stores
from shared.errors import UnavailableError
from shared.feature_space import VGGISH
from shared.messages.alert import AlertMessage
from tests.sources import DOG, MONDAY, conclude, retrieval, source_event

pytestmark = pytest.mark.redis

PLACES = SensorMap({}, 200.0, ZoneInfo("UTC"))
DOGS = Group("demo", "dog", VGGISH.id)


class World:
    """The parts of a hub that sources need."""

    def __init__(self, archive: EventStore, network: Retrieval | None = None) -> None:
        self.archive = archive
        self.episode_store = EpisodeStore(archive)
        self.store = SourceStore(archive, self.episode_store)
        self.metrics = HubMetrics(CollectorRegistry())
        self.filer = SourceFiler(
            archive, self.store, retrieval() if network is None else network, SourceRule(0.5), self.metrics
        )
        self.histories = SourceHistories(self.store, self.episode_store, PLACES, 90.0, 1_800.0)
        self.enricher = SourceEnricher(self.filer, self.store, self.histories)
        self.verdicts = SourceVerdicts(self.store, self.episode_store)

    def receive(self, *events: StoredEvent, match: StoredEvent | None = None) -> list[AlertMessage]:
        """Conclude events; the alerts that they raise."""
        reported = [conclude(self.archive, self.episode_store, PLACES, [event], match) for event in events]
        return [alert for (alert,) in reported if alert is not None]

    def files(self) -> None:
        """File all that is due."""
        left = 0
        while due := self.store.due(left, 256):
            left += self.filer.file(due)

    def groups(self) -> set[frozenset[str]]:
        """Which episodes are of one source, as every key of the store has it."""
        found = self.store.newest(limit=1_000)
        members = self.store.members([episode.id for episode in self.episode_store.episodes(limit=1_000)])
        by_member: dict[str, set[str]] = {}
        for name, member in members.items():
            by_member.setdefault(member.source, set()).add(name)
        by_index = {one.id: set(self.store.episode_ids(one.id)) for one in found}
        assert by_member == {name: own for name, own in by_index.items() if own}
        assert {one.id: one.episodes for one in found} == {name: len(own) for name, own in by_index.items()}
        return {frozenset(own) for own in by_index.values()}

    def count(self, outcome: str) -> float:
        """Episodes that were filed with an outcome."""
        return (
            self.metrics.registry.get_sample_value("earwitness_hub_source_episodes_total", {"outcome": outcome})
            or 0.0
        )


@pytest.fixture
def world(archive: EventStore) -> World:
    return World(archive)


def at(day: int, hour: float = 7.0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour - 7)


def names(*seqs: int, sensor: str = "s1") -> frozenset[str]:
    return frozenset(f"demo.{sensor}.boot.{seq}.7" for seq in seqs)


def test_episodes_of_two_sources_are_two_sources_across_sensors(world: World) -> None:
    world.receive(
        source_event(0, 1, at(0)), source_event(1, 2, at(1)), source_event(2, 1, at(2)), source_event(3, 2, at(3))
    )
    world.receive(source_event(0, 1, at(4), sensor="s2"))
    assert world.store.newest() == []
    world.files()
    assert world.groups() == {names(0, 2) | names(0, sensor="s2"), names(1, 3)}
    newest = world.store.newest()
    assert [(one.group.site, one.group.category, one.episodes) for one in newest] == [
        ("demo", "dog", 3),
        ("demo", "dog", 2),
    ]
    assert [(one.first_ms, one.source.last_ms) for one in newest] == [
        (to_ms(at(0)), to_ms(at(4))),
        (to_ms(at(1)), to_ms(at(3))),
    ]
    assert (world.count("opened"), world.count("joined")) == (2, 3)
    assert [e.opened_ms for e in world.store.episodes(newest[0].id)] == [to_ms(at(day)) for day in (4, 2, 0)]


def test_a_backlog_is_filed_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.alerting.source_filing.AT_ONCE", 64)
    world.receive(*(source_event(n, n % 2, at(0) + timedelta(hours=n)) for n in range(70)))
    world.filer.step()
    assert world.archive.client.zcard(keys.SOURCES_DUE) == 6
    assert world.filer.step() == 1.0
    assert {one.source.size for one in world.store.newest()} == {35}


def test_an_alert_waits_for_no_more_episodes_than_are_filed_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.alerting.source_filing.AT_ONCE", 4)
    world.receive(*(source_event(n, 0, at(0) + timedelta(hours=n)) for n in range(10)))
    due = world.store.due(0, 20)
    world.filer.catch_up([due[7]])
    assert world.store.due(0, 20) == [*due[:4], *due[8:]]
    assert {one.source.size for one in world.store.newest()} == {4}
    world.filer.catch_up([due[7]])
    assert len(world.store.due(0, 20)) == 6
    world.files()
    assert {one.source.size for one in world.store.newest()} == {10}


def test_alerts_enriched_together_file_each_of_their_episodes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.alerting.source_filing.AT_ONCE", 4)
    world.receive(*(source_event(n, 0, at(0) + timedelta(hours=n)) for n in range(10)))
    due = world.store.due(0, 20)
    world.filer.catch_up([due[7], due[1]])
    assert world.store.due(0, 20) == [due[0], due[2], due[3], *due[8:]]


def test_alerts_enriched_together_report_what_each_alone_reports(world: World) -> None:
    alerts = world.receive(*(source_event(n, n % 2, at(n // 2)) for n in range(16)))
    together = world.enricher.enrich(alerts)
    assert together == [world.enricher.enrich([alert])[0] for alert in alerts]
    assert {alert.source.times for alert in together if alert.source is not None} >= {1, 2, 3}


def edited(world: World, count: int, work: Callable[[Drawer], None], most: int = 200) -> set[frozenset[str]]:
    """File some dogs, each another one, and do something more in the same transaction; the sources then."""
    world.receive(*(source_event(n, n, at(n)) for n in range(count)))
    due = world.store.due(0, count)
    episodes = [one for one in world.store.standing(due).values() if isinstance(one, Episode)]
    for drawer in world.store.attempts(DOGS, "network", due, rule=SourceRule(0.5, most)):
        for number, episode in enumerate(episodes):
            identity = np.eye(64, dtype=np.float32)[number]
            member = drawer.partition.file(Seen(episode.id, episode.opened_ms, episode.peak_event, identity))
            assert member is not None
            drawer.filed[episode.id], drawer.opened_ms[episode.id] = member, episode.opened_ms
            drawer.done.add(episode.id)
        work(drawer)
    return world.groups()


def test_a_source_that_becomes_a_part_of_another_as_it_opens_loses_no_episode(world: World) -> None:
    def joined(drawer: Drawer) -> None:
        first, second, _ = drawer.partition.sources
        drawer.partition.join(first, second)

    assert edited(world, 3, joined) == {names(0, 1), names(2)}


def test_a_source_that_is_abandoned_as_it_opens_leaves_nothing(world: World) -> None:
    assert edited(world, 3, lambda _drawer: None, most=1) == {names(2)}
    assert len(list(world.archive.client.scan_iter(keys.source_episodes("*")))) == 1
    assert world.archive.client.hlen(keys.source_members("demo")) == 1


def test_a_change_is_attempted_again_if_an_episode_changed_meanwhile(world: World) -> None:
    world.receive(source_event(0, 1, at(0)))
    (due,) = world.store.due(0, 10)
    attempts = 0
    for drawer in world.store.attempts(DOGS, "network", [due]):
        attempts += 1
        drawer.done.add(due)
        assert world.store.due(0, 10) == [due]
        if attempts == 1:
            client = world.archive.client
            client.set(keys.episode(due), client.get(keys.episode(due)))
    assert attempts == 2
    assert world.store.due(0, 10) == []


def test_a_change_that_fails_half_way_keeps_nothing_and_gives_its_connection_back(world: World) -> None:
    world.receive(source_event(0, 1, at(0)))
    (due,) = world.store.due(0, 10)

    def fail() -> None:
        for drawer in world.store.attempts(DOGS, "network", [due]):
            drawer.done.add(due)
            raise UnavailableError

    in_use = len(world.archive.client.connection_pool._in_use_connections)
    with pytest.raises(UnavailableError):
        fail()
    assert world.store.due(0, 10) == [due]
    assert len(world.archive.client.connection_pool._in_use_connections) == in_use


def test_sources_are_of_one_site(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(0, 1, at(1), site="other"))
    world.files()
    assert len(world.groups()) == 2
    assert [one.group.site for one in world.store.newest(site="other")] == ["other"]
    assert world.store.newest(category="music") == []


def test_sources_come_in_pages(world: World) -> None:
    world.receive(*(source_event(n, n, at(n)) for n in range(5)))
    world.files()
    first = world.store.newest(limit=3)
    rest = world.store.newest(limit=3, before=(first[-1].source.last_ms, first[-1].id))
    assert len({one.id for one in (*first, *rest)}) == 5


def test_repeats_and_filing_again_count_nothing_twice(world: World) -> None:
    clips = [source_event(0, 1, at(0)), source_event(1, 1, at(1))]
    for _ in range(2):
        world.receive(*clips)
        world.files()
    world.filer.file([*names(0, 1)])
    assert world.groups() == {names(0, 1)}
    (one,) = world.store.newest()
    assert one.source.size == 2
    assert world.archive.client.zcard(keys.SOURCES_DUE) == 0


def test_two_hubs_file_each_episode_once(archive: EventStore) -> None:
    hubs = [World(archive), World(archive)]
    hubs[0].receive(*(source_event(n, n % 3, at(n)) for n in range(30)))
    threads = [threading.Thread(target=hub.files) for hub in hubs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hubs[0].groups() == {names(*range(first, 30, 3)) for first in range(3)}
    assert sorted(one.source.size for one in hubs[0].store.newest()) == [10, 10, 10]


def test_a_clearer_clip_of_another_source_files_an_episode_again(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 2, at(1), dog=0.6))
    world.files()
    assert len(world.groups()) == 2
    world.receive(source_event(2, 1, at(1) + timedelta(seconds=10), dog=0.9))
    world.files()
    assert world.groups() == {names(0, 1)}
    assert world.store.newest()[0].source.size == 2


def test_a_late_clip_that_ties_two_episodes_leaves_one_in_the_source(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 1, at(0) + timedelta(seconds=120)))
    world.files()
    assert world.groups() == {names(0, 1)}
    world.receive(source_event(2, 1, at(0) + timedelta(seconds=60)))
    world.files()
    (episode,) = world.episode_store.episodes()
    assert world.groups() == {frozenset({episode.id})}
    assert world.store.newest()[0].source.size == 1


def test_a_late_clip_before_an_episode_moves_its_beginning(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 1, at(5)))
    world.receive(source_event(2, 1, at(0) - timedelta(seconds=50)))
    world.files()
    (one,) = world.store.newest()
    assert one.first_ms == to_ms(at(0)) - 50_000
    assert [e.opened_ms for e in world.store.episodes(one.id)] == [to_ms(at(5)), to_ms(at(0)) - 50_000]


def test_an_alert_reports_how_often_its_source_was_detected(world: World) -> None:
    days = [0, 1, 2, 3, 4, 7, 8]
    alerts = world.receive(*(source_event(n, 1, at(day)) for n, day in enumerate(days)))
    alerts += world.receive(source_event(100, 2, at(8, 15)))
    reported = [alert.source for alert in world.enricher.enrich(alerts)]
    known, new = reported[-2], reported[-1]
    assert known is not None
    assert new is not None
    assert (known.new, known.times, known.days, known.since) == (False, 7, 7, at(0))
    assert known.probability > 0.5
    assert (new.new, new.times, new.since) == (True, 1, at(8, 15))
    assert new.probability < 0.5
    assert known.id != new.id


def test_what_goes_on_after_a_pause_or_at_another_sensor_is_one_time(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 1, at(0) + timedelta(minutes=20)))
    (alert,) = world.receive(source_event(0, 1, at(0) + timedelta(minutes=25), sensor="s2"))
    reported = world.enricher.enrich([alert])[0].source
    assert reported is not None
    assert (reported.times, reported.new, reported.since) == (1, True, at(0))


def test_before_an_alert_only_what_its_source_is_compared_with_is_filed(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(0, 1, at(0), site="other"))
    (alert,) = world.receive(source_event(1, 1, at(1)))
    reported = world.enricher.enrich([alert])[0].source
    assert reported is not None
    assert reported.times == 2
    assert world.store.due(0, 10) == [f"other.s1.boot.0.{DOG}"]
    world.files()
    assert world.store.due(0, 10) == []


def test_an_alert_without_an_identity_has_no_source(archive: EventStore) -> None:
    world = World(archive, Retrieval([Scorer(replace(load(default_checkpoint(VGGISH.id)), identity=None))]))
    (alert,) = world.receive(source_event(0, 1, at(0)))
    assert world.enricher.enrich([alert]) == [alert]
    world.files()
    assert world.groups() == set()
    assert archive.client.zcard(keys.SOURCES_DUE) == 0


def test_verdicts_join_and_part_sources(world: World, archive: EventStore) -> None:
    stores = Stores.of(archive)
    feedback = build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))
    past = source_event(0, 1, at(0))
    world.receive(past, source_event(1, 1, at(1)))
    (alert,) = world.receive(source_event(2, 2, at(2)), match=past)
    world.files()
    assert world.groups() == {names(0, 1), names(2)}
    feedback.submit(alert=alert, match=str(past.id), verdict="same")
    assert world.groups() == {names(0, 1, 2)}
    world.receive(source_event(3, 2, at(3)), source_event(4, 1, at(4)))
    world.files()
    assert world.groups() == {names(0, 1, 2, 3, 4)}
    feedback.submit(alert=alert, match=str(past.id), verdict="different")
    assert world.groups() == {names(0, 1, 4), names(2, 3)}
    world.receive(source_event(5, 2, at(5)), source_event(6, 1, at(6)))
    world.files()
    assert world.groups() == {names(0, 1, 4, 6), names(2, 3, 5)}


def test_different_of_a_whole_alert_takes_its_episode_out(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 1, at(1)))
    (alert,) = world.receive(source_event(2, 1, at(2)))
    world.files()
    world.verdicts.take(alert, None, same=True)
    assert world.groups() == {names(0, 1, 2)}
    world.verdicts.take(alert, None, same=False)
    assert world.groups() == {names(0, 1), names(2)}
    assert not world.verdicts.leave(alert.episode)


def test_a_withdrawn_verdict_leaves_sources_to_the_rule(world: World, archive: EventStore) -> None:
    stores = Stores.of(archive)
    feedback = build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))
    past = source_event(0, 1, at(0))
    world.receive(past, source_event(1, 1, at(1)))
    (alert,) = world.receive(source_event(2, 2, at(2)), match=past)
    (known,) = world.receive(source_event(3, 1, at(3)), match=past)
    world.files()
    by_rule = {names(0, 1, 3), names(2)}
    joined = feedback.submit(alert=alert, match=str(past.id), verdict="same")
    assert (joined.other_episode, world.groups()) == ("demo.s1.boot.0.7", {names(0, 1, 2, 3)})
    feedback.withdraw(alert, str(past.id), joined.at)
    assert world.groups() == by_rule
    world.receive(source_event(4, 2, at(4)), source_event(5, 1, at(5)))
    world.files()
    by_rule = {names(0, 1, 3, 5), names(2, 4)}
    assert world.groups() == by_rule, "later episodes go by the rule again"
    for match in (str(past.id), None):
        parted = feedback.submit(alert=known, match=match, verdict="different")
        assert world.groups() == {names(0, 1, 5), names(3), names(2, 4)}
        feedback.withdraw(known, match, parted.at)
        assert world.groups() == by_rule


def test_a_verdict_that_changed_no_source_takes_nothing_back(world: World, archive: EventStore) -> None:
    stores = Stores.of(archive)
    feedback = build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))
    past = source_event(0, 1, at(0))
    world.receive(past)
    (alert,) = world.receive(source_event(1, 2, at(1)), match=past)
    world.files()
    first = feedback.submit(alert=alert, match=str(past.id), verdict="same", by="ines", now=at(2))
    again = feedback.submit(alert=alert, match=str(past.id), verdict="same", by="otto", now=at(3))
    assert (first.other_episode, again.other_episode) == ("demo.s1.boot.0.7", "")
    feedback.withdraw(alert, str(past.id), again.at)
    assert world.groups() == {names(0, 1)}, "the first verdict applies again"


def test_an_old_id_leads_to_the_source_that_it_became_a_part_of(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 1, at(1)), source_event(2, 2, at(2)))
    world.files()
    before = {one.episodes: one.id for one in world.store.newest()}
    joined = world.verdicts.join(before[1], before[2])
    found = world.store.get(before[1])
    assert found is not None
    assert found.id == joined == before[2]
    assert world.store.get("0123456789") is None


def test_episodes_and_sources_expire_but_kept_ones_stay_and_are_known_again(world: World) -> None:
    world.receive(
        source_event(0, 1, at(0)),
        source_event(1, 2, at(0, 9)),
        source_event(2, 3, at(0, 10)),
        source_event(3, 3, at(20)),
    )
    world.files()
    kept = world.store.members([*names(0)])[next(iter(names(0)))].source
    world.store.keep(kept)
    before_ms = to_ms(at(10))
    world.archive.delete_before(at(10))
    while world.episode_store.expire(before_ms):
        pass
    assert world.store.expire(before_ms) == 1
    assert {one.episodes for one in world.store.newest()} == {0, 1}
    assert world.archive.client.hlen(keys.source_members("demo")) == 1
    world.receive(source_event(4, 1, at(21)))
    world.files()
    assert world.store.members([*names(4)])[next(iter(names(4)))].source == kept
    assert world.store.expire(before_ms) == 0


def test_another_checkpoint_makes_identities_again_and_sources_go_on(archive: EventStore) -> None:
    old, new = World(archive), World(archive, retrieval(seed=7))
    old.receive(*(source_event(n, n % 2, at(n)) for n in range(6)))
    old.files()
    before = old.groups()
    ids = {one.id for one in old.store.newest()}
    old.receive(source_event(6, 0, at(6)))
    new.files()
    assert archive.client.zcard(keys.SOURCES_DUE) == 1, "the other checkpoint filed lately"
    archive.client.delete(*archive.client.keys(keys.sources_network("*")))
    new.files()
    assert before == {names(0, 2, 4), names(1, 3, 5)}
    assert new.groups() == {names(0, 2, 4, 6), names(1, 3, 5)}
    assert {one.id for one in new.store.newest()} == ids
    networks = {one.network for one in new.store.newest()}
    assert networks == {scorer.fingerprint for scorer in retrieval(seed=7).scorers}


def test_a_source_whose_clips_are_gone_keeps_its_history_and_nothing_joins_it(archive: EventStore) -> None:
    old, new = World(archive), World(archive, retrieval(seed=7))
    old.receive(source_event(0, 1, at(0)), source_event(1, 1, at(1)))
    old.files()
    archive.delete_before(at(2))
    archive.client.delete(*archive.client.keys(keys.sources_network("*")))
    new.receive(source_event(2, 1, at(3)))
    new.files()
    assert new.groups() == {names(0, 1), names(2)}


def test_a_damaged_row_is_left_out(world: World) -> None:
    world.receive(source_event(0, 1, at(0)), source_event(1, 2, at(1)))
    world.files()
    client: redis.Redis = world.archive.client
    first, second = (one.id for one in world.store.newest())
    client.set(keys.source(first), b'{"site": 1')
    assert [one.id for one in world.store.newest()] == [second]
    assert world.store.get(first) is None
    assert set(world.store.members([*names(0, 1)])) == names(0)
    world.receive(source_event(2, 2, at(2)))
    world.files()
    assert len(world.store.newest()) == 2

"""Named sounds on every store: what is kept of them, what outlasts retention, and what is reported of them."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from hub.alerting.name_matching import EVERY_S, NameMatcher
from hub.app.retention import Retention
from hub.domain.named_sounds import ALL_SITES, EXAMPLES_LIMIT, NameTakenError, Treatment
from hub.domain.records import to_ms
from hub.features.logmel import LogMel
from hub.ingest.messages import Outcome
from hub.ingest.pipeline import Recognition
from hub.metrics.definitions import HubMetrics
from hub.model.checkpoint import default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.settings import HubSettings
from hub.store.audio_files import AudioFileStore
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.audio import encode_flac
from shared.errors import InvalidError
from shared.events import Embedding, Flac
from shared.feature_space import LOGMEL, VGGISH
from shared.messages.alert import AlertMessage
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.named import with_identity
from tests.pipelines import ALL_FLAGGED, pipeline_of

pytestmark = pytest.mark.redis

STREET = {"sensor_positions": {"demo/street-1": (40.7, -74.0), "demo/street-2": (40.7005, -74.0)}}
NONE_FLAGGED = HubSettings.model_validate(
    {
        "alerts": {"min_shared_probability": 1.0, "default_threshold": 1.0, "max_false_alerts_per_day": 1e-6},
        "sites": STREET,
    }
)
"""Settings of a hub that never raises an alert."""
FLAGGED = ALL_FLAGGED.model_copy(update={"sites": NONE_FLAGGED.sites})
CLIPS = np.stack([body.features for seq in range(300) if isinstance(body := event(seq).body, Embedding)])
RATE_HZ = 22_050


def scorers(seed: int = 0) -> list[Scorer]:
    return [
        Scorer(with_identity(load(default_checkpoint(VGGISH.id)), CLIPS, seed)),
        Scorer(load(default_checkpoint(LOGMEL.id))),
    ]


SCORERS = scorers()


class Hub:
    """A pipeline that knows named sounds, over a store that others may use too."""

    def __init__(self, archive: EventStore, settings: HubSettings = NONE_FLAGGED, clips: Path | None = None) -> None:
        self.archive = archive
        self.time_s = 0.0
        self.now = NOON
        self.metrics = HubMetrics(CollectorRegistry())
        self.retrieval = Retrieval(SCORERS)
        self.stores = Stores.of(archive, AudioFileStore(clips) if clips is not None else None)
        self.names, self.episode_store = self.stores.names, self.stores.episodes
        self.matcher = NameMatcher(self.names, self.retrieval, lambda: self.time_s)
        recognition = Recognition(LogMel(), self.retrieval, self.matcher)
        self.pipeline = pipeline_of(self.stores, lambda: self.now, settings, recognition, self.metrics)

    def counted(self, mode: str) -> float | None:
        return self.metrics.registry.get_sample_value("earwitness_hub_events_named_total", {"mode": mode})

    def receive(self, seq: int, source: int, after_s: float = 0.0, sensor: str = "street-1") -> AlertMessage | None:
        """Send a clip of a source; its alert."""
        self.time_s += 2 * EVERY_S
        sent = event(seq, sensor=sensor, seed=source, after_s=after_s)
        self.now = max(self.now, sent.captured_at + timedelta(seconds=11))
        handled = self.pipeline.handle(str(SensorTopic("demo", sensor, "event")), encode_event(sent))
        assert handled.outcome is Outcome.ARCHIVED
        return handled.alert


def id_of(seq: int, sensor: str = "street-1") -> str:
    return f"demo.{sensor}.boot.{seq}"


@pytest.fixture
def hub(archive: EventStore) -> Hub:
    return Hub(archive)


def test_a_watched_sound_raises_an_alert_whenever_it_returns_though_the_rule_raises_none(hub: Hub) -> None:
    assert hub.receive(0, source=1) is None
    watched = Treatment("watched", severity="urgent")
    sound = hub.names.add(" Bakery  fan", [id_of(0)], treatment=watched, by="Ada")
    alerts = [hub.receive(seq, source, 4_000.0 + 10 * seq) for seq, source in enumerate((1, 1, 2, 1), start=1)]
    reported = alerts[0]
    assert reported is not None
    assert alerts[1:] == [None] * 3
    assert (reported.name, reported.name_id, reported.watched, reported.severity) == (
        "Bakery fan",
        sound.id,
        True,
        "urgent",
    )
    assert reported.name_probability is not None
    assert reported.name_probability >= 0.9
    assert id_of(0) in [match.event for match in reported.matches]
    assert hub.archive.alerts.get(reported.event) == reported
    assert {e.alert for e in hub.episode_store.episodes(limit=500) if e.opened_ms >= to_ms(reported.captured_at)} >= {
        reported.event
    }
    later = hub.receive(9, 1, 8_000.0)
    assert later is not None
    assert later.name == "Bakery fan"
    received = hub.names.occurrences([sound.id])[sound.id]
    assert (received.times, received.clips, received.place) == (2, 4, "demo/street-1")
    assert received.last is not None
    assert received.last.alert == later.event
    assert hub.counted("watched") == 4
    names = hub.matcher.names_of([id_of(seq) for seq in (0, 1, 2, 3, 4, 9)])
    assert {event: one.name for event, one in names.items()} == dict.fromkeys(
        [id_of(seq) for seq in (0, 1, 2, 4, 9)], "Bakery fan"
    )


def test_a_muted_sound_is_archived_and_counted_and_raises_no_alert(archive: EventStore) -> None:
    hub = Hub(archive, FLAGGED)
    hub.receive(0, source=1)
    assert hub.receive(1, 1, 100.0) is not None, "the rule raises alerts about everything"
    hub.names.add("Bakery fan", [id_of(0), id_of(1)], treatment=Treatment("muted"))
    assert [hub.receive(seq, 1, 100.0 * seq) for seq in (2, 3)] == [None, None]
    other = hub.receive(4, 2, 400.0)
    assert other is not None
    assert other.name is None
    assert archive.count() == 5
    assert hub.counted("muted") == 2


def test_a_name_that_is_only_shown_is_reported_with_the_alerts_that_there_are_anyway(archive: EventStore) -> None:
    hub = Hub(archive, FLAGGED)
    hub.receive(0, source=1)
    hub.names.add("Bakery fan", [id_of(0)])
    alert = hub.receive(1, 1, 100.0)
    assert alert is not None
    assert (alert.name, alert.watched) == ("Bakery fan", False)
    assert hub.counted("shown") == 1


def test_nearby_sensors_raise_one_alert_of_one_return(hub: Hub) -> None:
    hub.receive(0, source=1)
    hub.names.add("Bakery fan", [id_of(0)], treatment=Treatment("watched"))
    alerts = [hub.receive(1, 1, 4_000.0), hub.receive(1, 1, 4_003.0, "street-2"), hub.receive(1, 1, 4_003.0, "far")]
    assert [alert is not None for alert in alerts] == [True, False, True]


def test_a_clip_that_is_handled_twice_raises_its_alert_once(hub: Hub) -> None:
    hub.receive(0, source=1)
    hub.names.add("Bakery fan", [id_of(0)], treatment=Treatment("watched"))
    assert hub.receive(1, 1, 4_000.0) is not None
    hub.archive.client.hdel(f"ew:event:{id_of(1)}", "completed")
    assert hub.receive(1, 1, 4_000.0) is None, "its return has the alert already"
    assert hub.archive.alerts.count() == 1


def test_every_hub_sees_a_change_without_a_restart(archive: EventStore) -> None:
    first, second = Hub(archive), Hub(archive)
    first.receive(0, source=1)
    second.receive(1, 2, 10.0)
    sound = first.names.add("Bakery fan", [id_of(0)], treatment=Treatment("watched"))
    assert second.receive(2, 1, 4_000.0) is not None
    first.names.change(sound.id, treatment=lambda before: replace(before, mode="muted"))
    assert second.receive(3, 1, 8_000.0) is None
    assert second.counted("muted") == 1
    first.names.remove(sound.id)
    assert second.receive(4, 1, 12_000.0) is None
    assert (second.counted("muted"), second.names.all()) == (1, {})
    assert second.matcher.sounds(at_once=True) == {}


def test_examples_outlast_retention_and_a_change_of_the_checkpoint(archive: EventStore) -> None:
    hub = Hub(archive)
    hub.receive(0, source=1)
    sound = hub.names.add("Bakery fan", [id_of(0)], treatment=Treatment("watched"))
    event_before = archive.fetch([id_of(0)])[0]
    hub.receive(1, 2, 90_000.0)
    retention = Retention(Stores.of(archive), Retrieval([]), hub.metrics)
    retention.expire(NOON + timedelta(seconds=80_000))
    assert archive.fetch([id_of(0)]) == []
    kept = hub.names.examples([(sound.id, id_of(0))])[sound.id, id_of(0)]
    assert (kept.levels, kept.presence, kept.captured_at) == (
        event_before.levels,
        event_before.presence,
        event_before.captured_at,
    )
    assert np.array_equal(kept.features, event_before.features)
    changed = NameMatcher(hub.names, Retrieval(scorers(seed=5)))
    towers = changed._scorers[VGGISH.id].embed(CLIPS[[1, 2]])
    likely = changed.likely([event_before, event_before], list(towers))
    assert [[one.sound.name for one in own] for own in likely] == [["Bakery fan"], []]
    assert hub.receive(2, 1, 94_000.0) is not None, "it is detected though its only example is gone from the archive"


def test_the_sound_of_an_example_outlasts_the_event_and_goes_with_the_name(
    archive: EventStore, tmp_path: Path
) -> None:
    hub = Hub(archive, NONE_FLAGGED, tmp_path / "clips")
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ * 10).clip(-1, 1).astype(np.float32)
    for seq in range(2):
        sent = replace(event(seq, after_s=20.0 * seq), rate_hz=RATE_HZ, body=Flac(encode_flac(noise, RATE_HZ)))
        hub.pipeline.handle(str(SensorTopic("demo", "street-1", "event")), encode_event(sent))
    clip = (tmp_path / "clips" / archive.fetch([id_of(0)])[0].clip).read_bytes()
    sound = hub.names.add("Hiss", [id_of(0), id_of(1)])
    retention = Retention(hub.stores, hub.retrieval, hub.metrics)
    retention.expire(NOON + timedelta(days=1))
    retention.sweep(NOON + timedelta(days=1))
    kept = hub.names.examples((sound.id, example) for example in sound.examples)
    paths = {key[1]: tmp_path / "clips" / one.clip for key, one in kept.items()}
    assert paths[id_of(0)].read_bytes() == clip
    assert len(list((tmp_path / "clips").rglob("*.flac"))) == 2
    hub.names.change(sound.id, examples=[id_of(1)])
    assert not paths[id_of(0)].exists()
    assert paths[id_of(1)].exists()
    hub.names.remove(sound.id)
    assert not list((tmp_path / "clips").rglob("*.flac"))
    assert not list(archive.client.scan_iter("ew:name:*"))


def test_a_disk_that_fails_keeps_no_sound_from_its_name(archive: EventStore, tmp_path: Path) -> None:
    hub = Hub(archive, NONE_FLAGGED, tmp_path / "clips")
    hub.receive(0, source=1)
    archive.client.hset(f"ew:event:{id_of(0)}", "clip", "demo/street-1/2026-06-01/gone.flac")
    sound = hub.names.add("Bakery fan", [id_of(0)])
    assert hub.names.examples([(sound.id, id_of(0))])[sound.id, id_of(0)].clip == ""


def test_a_name_is_changed_and_its_examples_too(hub: Hub) -> None:
    for seq in range(3):
        hub.receive(seq, source=seq, after_s=10.0 * seq)
    sound = hub.names.add("fan", [id_of(0)])
    changed = hub.names.change(
        sound.id,
        name="Bakery fan",
        treatment=lambda before: replace(before, threshold=0.7),
        examples=[id_of(0), id_of(2)],
    )
    assert changed == replace(
        sound, name="Bakery fan", treatment=Treatment(threshold=0.7), examples=(id_of(0), id_of(2))
    )
    assert hub.names.all() == {sound.id: changed}
    assert set(hub.names.examples([(sound.id, one) for one in changed.examples])) == {
        (sound.id, id_of(0)),
        (sound.id, id_of(2)),
    }


def test_what_cannot_be_a_named_sound_is_refused_with_the_reason(hub: Hub) -> None:
    for seq in range(EXAMPLES_LIMIT + 1):
        hub.receive(seq, source=seq, after_s=10.0 * seq)
    hub.names.add("Bakery fan", [id_of(0)])
    with pytest.raises(NameTakenError, match="'Bakery fan' is the name of another sound"):
        hub.names.add("bakery FAN", [id_of(1)])
    with pytest.raises(NameTakenError, match="is the name of another sound"):
        hub.names.add("Bakery fan", [id_of(1)], site=ALL_SITES)
    with pytest.raises(InvalidError, match=r"no event demo\.street-1\.boot\.77 in the archive"):
        hub.names.add("Horn", [id_of(1), id_of(77)])
    with pytest.raises(InvalidError, match="1 to 5 examples, not 6"):
        hub.names.add("Horn", [id_of(seq) for seq in range(EXAMPLES_LIMIT + 1)])
    with pytest.raises(InvalidError, match="1 to 5 examples, not 0"):
        hub.names.add("Horn", [])
    with pytest.raises(InvalidError, match="no sound has the id 'ffffffff'"):
        hub.names.change("ffffffff", name="Horn")
    with pytest.raises(InvalidError, match="no sound has the id"):
        hub.names.remove("ffffffff")
    assert [one.name for one in hub.names.all().values()] == ["Bakery fan"]


def test_events_of_a_model_without_identities_cannot_have_names(hub: Hub) -> None:
    hub.matcher.check(VGGISH.id)
    with pytest.raises(InvalidError, match="has no identity"):
        hub.matcher.check(LOGMEL.id)


def test_two_who_give_one_name_at_a_time_give_it_once(hub: Hub) -> None:
    hub.receive(0, source=1)
    refused: list[str] = []
    barrier = threading.Barrier(4)

    def give() -> None:
        barrier.wait()
        try:
            hub.names.add("Bakery fan", [id_of(0)])
        except NameTakenError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert len(hub.names.all()) == 1


def test_rows_that_cannot_be_read_are_left_out(hub: Hub) -> None:
    hub.receive(0, source=1)
    sound = hub.names.add("Bakery fan", [id_of(0)], treatment=Treatment("watched"))
    horn = hub.names.add("Horn", [id_of(0)], treatment=Treatment("watched"))
    store = hub.archive.client
    store.hset("ew:names", mapping={"broken": b"{}", "other": b"\0"})
    store.hset(f"ew:name:{horn.id}:example:{id_of(0)}", "space", "no/1")
    store.hset("ew:returns:demo/street-1", sound.id, b'{"times": 7}')
    store.incr("ew:names:version")
    alert = hub.receive(1, 1, 4_000.0)
    assert alert is not None
    assert alert.name == "Bakery fan"
    assert set(hub.matcher.sounds()) == {sound.id, horn.id}
    assert hub.names.occurrences([sound.id])[sound.id].times == 1
    assert {"name", "example", "returns"} <= set(hub.archive.rows.left_out)

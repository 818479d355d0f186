"""A sensor that was erased is nowhere: not in store, folders, broker or backup; nor does it come back."""

import contextlib
import json
import queue
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hub.app import retained_messages
from hub.app.factory import build_feedback, build_threshold_tuner
from hub.cli import app
from hub.domain.records import WriteState
from hub.integrations.homeassistant.discovery import config_topic
from hub.runtime.embedded_servers import Servers
from hub.search.follower import IndexFollower, build_index
from hub.search.retrieval import Retrieval
from hub.store import keys, level_keys
from hub.store.audit_log import AuditLog
from hub.store.level_statistics import LevelStatistics
from hub.store.levels import LevelStore
from hub.store.stores import Stores
from shared.level_series import LevelSeries
from shared.messages.sensor import StateMessage
from shared.mqtt.brief_connection import connected
from shared.mqtt.session import Acknowledged, Received, Subscribed
from shared.mqtt.topics import SensorTopic
from shared.settings import MqttSettings
from tests.factories import NOON, stored
from tests.hub.app.test_backup import Place, fill
from tests.hub.store.backup.test_values import content
from tests.pipelines import SCORERS
from tests.server_processes import eventually

pytestmark = pytest.mark.redis

ERASED, OTHER = "demo/street-0", "demo/street-1"
TOPICS = (str(SensorTopic("demo", "street-0", "state")), config_topic("homeassistant", "demo", "street-0"))
KEPT_TOPIC = str(SensorTopic("demo", "street-1", "state"))


@pytest.fixture(scope="module")
def mqtt(embedded: Servers) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=embedded.mqtt_port).without_session()


@pytest.fixture
def place(embedded: Servers, mqtt: MqttSettings, tmp_path: Path) -> Iterator[Place]:
    """A hub's data with everything that may name a sensor."""
    place = Place(embedded.redis_url, tmp_path, f"mqtt.port={mqtt.port}")
    place.archive.client.flushdb()
    fill(place)
    enrich(place)
    retain(mqtt, *TOPICS, KEPT_TOPIC)
    yield place
    place.archive.client.flushdb()
    place.archive.close()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no retained messages: of tests that have none."""
    monkeypatch.setattr(retained_messages, "_QUIET_S", 0.01)


def enrich(place: Place) -> None:
    """Add what a pipeline alone does not write."""
    archive, client = place.archive, place.archive.client
    tuner = build_threshold_tuner(place.settings.alerts, Stores.of(archive))
    feedback = build_feedback(Stores.of(archive), tuner)
    feedback.submit(alert=archive.alerts.newest(limit=1)[0], match=None, verdict="same", now=NOON)
    for number in (0, 1):
        archive.sensors.update_state(
            StateMessage(
                site="demo",
                sensor=f"street-{number}",
                boot="boot",
                state="ready",
                source="synthetic",
                payload_format="flac",
                software="earwitness-edge",
                started_at=NOON,
            )
        )
        topic = str(SensorTopic("demo", f"street-{number}", "event"))
        archive.letters.put(topic=topic, payload=b"rubbish", reason="rubbish", received_at=NOON)
    ids = [str(event.id) for event in archive.events()]
    client.xadd(keys.outbox("mqtt"), {"events": " ".join(ids), "digest": "1"})
    client.zadd(keys.outbox_sent("mqtt"), dict.fromkeys(ids, 1))
    client.sadd(keys.HOME_ASSISTANT_TOPICS, *TOPICS, KEPT_TOPIC)
    client.set(keys.vector("space", "network", ids[-1]), 1)
    LevelStatistics(client, archive.rows).update(int(NOON.timestamp()) + 86_400)
    AuditLog(client, "hub-1", timedelta(days=9_999)).add("ines", "played", "GET demo.street-0.boot.0", "::1", NOON)


def retain(mqtt: MqttSettings, *topics: str) -> None:
    with connected(mqtt, "retains") as (link, _):
        waiting = {link.publish(topic, b"{}", retain=True) for topic in topics}
        while waiting:
            signal = link.signals.get(timeout=10)
            waiting -= {signal.mid} if isinstance(signal, Acknowledged) else set()


def retained(mqtt: MqttSettings) -> set[str]:
    """Topics of all retained messages: the broker sends them at once after its answer."""
    found, granted = set(), False
    with connected(mqtt, f"reads-{secrets.token_hex(4)}") as (link, _), contextlib.suppress(queue.Empty):
        link.subscribe("#")
        while True:
            signal = link.signals.get(timeout=0.3 if granted else 10)
            granted = granted or isinstance(signal, Subscribed)
            if isinstance(signal, Received) and signal.payload:
                found.add(signal.topic)
    return found


def mentions(place: Place, name: str = "street-0") -> list[str]:
    """Everything in the store and on disk that names a sensor, found without the code under test."""
    rows = content(place.archive.client)
    found = [f"{key!r} {value!r}"[:200] for key, value in rows.items() if name in f"{key!r} {value!r}"]
    return found + [str(path) for path in place.folder.rglob("*") if name in str(path.relative_to(place.folder))]


def test_after_an_erasure_nothing_names_the_sensor_and_the_other_sensor_is_as_before(
    place: Place, mqtt: MqttSettings, tmp_path: Path
) -> None:
    assert set(TOPICS) <= retained(mqtt)
    before, levels = mentions(place, "street-1"), len(mentions(place))
    report = place.run("erase", "demo", "--sensor", "street-0", "--dry-run", "--json")
    assert report["counts"]["event"] >= 3
    assert (report["counts"]["files"], report["counts"]["retained messages"]) == (5, 2), "four files and their folder"
    assert (len(mentions(place)), place.archive.count()) == (levels, 6), "a dry run changes nothing"

    report = place.run("erase", "demo", "--sensor", "street-0", "--yes", "--json")
    assert report["counts"]["event"] == 3
    assert [one for one in mentions(place) if "b'ew:audit'" not in one] == []
    assert retained(mqtt) & {*TOPICS, KEPT_TOPIC} == {KEPT_TOPIC}
    verified = place.run("erase", "demo", "--sensor", "street-0", "--verify", "--json")
    assert (verified["counts"], verified["audit"]) == ({}, ["demo/street-0"])
    actions = [(row[b"action"], row[b"what"]) for _, row in place.archive.client.xrange(keys.AUDIT)]
    assert actions[-2:] == [(b"played", b"GET (erased)"), (b"erased", b"demo/street-0")]

    assert [str(event.id) for event in place.archive.events()] == [f"demo.street-1.boot.{seq}" for seq in (5, 3, 1)]
    for alert in place.archive.alerts.newest():
        assert {match.sensor for match in alert.matches} == {"street-1"}
    assert {one.place for one in place.archive.sensors.all()} == {OTHER}
    ((_, outbox),) = place.archive.client.xrange(keys.outbox("mqtt"))
    assert outbox == {b"events": b"demo.street-1.boot.5 demo.street-1.boot.3 demo.street-1.boot.1", b"digest": b"1"}
    assert [letter.topic for letter in place.archive.letters.page()] == ["earwitness/v1/demo/street-1/event"]
    assert len(mentions(place, "street-1")) <= len(before)
    assert all(name in "".join(mentions(place, "street-1")) for name in ("ew:event:", "ew:episode:", "ew:sensor:"))

    place.run("backup", str(tmp_path / "after.tar"), "--verify")
    with tarfile.open(tmp_path / "after.tar") as tar:
        assert [name for name in tar.getnames() if "street-0" in name] == []
    data = (tmp_path / "after.tar").read_bytes()
    assert data.count(b"street-0") == data.count(b"demo/street-0") == 1, "the entry about the erasure itself"


@pytest.mark.usefixtures("brief")
def test_what_was_erased_does_not_come_back_from_spools_or_from_an_older_backup(place: Place, tmp_path: Path) -> None:
    backup = tmp_path / "before.tar"
    place.run("backup", str(backup))
    late = place.archive.events(place=ERASED)[0]
    place.run("erase", "demo", "--sensor", "street-0", "--yes")
    assert place.archive.add(late) is WriteState.ERASED
    series = LevelSeries("demo", "street-0", "b", NOON, np.full((60, 3), 600, dtype=np.int16), "dB")
    LevelStore(place.archive.client, place.archive.rows).add_many([series], NOON)
    assert mentions(place) == [one for one in mentions(place) if "b'ew:audit'" in one]
    later = replace(late, captured_at=datetime.now(UTC) + timedelta(seconds=5))
    assert place.archive.add(later) is WriteState.NEW, "what is captured after the erasure is new"
    place.run("restore", str(backup), "--replace")
    assert [one for one in mentions(place) if "b'ew:audit'" not in one] == []
    assert place.archive.count() == 3


@pytest.mark.usefixtures("brief")
def test_a_running_hub_and_its_snapshots_follow(place: Place) -> None:
    retrieval = Retrieval(SCORERS)
    after = build_index(place.archive, retrieval)
    follower = IndexFollower(place.archive, retrieval, after)
    follower.start()
    try:
        place.run("erase", "demo", "--sensor", "street-0", "--yes")
        eventually(lambda: len(retrieval) == 3, 10, "the index lacks the erased events")
    finally:
        follower.stop()
    assert {name.split(".")[1] for name in retrieval.ids()} == {"street-1"}


@pytest.mark.usefixtures("brief")
def test_a_period_is_erased_alone(place: Place) -> None:
    start, end = NOON + timedelta(minutes=15), NOON + timedelta(minutes=35)
    words = ("erase", "demo", "--sensor", "street-0", "--from", start.isoformat(), "--to", end.isoformat())
    counted = place.run(*words, "--dry-run", "--json")["counts"]
    assert counted["level hours"] == 1
    report = place.run(*words, "--yes", "--json")
    assert report["counts"]["event"] == 1
    assert [one.id.seq for one in place.archive.events(place=ERASED)] == [4, 0]
    assert [one for one in mentions(place, "street-0.boot.2") if "ew:changes" not in one] == []
    assert place.run(*words, "--verify", "--json")["counts"] == {}
    place.archive.client.set(keys.alert("demo.street-1.boot.1"), '{"matches":[{"event":"demo.street-0.boot.2"}]}')
    assert place.run(*words, "--verify", "--json", exit_code=1)["counts"] == {"alert": 1}, "what is left is found"
    assert place.archive.client.exists(level_keys.level_seconds(ERASED, int(NOON.timestamp()) // 3_600)) == 0
    assert place.archive.add(stored(2, sensor="street-0", after_s=1_200.0)) is WriteState.ERASED
    assert place.archive.add(stored(9, sensor="street-0", after_s=3_000.0)) is WriteState.NEW


@pytest.mark.usefixtures("brief")
def test_a_site_is_erased_with_all_its_sensors(place: Place) -> None:
    place.archive.add(stored(1, site="elsewhere", sensor="street-0"))
    client = place.archive.client
    for site, source in (("demo", "a" * 10), ("demo2", "b" * 10)):
        client.set(keys.source(source), json.dumps({"site": site}))
        client.zadd(keys.sources_of(site, "dog", "space"), {source: 1})
        client.zadd(keys.SOURCES, {source: 1})
    place.run("erase", "demo", "--yes")
    assert [str(event.id) for event in place.archive.events()] == ["elsewhere.street-0.boot.1"]
    assert [one for one in mentions(place, "demo") if "b'ew:audit'" not in one and "demo2" not in one] == []
    assert client.zrange(keys.SOURCES, 0, -1) == client.zrange(keys.sources_of("demo2", "dog", "space"), 0, -1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("De mo",), "site"),
        (("demo", "--from", "yesterday"), "is no time"),
        (("demo", "--from", "2026-06-02", "--to", "2026-06-01"), "--from must be before --to"),
        (("demo", "--dry-run", "--verify"), "give either"),
    ],
)
def test_what_is_wrong_is_stated_and_nothing_is_erased(words: tuple[str, ...], text: str, embedded: Servers) -> None:
    done = CliRunner().invoke(app, ["erase", *words, "--yes", "--set", f"redis.url={embedded.redis_url}"])
    assert (done.exit_code, text in done.output) == (2, True), done.output


def test_without_a_confirmation_nothing_is_erased(place: Place) -> None:
    assert "Aborted" in place.run("erase", "demo", exit_code=1)
    assert place.archive.count() == 6

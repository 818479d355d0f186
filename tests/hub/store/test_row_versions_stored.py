"""A store with rows of earlier or newer hubs is read like one with the hub's own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.json_rows import VERSION
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.hub.ingest.test_pipeline import pipeline

pytestmark = pytest.mark.redis

EPISODE_FIELDS = (
    *("id", "place", "category", "opened_ms", "last_ms", "clips", "max_laeq", "max_match_probability"),
    *("peak_event", "peak_presence", "alert"),
)


def as_newer(document: Any) -> Any:
    """A row of a newer hub: a higher version and an unknown field."""
    return document | {"v": VERSION + 1, "unknown": {"a": [1]}}


def unversioned_episode(document: Any) -> Any:
    """An episode as earlier hubs kept it."""
    return [document[name] for name in EPISODE_FIELDS]


def unversioned_state(document: Any) -> Any:
    """The state of a sensor as earlier hubs kept it."""
    calls = {name: [call["alert"], call["from_ms"], call["until_ms"]] for name, call in document["calls"].items()}
    return {
        "episodes": document["episodes"],
        "calls": calls,
        "ambient": [document["ambient"], document["unit"], document["clips"]],
        "hour": document["hour"],
        "newest": document["newest_ms"],
    }


FORMS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "newer": dict.fromkeys(("ew:episode:*", "ew:sensor-state:*", "ew:budget:*", "ew:offers:*"), as_newer),
    "unversioned": {
        "ew:episode:*": unversioned_episode,
        "ew:sensor-state:*": unversioned_state,
        "ew:budget:*": lambda document: document["alerts_ms"],
        "ew:offers:*": lambda document: {k: v for k, v in document.items() if k not in {"v", "fields"}},
    },
}


def send(archive: EventStore, first: int) -> list[str | None]:
    """Send four clips of one sound; the alerts that they belong to."""
    made = pipeline(archive)
    alerts = []
    for seq in range(first, first + 4):
        sent = event(seq, seed=1, after_s=10.0 * seq)
        handled = made.handle(str(SensorTopic("demo", "street-1", "event")), encode_event(sent))
        alerts.append(None if handled.alert is None else handled.alert.event)
    return alerts


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_other_versions_are_read_and_continued(archive: EventStore, form: str) -> None:
    send(archive, 0)
    before = EpisodeStore(archive).episodes(limit=1_000)
    states = EpisodeStore(archive).sensor_states(["demo/street-1"])
    assert before
    changed = 0
    for pattern, change in FORMS[form].items():
        for key in archive.client.scan_iter(pattern):
            archive.client.set(key, to_json(change(from_json(archive.client.get(key)))))
            changed += 1
    assert changed >= 3
    store = EpisodeStore(archive)
    assert store.episodes(limit=1_000) == before
    assert store.sensor_states(["demo/street-1"]) == states
    send(archive, 4)
    assert archive.rows.left_out == {}
    grown = {episode.id: episode.clips for episode in EpisodeStore(archive).episodes(limit=1_000)}
    assert all(grown[episode.id] > episode.clips for episode in before)


def test_events_reports_and_dead_letters_have_a_version_and_ignore_unknown_fields(archive: EventStore) -> None:
    send(archive, 0)
    archive.letters.put(topic="earwitness/v1/demo/street-1/event", payload=b"x", reason="no event", received_at=NOON)
    key = next(archive.client.scan_iter("ew:event:*"))
    assert archive.client.hget(key, "v") == str(VERSION).encode()
    archive.client.hset(key, mapping={"v": VERSION + 1, "unknown": b"\x00"})
    [(_, letter)] = archive.client.xrange("ew:dead-letters")
    assert letter[b"v"] == str(VERSION).encode()
    archive.client.xadd("ew:dead-letters", letter | {b"v": str(VERSION + 1).encode(), b"unknown": b"\x00"})
    assert len(archive.events(limit=10)) == 4
    assert [one.reason for one in archive.letters.page()] == ["no event", "no event"]
    assert archive.rows.left_out == {}
    while archive.delete_before(NOON + timedelta(days=1)):
        pass
    assert archive.count() == 0

"""Two sensors of one name and one boot at two sites are two sensors, on every store."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hub.domain.records import WriteState
from hub.ingest.messages import Outcome
from hub.store.audio_files import AudioFileStore
from hub.store.event_queries import EventFilter, EventQueries
from hub.store.events import EventStore
from shared.events import Flac
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event, stored
from tests.hub.ingest.test_pipeline import pipeline

pytestmark = pytest.mark.redis


def test_one_name_and_boot_at_two_sites_are_two_events(archive: EventStore) -> None:
    assert archive.add_many([stored(7, site="north"), stored(7, site="south")]) == [WriteState.NEW] * 2
    assert archive.add_many([stored(7, site="north"), stored(7, site="south")]) == [WriteState.UNFINISHED] * 2
    assert [event.site for event in archive.events()] == ["south", "north"]
    for site in ("north", "south"):
        page = EventQueries(archive).events(EventFilter(place=f"{site}/street-1"), limit=10)
        assert [str(found.id) for found in page.events] == [f"{site}.street-1.boot.7"]
    assert [(sensor.place, sensor.events) for sensor in archive.sensors.all()] == [
        ("north/street-1", 1),
        ("south/street-1", 1),
    ]
    archive.delete_before(NOON + timedelta(days=1))
    assert archive.count() == 0
    for site in ("north", "south"):
        assert EventQueries(archive).count(EventFilter(place=f"{site}/street-1")) == 0


def test_the_second_of_two_sites_is_no_repeat_and_is_searched_among_the_first(archive: EventStore) -> None:
    sent = [event(7, site=site, seed=1) for site in ("north", "south")]
    messages = [(str(SensorTopic(one.site, "street-1", "event")), encode_event(one)) for one in sent]
    handled = list(pipeline(archive).handle_all(messages))
    assert [one.outcome for one in handled] == [Outcome.ARCHIVED] * 2
    alert = handled[1].alert
    assert alert is not None
    assert (alert.event, alert.matches[0].event) == ("south.street-1.boot.7", "north.street-1.boot.7")


def test_clips_of_two_sites_are_two_files(tmp_path: Path) -> None:
    clips = AudioFileStore(tmp_path)
    for site in ("north", "south"):
        audio = Flac(b"fLaC" + site.encode())
        clips.save(replace(event(7, site=site), body=audio), audio)
    assert sorted(path.name for path in tmp_path.rglob("*.flac")) == [
        "north.street-1.boot.7.flac",
        "south.street-1.boot.7.flac",
    ]

"""What operators set about sensors, in the store."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.domain.sensor_edits import SensorEdits
from hub.domain.sensor_map import SensorMap
from hub.domain.sensor_status import sensor_status
from hub.store import keys
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.messages.alert import AlertMessage
from tests.sources import MONDAY, conclude, source_event

pytestmark = pytest.mark.redis


def raised(archive: EventStore, seq: int) -> list[AlertMessage | None]:
    places = SensorMap({}, 200.0, ZoneInfo("UTC"))
    return conclude(archive, EpisodeStore(archive), places, [source_event(seq, 1, MONDAY + timedelta(days=seq))])


def test_a_muted_sensor_raises_no_alert_and_its_events_are_archived(archive: EventStore) -> None:
    assert raised(archive, 1) != [None]
    archive.sensors.edit("demo/s1", SensorEdits(muted=True))
    assert raised(archive, 2) == [None]
    assert [episode.alert for episode in EpisodeStore(archive).episodes(place="demo/s1")] == ["", "demo.s1.boot.1"]
    assert archive.count() == 2
    archive.sensors.edit("demo/s1", SensorEdits(title="Market"))
    assert raised(archive, 3) != [None]


def test_a_retired_sensor_is_not_reported_as_missing(archive: EventStore) -> None:
    raised(archive, 1)
    archive.sensors.edit("demo/s1", SensorEdits(retired=True))
    sensor = archive.sensors.get("demo/s1")
    assert sensor is not None
    later = MONDAY + timedelta(days=30)
    status = sensor_status(sensor, later)
    assert (status.word, status.is_ok) == ("retired", True)
    assert not sensor_status(replace(sensor, edits=SensorEdits()), later).is_ok


def test_damaged_edits_leave_the_sensor_as_without_any(archive: EventStore) -> None:
    raised(archive, 1)
    archive.client.hset(keys.sensor("demo/s1"), "edits", b"{")
    (sensor,) = archive.sensors.all()
    assert sensor.edits == SensorEdits()
    assert archive.sensors.muted(["demo/s1", "demo/s9"]) == set()
    assert raised(archive, 2) != [None]

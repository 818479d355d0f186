"""Messages to Home Assistant about a sensor whose clock was ahead: nothing that comes later than now."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.domain.sensor_map import SensorMap
from hub.integrations.homeassistant.discovery import SensorSnapshot
from hub.integrations.homeassistant.publisher import HomeAssistantPublisher
from hub.settings import HomeAssistantSettings
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.settings import MqttSettings
from tests.sources import conclude, source_event

pytestmark = pytest.mark.redis

PLACES = SensorMap({}, 200.0, ZoneInfo("UTC"))


def reported(archive: EventStore, now: datetime) -> SensorSnapshot:
    announcer = HomeAssistantPublisher(
        Stores.of(archive), settings=HomeAssistantSettings(), mqtt=MqttSettings(), hub="hub-1", public_url=""
    )
    (one,) = announcer._snapshots(now)
    return one


def test_levels_episodes_and_alerts_of_the_future_are_left_out(archive: EventStore) -> None:
    episode_store, now = EpisodeStore(archive), datetime.now(UTC).replace(microsecond=0)
    right, ahead = source_event(0, 1, now - timedelta(hours=1)), source_event(1, 1, now + timedelta(hours=3))
    for event in (right, ahead):
        (alert,) = conclude(archive, episode_store, PLACES, [event])
        assert alert is not None
    one = reported(archive, now)
    assert one.event == str(right.id)
    assert one.episode is not None
    assert one.episode.peak_event == str(right.id)
    assert one.alert is not None
    assert one.alert.event == str(right.id)

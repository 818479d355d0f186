"""What Home Assistant is told of a sensor whose clock was ahead: nothing that comes later than now."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.domain.sensor_map import Places
from hub.integrations.homeassistant.discovery import Told
from hub.integrations.homeassistant.publisher import Announcer
from hub.settings import HomeAssistantSettings
from hub.store.episodes import Casebook
from hub.store.events import Archive
from shared.settings import MqttSettings
from tests.sources import conclude, heard

PLACES = Places({}, 200.0, ZoneInfo("UTC"))


def told(archive: Archive, casebook: Casebook, now: datetime) -> Told:
    announcer = Announcer(
        archive, casebook, settings=HomeAssistantSettings(), mqtt=MqttSettings(), hub="hub-1", page_url=""
    )
    (one,) = announcer._told(now)
    return one


def test_levels_episodes_and_alerts_of_the_future_are_left_out(archive: Archive) -> None:
    casebook, now = Casebook(archive), datetime.now(UTC).replace(microsecond=0)
    right, ahead = heard(0, 1, now - timedelta(hours=1)), heard(1, 1, now + timedelta(hours=3))
    for event in (right, ahead):
        (alert,) = conclude(archive, casebook, PLACES, [event])
        assert alert is not None
    one = told(archive, casebook, now)
    assert one.event == str(right.id)
    assert one.episode is not None
    assert one.episode.clearest == str(right.id)
    assert one.alert is not None
    assert one.alert.event == str(right.id)

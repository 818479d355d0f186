"""Messages to Home Assistant about a sensor: units, availability, names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.integrations.homeassistant.discovery import DiscoveryBuilder, SensorSnapshot
from shared.events import Levels
from tests.homeassistant_schemas import DEVICE

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "reported"),
    [("dB", ("dBA", "sound_pressure")), ("dBFS", ("dBFS", None))],
    ids=["calibrated", "not calibrated"],
)
def test_a_level_has_a_unit_that_home_assistant_takes(unit: Any, reported: tuple[str, str | None]) -> None:
    describer = DiscoveryBuilder("homeassistant", "hub-1", "http://127.0.0.1:8080", 180)
    device = describer.device(SensorSnapshot("site", "street", "e", NOW, NOW, Levels(60.0, 70.0, unit)))
    DEVICE.validate(device)
    level = device["components"]["level"]
    assert (level["unit_of_measurement"], level.get("device_class")) == reported
    assert {one["topic"] for one in level["availability"]} == {
        "earwitness/v1/hubs/hub-1/online",
        "earwitness/v1/site/street/state",
    }
    assert level["availability_mode"] == "all"


def test_a_sensor_that_sent_nothing_yet_has_no_level() -> None:
    device = DiscoveryBuilder("homeassistant", "hub-1", "http://127.0.0.1:8080", 180).device(
        SensorSnapshot("site", "street")
    )
    DEVICE.validate(device)
    assert set(device["components"]) == {"connection", "episode", "alert"}


def test_names_of_devices_cannot_be_mistaken() -> None:
    describer = DiscoveryBuilder("ha/here", "hub-1", "http://127.0.0.1:8080", 180)
    made = [next(iter(describer.messages(SensorSnapshot(*place), NOW))) for place in (("a-b", "c"), ("a", "b-c"))]
    assert made == ["ha/here/device/earwitness_a-b_c/config", "ha/here/device/earwitness_a_b-c/config"]


def test_an_old_level_is_not_reported_as_if_it_were_new() -> None:
    describer = DiscoveryBuilder("homeassistant", "hub-1", "http://127.0.0.1:8080", 180)
    at = NOW - timedelta(seconds=181)
    reported = SensorSnapshot("site", "street", "e", at, at, Levels(60.0, 70.0))
    assert list(describer.messages(reported, NOW)) == ["homeassistant/device/earwitness_site_street/config"]
    assert len(describer.messages(reported, NOW - timedelta(seconds=2))) == 2


def test_a_level_follows_the_receipt_and_a_backlog_reports_none() -> None:
    describer = DiscoveryBuilder("homeassistant", "hub-1", "http://127.0.0.1:8080", 180)
    slow = SensorSnapshot("site", "street", "e", NOW - timedelta(minutes=20), NOW, Levels(60.0, 70.0))
    assert len(describer.messages(slow, NOW)) == 2
    backlog = SensorSnapshot("site", "street", "e", NOW - timedelta(hours=2), NOW, Levels(60.0, 70.0))
    assert len(describer.messages(backlog, NOW)) == 1


def test_a_device_reports_the_version_of_the_sensors_software_once_it_is_known() -> None:
    describer = DiscoveryBuilder("homeassistant", "hub-1", "http://127.0.0.1:8080", 180)
    device = describer.device(SensorSnapshot("site", "street", software="earwitness-edge 0.1.0"))
    DEVICE.validate(device)
    assert device["device"]["sw_version"] == "earwitness-edge 0.1.0"
    assert "sw_version" not in describer.device(SensorSnapshot("site", "street"))["device"]

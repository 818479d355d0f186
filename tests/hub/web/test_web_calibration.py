"""A sensor's calibration and its age on the page, in the API and in exports of a running hub."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hub.domain.records import StoredEvent
from shared.events import Calibration, EventId, Levels
from tests.running_hub import Demo

pytestmark = pytest.mark.e2e

ID = "2026-05-20-1f3c5a"


@pytest.fixture(scope="module")
def events(web: Demo) -> dict[str, StoredEvent]:
    """The event of a calibrated sensor and that of one that never was; the first one raised an alert."""
    now = datetime.now(UTC)
    newest = replace(web.archive.events(limit=1)[0], clip="", captured_at=now, received_at=now)
    calibrated = replace(
        newest,
        id=EventId("calibrated", "known", "b", 0),
        levels=Levels(71.0, 84.0, "dB"),
        calibration=Calibration(ID, now - timedelta(days=12, hours=1)),
    )
    never = replace(newest, id=EventId("calibrated", "never", "b", 0), levels=Levels(-40.0, -30.0, "dBFS"))
    web.archive.add_many([calibrated, never])
    facts = {"calibration": ID, "calibration_age_days": calibrated.calibration_age_days}
    where = {"event": str(calibrated.id), "site": "calibrated", "sensor": "known", "captured_at": now}
    alert = web.archive.alerts.newest(limit=1)[0].model_copy(update=facts | where)
    web.archive.mark_processed([(calibrated.id, alert), (never.id, None)])
    return {"known": calibrated, "never": never}


@pytest.fixture(scope="module")
def api(web: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{web.url}/api/v1", timeout=30) as client:
        yield client


def rows(api: httpx.Client, path: str) -> dict[str, dict[str, str]]:
    """Rows of an export by sensor."""
    table = csv.DictReader(io.StringIO(api.get(path).text, newline=""))
    return {row["sensor"]: row for row in table}


def test_the_api_gives_calibration_and_age_of_events(api: httpx.Client, events: dict[str, StoredEvent]) -> None:
    known = api.get(f"/events/{events['known'].id}").json()
    assert (known["calibration"], known["level_unit"]) == (ID, "dB")
    assert known["calibration_age_days"] == pytest.approx(12.042, abs=0.001)
    at = events["known"].calibration
    assert at is not None
    assert abs(datetime.fromisoformat(known["calibrated_at"]) - at.at) < timedelta(milliseconds=1)
    never = api.get(f"/events/{events['never'].id}").json()
    assert [never[name] for name in ("calibration", "calibrated_at", "calibration_age_days")] == [None, None, None]


def test_the_api_gives_the_calibration_of_each_sensor(api: httpx.Client, events: dict[str, StoredEvent]) -> None:
    sensors = {one["sensor"]: one for one in api.get("/sensors").json()["sensors"] if one["site"] == "calibrated"}
    assert (sensors["known"]["calibration"], sensors["known"]["level_unit"]) == (ID, "dB")
    assert (sensors["never"]["calibration"], sensors["never"]["level_unit"]) == (None, "dBFS")
    assert len(sensors) == len(events)


@pytest.mark.usefixtures("events")
def test_exports_hold_the_calibration_and_its_age(api: httpx.Client) -> None:
    known = rows(api, "/export/events.csv?place=calibrated/known")["known"]
    assert (known["calibration"], known["calibration_age_days"]) == (ID, "12.042")
    never = rows(api, "/export/events.csv?place=calibrated/never")["never"]
    assert (never["calibration"], never["calibration_age_days"], never["level_unit"]) == ("", "", "dBFS")
    alert = rows(api, "/export/alerts.csv?place=calibrated/known")["known"]
    assert (alert["calibration"], alert["calibration_age_days"]) == (ID, "12.042")


def test_pages_state_the_age_and_sensors_that_were_never_calibrated(
    web: Demo, events: dict[str, StoredEvent]
) -> None:
    assert "The sensor was calibrated 12 days before" in httpx.get(f"{web.url}/events/{events['known'].id}").text
    assert ID in httpx.get(f"{web.url}/events/{events['known'].id}").text
    assert "The sensor was never calibrated." in httpx.get(f"{web.url}/events/{events['never'].id}").text
    assert "The sensor was calibrated 12 days before." in httpx.get(f"{web.url}/alerts/{events['known'].id}").text
    sensors = httpx.get(f"{web.url}/sensors").text
    assert "calibrated 12 days ago" in sensors
    assert "never calibrated" in sensors


def test_a_row_of_an_earlier_hub_has_no_calibration(web: Demo, events: dict[str, StoredEvent]) -> None:
    event_id = events["known"].id
    before = web.archive.get(event_id)
    assert before is not None
    assert before.calibration == Calibration(ID, before.calibration.at if before.calibration else datetime.now(UTC))
    twin = replace(before, id=EventId("calibrated", "twin", "b", 0))
    web.archive.add(twin)
    web.archive.client.hdel(f"ew:event:{twin.id}", "calibration", "calibrated_ms")
    back = web.archive.get(twin.id)
    assert back is not None
    assert back.calibration is None

"""A sensor's calibration and its age on the page, in the API and in exports of a running hub."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from edge.calibration.history import read_history
from edge.calibration.in_force import open_calibration
from edge.cli import app
from edge.encode import encode
from edge.settings import EdgeSettings
from edge.sources.protocol import AudioClip
from hub.domain.records import StoredEvent
from shared.audio import Waveform
from shared.events import Calibration, EventId, Levels
from shared.levels.meter import measure
from shared.levels.values import LevelDetails
from shared.settings import load_settings
from shared.synthetic_scene import SoundCast, mix_scene
from tests.edge.calibration.tones import RATE_HZ, tone
from tests.running_hub import Demo, send_event
from tests.server_processes import eventually

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
    assert (
        "The sensor was calibrated 12 days before"
        in httpx.get(f"{web.url}/events/{events['known'].id}", timeout=30).text
    )
    assert ID in httpx.get(f"{web.url}/events/{events['known'].id}", timeout=30).text
    assert "The sensor was never calibrated." in httpx.get(f"{web.url}/events/{events['never'].id}", timeout=30).text
    assert (
        "The sensor was calibrated 12 days before"
        in httpx.get(f"{web.url}/alerts/{events['known'].id}", timeout=30).text
    )
    sensors = httpx.get(f"{web.url}/sensors", timeout=30).text
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


def calibrated(folder: Path, wave: Waveform) -> int:
    """Calibrate a sensor, whose spool is in a folder, with a recording: the exit code."""
    soundfile.write(folder / "tone.wav", wave, RATE_HZ, subtype="FLOAT")
    options = ("--set", f"spool.path={folder / 'corner.db'}", "--file", str(folder / "tone.wav"))
    return CliRunner().invoke(app, ["calibrate", *options]).exit_code


def test_a_calibration_reaches_event_alert_page_and_exports(web: Demo, api: httpx.Client, tmp_path: Path) -> None:
    """Refuse three tones that are no calibrator, take one in noise, and follow its id to all that the hub shows."""
    for refused in (tone(frequency_hz=1_030.0), tone(drift_db=-1.5), tone(noise_dbfs=-40.0)):
        assert calibrated(tmp_path, refused) == 1
    assert calibrated(tmp_path, tone(-26.0, noise_dbfs=-50.0)) == 0
    history = tmp_path / "corner.calibrations.jsonl"
    (entry,) = read_history(history).entries
    before = entry.model_copy(update={"at": entry.at - timedelta(days=12)})
    history.write_text(before.model_dump_json() + "\n", encoding="utf-8")
    calibration = open_calibration(load_settings(EdgeSettings, None, (f"spool.path={tmp_path / 'corner.db'}",)))
    saw = mix_scene(["powered-saw"], np.random.default_rng(3), 16_000, cast=SoundCast.drawn(7)).waveform
    sent = [
        encode(
            AudioClip(saw, 16_000), EventId("corner", "roof", "b", seq), captured_at=now(), calibration=calibration
        )
        for seq in (1, 2)
    ]
    send_event(web, sent[0])
    named = {"name": "Roof saw", "events": [str(sent[0].id)], "mode": "watched"}
    made = api.post("/names", json=named, headers={"X-Earwitness": "test"}).json()
    send_event(web, sent[1])
    eventually(lambda: api.get(f"/alerts/{sent[1].id}").status_code == 200, 20, "the sound's return is an alert")
    api.delete(f"/names/{made['id']}", headers={"X-Earwitness": "test"})
    event, alert = (api.get(f"/{kind}/{sent[1].id}").json() for kind in ("events", "alerts"))
    exported = [rows(api, f"/export/{kind}.csv?place=corner/roof")["roof"] for kind in ("events", "alerts")]
    for one in (event, alert, *exported):
        assert one["calibration"] == entry.id
        assert float(one["calibration_age_days"]) == pytest.approx(12.0, abs=0.1)
        assert one["level_unit"] == "dB"
        assert float(one["laeq"]) == pytest.approx(sent[1].levels.laeq)
    assert sent[1].levels.laeq == pytest.approx(measure(saw, 16_000).laeq + 120.0, abs=0.1)
    for kind in ("events", "alerts"):
        page = httpx.get(f"{web.url}/{kind}/{sent[1].id}", timeout=30).text
        assert "calibrated 12 days before" in page
        assert entry.id in page


def test_level_details_are_on_the_page_in_the_api_and_in_exports(web: Demo, api: httpx.Client) -> None:
    details = replace(measured(tone(-26.0, seconds=2.0)), overload=True)
    newest = replace(web.archive.events(limit=1)[0], clip="", captured_at=now(), received_at=now())
    stored = replace(newest, id=EventId("details", "known", "b", 0), levels=Levels(-26.0, -25.0, "dBFS", details))
    before = replace(newest, id=EventId("details", "before", "b", 0), levels=Levels(-26.0, -25.0, "dBFS"))
    web.archive.add_many([stored, before])
    web.archive.mark_processed([(stored.id, None), (before.id, None)])
    shown = api.get(f"/events/{stored.id}").json()["level_details"]
    assert shown["lcpeak"] == pytest.approx(details.lcpeak, abs=0.006)
    assert shown["bands"] == pytest.approx(details.bands, abs=0.006)
    assert (shown["overload"], shown["under_range"]) == (True, False)
    listed = {one["id"]: one["level_details"] for one in api.get("/events?limit=500").json()["events"]}
    assert (listed[str(stored.id)], listed[str(before.id)]) == (shown, None)
    row = rows(api, "/export/events.csv?place=details/known")["known"]
    assert float(row["band_1000_hz"]) == pytest.approx(details.bands[17], abs=0.006)
    assert float(row["l90"]) == pytest.approx(details.l90, abs=0.006)
    assert row["overload"] == "True"
    assert rows(api, "/export/events.csv?place=details/before")["before"]["lceq"] == ""
    page = httpx.get(f"{web.url}/events/{stored.id}", timeout=30).text
    assert "the loudest is 1000 Hz" in page
    assert page.count("<title>") >= len(details.bands)
    assert "A sample reached full scale" in page
    assert f"{shown['lcpeak']:.1f} dBFS".replace("-", "\N{MINUS SIGN}") in page
    assert "All levels" not in httpx.get(f"{web.url}/events/{before.id}", timeout=30).text


def measured(wave: Waveform) -> LevelDetails:
    found = measure(wave, RATE_HZ).details
    assert found is not None
    return found


def now() -> datetime:
    return datetime.now(UTC)

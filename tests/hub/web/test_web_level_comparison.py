"""Comparison and energy by category in API and pages, on the hub's web application without networks."""

import csv
import io
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings, RedisSettings
from hub.store import keys
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from shared.events import Calibration, Levels
from shared.level_series import LevelSeries
from tests.factories import stored

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
AUTUMN = datetime(2026, 10, 24, 5, tzinfo=UTC)
"""07:00 on the day whose night has 9 h in Berlin."""
CALIBRATED = Calibration("c1", AUTUMN)


def hour(sensor: str, at: datetime, level_db: int, **changed: Any) -> LevelSeries:
    tenths = np.full((3_600, 3), 10 * level_db, dtype=np.int16)
    calibration = CALIBRATED if changed.get("unit", "dB") == "dB" else None
    return LevelSeries("demo", sensor, "boot", at, tenths, **{"unit": "dB", "calibration": calibration} | changed)


@pytest.fixture(scope="module")
def client(embedded: Servers) -> Iterator[TestClient]:
    archive = EventStore(embedded.redis_url)
    archive.client.flushall()
    levels = LevelStore(archive.client, archive.rows)
    times = [AUTUMN + timedelta(hours=number) for number in range(49)]
    levels.add_many([hour("street-1", at, 66) for at in times[:25]], AUTUMN)
    levels.add_many([hour("street-1", at, 60) for at in times[25:]], AUTUMN)
    levels.add_many([hour("court-1", at, 60) for at in times[:12]], AUTUMN)
    levels.add_many([hour("roof-1", at, -40, unit="dBFS") for at in times[:25]], AUTUMN)
    saw = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    clips = [
        replace(
            stored(number),
            captured_at=AUTUMN + timedelta(minutes=number),
            received_at=AUTUMN + timedelta(hours=1),
            duration_s=60.0,
            levels=Levels(72.0, 80.0, "dB"),
            presence=saw,
        )
        for number in range(4)
    ]
    archive.add_many(clips)
    archive.client.set(keys.event(str(clips[3].id)), "damaged")
    settings = HubSettings.model_validate(
        {"redis": RedisSettings(url=SecretStr(embedded.redis_url)), "sites": {"timezone": "Europe/Berlin"}}
    )
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    archive.close()


PERIODS = {
    "place": "demo/street-1",
    "first": "2026-10-24",
    "other_place": "demo/street-1",
    "other_first": "2026-10-25",
}


def got(client: TestClient, path: str, parameters: dict[str, str]) -> dict[str, Any]:
    answer = client.get(f"/api/v1/levels/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_two_days_of_different_length_are_compared(client: TestClient) -> None:
    found = got(client, "comparison", PERIODS)
    assert [found[name]["duration_s"] // 3_600 for name in ("period", "other")] == [25, 24]
    assert found["differences"] == dict.fromkeys(("laeq", "l10", "l90", "lday", "levening", "lnight", "lden"), 6.0)
    assert (found["comparable"], found["valid_s_difference"], found["cautions"]) == (True, 3_600, [])
    assert found["summary"].startswith("The first is 6.0 dB louder than the second by LAeq: 4.0 times")
    assert found["period"]["calibrations"] == ["c1"]


def test_the_same_as_csv(client: TestClient) -> None:
    answer = client.get("/api/v1/levels/comparison", params=PERIODS, headers={"Accept": "text/csv"})
    rows = {row["quantity"]: row for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    lden = rows["lden"]
    assert (lden["place"], lden["first"], lden["unit"], lden["other_last"]) == (
        "demo/street-1",
        "2026-10-24",
        "dB",
        "2026-10-25",
    )
    assert float(lden["value"]) - float(lden["other_value"]) == pytest.approx(float(lden["difference"]))
    assert (rows["valid_s"]["value"], rows["valid_s"]["other_value"]) == ("90000", "86400")


@pytest.mark.parametrize(
    ("other", "reason"),
    [("demo/court-1", "levels for 48 % of its time"), ("demo/roof-1", "The first is in dB, the second in dBFS")],
)
def test_what_cannot_be_compared_states_why_in_api_and_page(client: TestClient, other: str, reason: str) -> None:
    parameters = {"place": "demo/street-1", "first": "2026-10-24", "other_place": other}
    found = got(client, "comparison", parameters)
    assert (found["comparable"], set(found["differences"].values())) == (False, {None})
    assert reason in found["reasons"][0]
    page = client.get("/compare", params=parameters)
    assert page.status_code == 200
    assert reason in page.text
    assert page.text.count("<figure") == (other == "demo/court-1")


def test_the_page_draws_both_by_the_local_clock(client: TestClient) -> None:
    page = client.get("/compare", params=PERIODS).text
    assert page.count('<polyline class="first"') == page.count('<polyline class="second"') == 1
    widths = [len(points.split()) for points in re.findall(r'<polyline class="\w+" points="([^"]*)"', page)]
    assert widths == [1_440, 1_440]  # although one of the days has 25 h
    assert "The first is 6.0 dB louder" in page
    assert "First day" in page


def test_without_dates_yesterday_is_compared_with_the_week_before(client: TestClient) -> None:
    found = got(client, "comparison", {"place": "demo/street-1"})
    first, other = (datetime.fromisoformat(found[name]["first"]) for name in ("period", "other"))
    assert first - other == timedelta(days=7)
    assert client.get("/compare").status_code == 200


@pytest.mark.parametrize(
    ("changed", "code", "detail"),
    [
        ({"last": "2026-10-23"}, 422, "is before the first date"),
        ({"last": "2028-10-24"}, 422, "more than 366 days"),
        ({"other_place": "demo/missing"}, 404, "no sensor demo/missing"),
        ({"first": "1"}, 422, "first"),
    ],
)
def test_a_wrong_request_gets_the_reason(client: TestClient, changed: dict[str, str], code: int, detail: str) -> None:
    answer = client.get("/api/v1/levels/comparison", params=PERIODS | changed)
    assert answer.status_code == code
    assert detail in answer.json()["detail"]


def test_the_energy_of_an_hour_is_divided_among_its_clips(client: TestClient) -> None:
    until = (AUTUMN + timedelta(hours=2)).isoformat()
    parameters = {"place": "demo/street-1", "since": AUTUMN.isoformat(), "until": until}
    one, two = got(client, "partial", parameters)["hours"]
    share = 3 / 60 * 10**0.6  # three minutes at 72 dB of an hour at 66 dB; the damaged clip is left out
    assert one["shares"] == {
        "powered-saw": pytest.approx(share, abs=1e-3),
        "no-clip": pytest.approx(1 - share, abs=1e-3),
    }
    assert one["levels"]["powered-saw"] == pytest.approx(66.0 + 10 * np.log10(share), abs=0.06)
    assert two["shares"] == {"no-clip": 1.0}
    answer = client.get("/api/v1/levels/partial", params=parameters, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [float(row["share_no-clip"]) for row in rows] == [one["shares"]["no-clip"], 1.0]


def test_the_page_of_categories_stacks_each_hour(client: TestClient) -> None:
    page = client.get("/levels/demo/street-1/categories", params={"day": "2026-10-24"}).text
    chart = page[page.index('class="under"') : page.index('class="over"')]
    assert chart.count('<rect class="part powered-saw"') == 1
    assert chart.count('<rect class="part no-clip"') == 17  # from 07:00
    assert chart.count('class="gap"') == 7
    assert '20 %<span class="partial">59.0</span>' in page
    assert client.get("/levels/demo/missing/categories").status_code == 404

"""Bands of each second in the API, as JSON and CSV, on the hub's web application without networks."""

import csv
import io
import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from starlette.testclient import TestClient

from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings, RedisSettings
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from hub.web.band_image import BAND_HEIGHT
from shared.level_bands import band_rows
from shared.level_series import LevelSeries
from shared.levels.values import SecondLevels
from tests.factories import NOON

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
SINCE = NOON.isoformat().replace("+00:00", "Z")
PARAMETERS = {"place": "demo/street-1", "since": SINCE, "until": (NOON + timedelta(seconds=3)).isoformat()}


@pytest.fixture(scope="module")
def client(embedded: Servers) -> Iterator[TestClient]:
    archive = EventStore(embedded.redis_url)
    archive.client.flushall()
    seconds = [SecondLevels(50.0, 60.0, 55.0, bands) for bands in ((30.0, 40.5), ())]
    tenths = np.full((2, 3), 500, dtype=np.int16)
    sent = LevelSeries("demo", "street-1", "boot", NOON, tenths, "dB", bands=band_rows(seconds))
    LevelStore(archive.client, archive.rows).add_many([sent], NOON)
    settings = HubSettings(redis=RedisSettings(url=SecretStr(embedded.redis_url)))
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    archive.close()


def test_seconds_have_their_bands_or_null(client: TestClient) -> None:
    answer = client.get("/api/v1/levels/bands", params=PARAMETERS).json()
    assert (answer["start"], answer["unit"], answer["next"]) == (SINCE, "dB", None)
    assert answer["frequencies_hz"][:3] == [20.0, 25.0, 31.5]
    assert answer["bands"] == [[30.0, 40.5, *[None] * 29], None, None]


def test_the_same_as_csv(client: TestClient) -> None:
    answer = client.get("/api/v1/levels/bands", params=PARAMETERS, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["at"] for row in rows] == [f"{SINCE[:-3]}{second:02d}Z" for second in range(3)]
    cells = [(row["band_20_hz"], row["band_25_hz"], row["band_20000_hz"]) for row in rows]
    assert cells == [("30.0", "40.5", ""), ("", "", ""), ("", "", "")]


def test_a_long_interval_continues_after_an_hour(client: TestClient) -> None:
    until = (NOON + timedelta(hours=2)).isoformat()
    answer = client.get("/api/v1/levels/bands", params={**PARAMETERS, "until": until}).json()
    assert len(answer["bands"]) == 3_600
    assert answer["next"] == (NOON + timedelta(hours=1)).isoformat().replace("+00:00", "Z")


def test_a_sensor_that_is_not_known_is_not_found(client: TestClient) -> None:
    assert client.get("/api/v1/levels/bands", params={"place": "demo/none"}).status_code == 404


def test_minutes_have_the_mean_of_their_seconds(client: TestClient) -> None:
    answer = client.get("/api/v1/levels/bands", params=PARAMETERS | {"resolution": "minute"}).json()
    assert (answer["period_s"], answer["bands"]) == (60, [[30.0, 40.5, *[None] * 29]])


def test_the_picture_has_a_column_per_minute_and_no_colour_without_bands(client: TestClient) -> None:
    until = {"until": (NOON + timedelta(minutes=4)).isoformat()}
    answer = client.get("/api/v1/levels/bands.png", params=PARAMETERS | until)
    assert answer.headers["content-type"] == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert pixels.shape == (31 * BAND_HEIGHT, 4, 4)
    assert [int(row[0, 3]) for row in pixels[::-BAND_HEIGHT][:3]] == [255, 255, 0]
    assert not pixels[:, 1:, 3].any()
    lightness = pixels[::-BAND_HEIGHT, 0, :3].astype(int).sum(axis=1)
    assert lightness[1] > lightness[0]


def test_the_page_of_a_day_shows_the_picture_only_if_there_are_bands(client: TestClient) -> None:
    page = client.get("/levels/demo/street-1", params={"day": f"{NOON:%Y-%m-%d}"}).text
    assert f"/api/v1/levels/bands.png?place=demo/street-1&amp;since={NOON:%Y-%m-%d}T00:00:00Z" in page
    other = client.get("/levels/demo/street-1", params={"day": f"{NOON - timedelta(days=1):%Y-%m-%d}"}).text
    assert "bands.png" not in other

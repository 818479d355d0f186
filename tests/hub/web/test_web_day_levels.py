"""Levels of days and nights in API and pages, on the hub's web application without networks."""

import csv
import io
import json
import re
import runpy
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from hub.domain.episodes import Episode
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings, RedisSettings, SitesSettings
from hub.store import keys
from hub.store.episode_rows import encode_episode
from hub.store.events import EventStore
from hub.store.level_statistics import LevelStatistics
from hub.store.levels import LevelStore
from shared.level_series import LevelSeries

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 6, 1)
QUIET, LOUD = "demo/quiet", "demo/loud"
ALERT = "demo.loud.b.7"


def hour_of(place: str, at: datetime) -> LevelSeries:
    """An hour at 60 dB; in nights 50 dB, at the loud sensor 10 dB more."""
    night = not 7 <= at.astimezone(BERLIN).hour < 23
    level = (500 if night else 600) + (100 if place == LOUD else 0)
    tenths = np.tile(np.array([level, level + 100, level + 30], dtype=np.int16), (3_600, 1))
    return LevelSeries("demo", place.partition("/")[2], "b", at, tenths, "dB")


@pytest.fixture(scope="module")
def client(embedded: Servers) -> Iterator[TestClient]:
    archive = EventStore(embedded.redis_url)
    archive.client.flushall()
    begin = datetime(2026, 6, 1, tzinfo=BERLIN)
    hours = [begin + timedelta(hours=hour) for hour in range(4 * 24) if hour not in range(58, 66)]  # a part of 3 June
    levels = LevelStore(archive.client, archive.rows)
    for place in (QUIET, LOUD):
        levels.add_many([hour_of(place, at) for at in hours], begin)
    LevelStatistics(archive.client, archive.rows).update(int(begin.timestamp()) + 10 * 86_400)
    opened_ms = int((begin + timedelta(hours=10)).timestamp() * 1_000)
    episode = Episode(f"{ALERT}.7", LOUD, "dog", opened_ms, opened_ms + 60_000, max_laeq=71.0, alert=ALERT)
    archive.client.set(keys.episode(episode.id), encode_episode(episode))
    archive.client.zadd(keys.episodes_of(LOUD, "dog"), {episode.id: opened_ms})
    settings = HubSettings(
        redis=RedisSettings(url=SecretStr(embedded.redis_url)), sites=SitesSettings(timezone="Europe/Berlin")
    )
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    archive.close()


def got(client: TestClient, path: str, **parameters: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/levels/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_days_have_lden_where_enough_of_their_time_is_valid(client: TestClient) -> None:
    found = got(client, "days", place=LOUD, first="2026-06-01", last="2026-06-04")
    assert (found["unit"], found["timezone"], found["next"]) == ("dB", "Europe/Berlin", None)
    monday, tuesday, wednesday, thursday = found["days"]
    levels = [monday[name]["level"] for name in ("lday", "levening", "lnight")]
    assert (monday["day"], monday["lden"], levels) == ("2026-06-01", 71.3, [70.0, 70.0, 60.0])
    assert monday["lnight"] == {
        "start": "2026-06-01T21:00:00Z",
        "end": "2026-06-02T05:00:00Z",
        "level": 60.0,
        "lafmax": 70.0,
        "valid_s": 8 * 3_600,
        "complete": True,
    }
    assert tuesday["lden"] == 71.3
    assert (wednesday["lden"], wednesday["lday"]["complete"], wednesday["lday"]["valid_s"]) == (
        None,
        False,
        4 * 3_600,
    )
    assert (thursday["lnight"]["level"], thursday["lnight"]["valid_s"]) == (60.0, 3_600)


def test_the_same_as_csv(client: TestClient) -> None:
    parameters = {"place": LOUD, "first": "2026-06-01", "last": "2026-06-03"}
    answer = client.get("/api/v1/levels/days", params=parameters, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["lden"] for row in rows] == ["71.3", "71.3", ""]
    assert (rows[0]["lnight"], rows[0]["lnight_valid_s"], rows[2]["lday_complete"]) == ("60.0", "28800", "False")


def test_any_span_of_days_is_answered_in_parts(client: TestClient) -> None:
    found = got(client, "days", place=QUIET, first="0001-01-01", last="9999-12-31")
    assert (len(found["days"]), found["days"][0]["day"], found["next"]) == (366, "1970-01-02", "1971-01-03")
    assert got(client, "days", place=QUIET, first="2026-06-02", last="2026-06-01")["days"] == []
    assert len(got(client, "days", place=QUIET)["days"]) == 31


def test_the_loudest_nights_come_first_and_incomplete_ones_not_at_all(client: TestClient) -> None:
    found = got(client, "nights", site="demo", first="2026-06-01", last="2026-06-05", limit="4")
    nights = [(night["place"], night["lnight"]["level"]) for night in found["nights"]]
    assert nights == [(LOUD, 60.0)] * 3 + [(QUIET, 50.0)]
    assert {night["day"] for night in found["nights"]} <= {"2026-06-01", "2026-06-02", "2026-06-03"}
    assert got(client, "nights", site="elsewhere")["nights"] == []
    parameters = {"site": "demo", "first": "2026-06-01", "last": "2026-06-05"}
    answer = client.get("/api/v1/levels/nights", params=parameters, headers={"Accept": "text/csv"})
    assert answer.text.splitlines()[0].startswith("place,day,unit,lnight,lnight_lafmax,lnight_valid_s")
    assert len(answer.text.splitlines()) == 7


@pytest.mark.parametrize(
    ("path", "parameters", "code", "detail"),
    [
        ("days", {"place": "demo/missing"}, 404, "no sensor demo/missing"),
        ("days", {"place": QUIET, "first": "1700000000"}, 422, "write a date"),
        ("days", {"place": QUIET, "since": "2026-06-01"}, 422, "known are"),
        ("nights", {"site": "demo", "limit": "0"}, 422, "limit"),
    ],
)
def test_a_wrong_request_gets_the_reason(
    client: TestClient, path: str, parameters: dict[str, str], code: int, detail: str
) -> None:
    answer = client.get(f"/api/v1/levels/{path}", params=parameters)
    assert answer.status_code == code
    assert detail in answer.json()["detail"]


def page(client: TestClient, path: str) -> str:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def values_of(text: str) -> dict[str, Any]:
    """What the script shows under the pointer."""
    found = re.search(r"data-values>(.*?)</script>", text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_of_a_day_has_chart_values_episodes_and_figures(client: TestClient) -> None:
    text = page(client, f"/levels/{LOUD}?day={MONDAY}")
    assert text.count('<polyline class="laeq"') == text.count('<polygon class="spread"') == 1
    assert 'class="gap"' not in text
    values = values_of(text)
    assert (len(values["labels"]), values["labels"][605], values["unit"]) == (1_440, "10:05", "dB")
    assert [(one["name"], one["values"][0]) for one in values["series"]] == [
        ("LAeq", 60.0),
        ("L90", 60.0),
        ("L10", 60.0),
        ("LAFmax", 70.0),
    ]
    assert values["links"][605] == "span=hour&day=2026-06-01&hour=10"
    assert 'class="alerted" x="41.667%"' in text
    assert f'href="/alerts/{ALERT}"' in text
    assert re.search(r"<th scope=\"row\">Lden</th><td>24 h</td><td class=\"num\"><b>71\.3</b>", text)
    assert '<td class="num">23:00 to 07:00</td>' in text
    assert "resolution=minute" in text


def test_gaps_are_hatched_and_incomplete_levels_are_marked(client: TestClient) -> None:
    text = page(client, f"/levels/{LOUD}?day=2026-06-03")
    assert text.count('<polyline class="laeq"') == 2
    assert text.count('class="gap"') == 1
    assert "Without levels, hatched: 480 minutes." in text
    assert "incomplete" in text


def test_the_pages_of_hour_week_and_year(client: TestClient) -> None:
    hour = page(client, f"/levels/{LOUD}?span=hour&day={MONDAY}&hour=10")
    assert (len(values_of(hour)["labels"]), values_of(hour)["labels"][61]) == (3_600, "10:01:01")
    week = page(client, f"/levels/{LOUD}?span=week&day=2026-06-03")
    assert len(values_of(week)["labels"]) == 168
    assert len(re.findall(r"<b>71\.3</b>", week)) == 2
    year = page(client, f"/levels/{LOUD}?span=year&day={MONDAY}")
    assert values_of(year)["labels"][151] == "Mon 1 Jun"
    assert [(one["name"], one["values"][151]) for one in values_of(year)["series"]] == [
        ("Lden", 71.3),
        ("Lnight", 60.0),
        ("LAFmax", 80.0),
    ]
    assert re.search(r"June</th><td class=\"num\"><b>71\.3</b>", year)


def test_lists_of_nights_lead_to_the_days(client: TestClient) -> None:
    text = page(client, "/levels/demo?days=366")
    assert text.index(f"/levels/{LOUD}?span=day&amp;day=2026-06-0") < text.index(f"/levels/{QUIET}?span=day&amp;day=")
    assert f'href="/levels/{QUIET}"' in page(client, "/levels")
    assert client.get("/levels/missing").status_code == 404
    assert client.get(f"/levels/{LOUD}?span=decade").status_code == 422

"""Limits on pages, in the API and in exports, on the hub's web application without networks."""

import csv
import io
import re
import runpy
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from hub.app.factory import build_limit_rules
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings, RedisSettings, SitesSettings
from hub.settings.limits import LimitsSettings
from hub.store.events import EventStore
from hub.store.level_statistics import LevelStatistics
from hub.store.levels import LevelStore
from hub.store.limit_judge import LimitJudge
from shared.events import LevelUnit
from shared.level_series import LevelSeries

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 6, 1, tzinfo=BERLIN)
LOUD, QUIET, UNCALIBRATED = "demo/loud", "demo/quiet", "other/new"
RULES = """
source = "By-law 7 <of> the town"
[[rule]]
name = "night"
title = "Night & quiet"
quantity = "lnight"
period = "day"
limit_db = 55.0
[[rule]]
name = "working-hours"
title = "Working hours"
quantity = "laeq"
period = "hour"
hours = ["07:00", "19:00"]
limit_db = 65.0
[[rule]]
name = "minutes"
title = "Minutes"
quantity = "lafmax"
period = "minute"
hours = ["12:00", "13:00"]
limit_db = 75.0
places = ["demo"]
"""


@pytest.fixture(scope="module")
def client(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Two days of three sensors: by day 10 dB more than by night, and the loud one 10 dB more than the quiet one."""
    archive = EventStore(embedded.redis_url)
    archive.client.flushall()
    levels = LevelStore(archive.client, archive.rows)
    series = []
    for place in (LOUD, QUIET, UNCALIBRATED):
        for hour in range(48):
            at = BEGIN + timedelta(hours=hour)
            level = 500 + 100 * (7 <= at.hour < 23) + 100 * (place == LOUD)
            tenths = np.tile(np.array([level, level + 100, level], dtype=np.int16), (3_600, 1))
            site, _, name = place.partition("/")
            unit: LevelUnit = "dBFS" if place == UNCALIBRATED else "dB"
            series.append(LevelSeries(site, name, "b", at, tenths, unit))
    levels.add_many(series, BEGIN)
    end_s = int(BEGIN.timestamp()) + 10 * 86_400
    LevelStatistics(archive.client, archive.rows).update(end_s)
    folder = tmp_path_factory.mktemp("limits")
    (folder / "own.toml").write_text(RULES)
    settings = HubSettings(
        redis=RedisSettings(url=SecretStr(embedded.redis_url)),
        sites=SitesSettings(timezone="Europe/Berlin"),
        limits=LimitsSettings(folder=folder, examples=("end-2002-49-ec",)),
    )
    judge = LimitJudge(archive.client, archive.rows, build_limit_rules(settings), BERLIN)
    judge.adopt()
    judge.judge(end_s)
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    archive.close()


def got(client: TestClient, path: str, **parameters: str | int) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def page(client: TestClient, path: str) -> str:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def test_exceedances_are_listed_newest_first_in_pages_and_filtered(client: TestClient) -> None:
    found = got(client, "exceedances", limit=500)["exceedances"]
    assert len(found) == 24 + 2 + 2, "two days of 12 hours, two hours of minutes, two complete nights"
    assert [one["start"] for one in found] == sorted((one["start"] for one in found), reverse=True)
    night, before = got(client, "exceedances", rule="night")["exceedances"]
    assert (before["start"], before["valid"]) == ("2026-05-31T21:00:00Z", 0.875)
    assert night == {
        "id": f"night.demo.loud.{int(BEGIN.timestamp()) + 23 * 3_600}",
        "rule": "night",
        "place": LOUD,
        "start": "2026-06-01T21:00:00Z",
        "end": "2026-06-02T05:00:00Z",
        "worst": "2026-06-01T21:00:00Z",
        "level": 60.0,
        "limit": 55.0,
        "above": 5.0,
        "ambient": None,
        "exceeded": 1,
        "judged": 1,
        "valid": 1.0,
    }
    minutes = got(client, "exceedances", rule="minutes", since="2026-06-02T00:00:00Z", place=LOUD)["exceedances"]
    assert [(one["exceeded"], one["judged"], one["level"]) for one in minutes] == [(60, 60, 80.0)]
    first = got(client, "exceedances", rule="working-hours", limit=20)
    rest = got(client, "exceedances", rule="working-hours", limit=20, after=first["next"])
    assert (len(first["exceedances"]), len(rest["exceedances"]), rest["next"]) == (20, 4, None)
    assert got(client, "exceedances", site="other")["exceedances"] == []


def test_the_api_states_how_much_was_judged(client: TestClient) -> None:
    found = got(client, "limits", since="2026-05-31T22:00:00Z", until="2026-06-03T22:00:00Z")
    assert [rule["name"] for rule in found["rules"]] == [
        "end-lden",
        "end-lnight",
        "minutes",
        "night",
        "working-hours",
    ]
    counts = {(one["rule"], one["place"]): one for one in found["counts"]}
    assert ("minutes", UNCALIBRATED) not in counts
    wanted = ("periods", "judged", "exceeded", "not_judged", "uncalibrated")
    rows = {
        ("working-hours", LOUD): (36, 24, 24, 12, 0),
        ("working-hours", UNCALIBRATED): (36, 0, 0, 36, 24),
        ("night", QUIET): (2, 1, 0, 1, 0),
        ("minutes", LOUD): (180, 120, 120, 60, 0),
        ("end-lden", LOUD): (0, 0, 0, 0, 0),
    }
    assert {key: tuple(counts[key][name] for name in wanted) for key in rows} == rows


def test_exceedances_are_exported(client: TestClient) -> None:
    answer = client.get("/api/v1/export/exceedances.csv", params={"rule": "night", "since": "2026-06-01T00:00:00Z"})
    assert "earwitness-exceedances.csv" in answer.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["place"], row["level"], row["above"], row["ambient"]) == (LOUD, "60.0", "5.0", "")
    lines = client.get("/api/v1/export/exceedances.jsonl", params={"place": LOUD}).text.splitlines()
    assert len(lines) == 28


def test_the_page_lists_exceedances_with_their_chart_and_what_was_not_judged(client: TestClient) -> None:
    text = page(client, "/limits?first=2026-06-01&last=2026-06-03&place=demo%2Floud&rule=night")
    assert '<a href="/levels/demo/loud?span=day&amp;day=2026-06-01">' in text
    assert "Night &amp; quiet" in text
    assert re.search(
        r'data-label="Judged">1<.*?data-label="Above"><b>1</b>.*?data-label="Not judged">1<', text, re.DOTALL
    )
    assert "By-law 7 &lt;of&gt; the town." in text
    assert "no legal advice" in text
    hours = page(client, "/limits?first=2026-06-01&last=2026-06-02&rule=minutes")
    assert "/levels/demo/loud?span=hour&amp;day=2026-06-01&amp;hour=12" in hours
    assert "60 of 60 minutes" in hours
    everything = page(client, "/limits?first=2026-06-01&last=2026-06-02&place=demo")
    assert everything.count('data-label="Above it"') == 27
    assert "No exceedances found." in page(client, "/limits")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/limits?rule=unknown", 404, "no rule unknown; known are"),
        ("/limits?first=yesterday", 422, "write a date like 2026-06-01"),
        ("/limits?first=2020-01-01&last=2026-06-01", 422, "longer than 366 days"),
        ("/limits?after=nonsense", 422, "is not a cursor"),
    ],
)
def test_a_wrong_request_gets_the_reason(client: TestClient, path: str, status: int, reason: str) -> None:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert reason in answer.text


def test_charts_draw_limits_as_lines_and_exceedances_as_bars(client: TestClient) -> None:
    day = page(client, f"/levels/{LOUD}?day=2026-06-01")
    lines = re.findall(r'<polyline class="limit" points="([^"]*)"', day)
    assert [line.split()[0].split(",")[0] for line in lines] == ["720", "420"], "minutes from 12:00, hours from 7:00"
    bars = dict(re.findall(r'aria-label="\d times? above the limit ([^"]*)">(.*?)</svg>', day))
    assert 'x="29.167%" width="50.000%"' in bars["Working hours"]
    assert 'x="95.833%" width="4.167%"' in bars["Night &amp; quiet"], "the night that begins on this date"
    assert 'x="0.000%" width="29.167%"' in bars["Night &amp; quiet"], "the one that ends on it"
    assert 'href="/limits?place=demo/loud&amp;first=2026-06-01&amp;last=2026-06-01"' in day
    week = page(client, f"/levels/{LOUD}?span=week&day=2026-06-01")
    assert week.count('<polyline class="limit"') == 7
    year = page(client, f"/levels/{LOUD}?span=year&day=2026-06-01")
    assert year.count('<polyline class="limit"') == 3, "Lden and Lnight of the year, Lnight of the day"
    hour = page(client, f"/levels/{LOUD}?span=hour&day=2026-06-01&hour=12")
    assert hour.count('<polyline class="limit"') == 2
    assert 'class="limit"' not in page(client, f"/levels/{UNCALIBRATED}?day=2026-06-01")
    assert "over-limit" not in page(client, f"/levels/{QUIET}?day=2026-06-01")

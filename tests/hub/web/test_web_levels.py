"""Levels in API and page: seconds, minutes and hours, on the hub's web application without networks."""

import csv
import io
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

from hub.evidence.verification import verify
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings, RedisSettings
from hub.settings.evidence import EvidenceSettings
from hub.store.events import EventStore
from hub.store.level_offsets import AppliedOffset, LevelOffsets
from hub.store.levels import LevelStore
from hub.web.route_roles import EXPORT, rule_of
from shared.events import Calibration
from shared.level_series import NO_LEVEL, LevelSeries
from tests.factories import NOON

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
PLACE = "demo/street-1"
SINCE = NOON.isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def client(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    archive = EventStore(embedded.redis_url)
    archive.client.flushall()
    tenths = np.full((120, 3), 600, dtype=np.int16)
    tenths[2:60] = NO_LEVEL
    sent = LevelSeries("demo", "street-1", "boot", NOON, tenths, "dB", calibration=Calibration("c1", NOON))
    before = replace(sent, captured_at=NOON - timedelta(seconds=120), unit="dBFS", calibration=None)
    LevelStore(archive.client, archive.rows).add_many([sent, before], NOON)
    offset = AppliedOffset("b", 7_200, int(NOON.timestamp()), int(NOON.timestamp()) + 60)
    LevelOffsets(archive.client, archive.rows).add(PLACE, offset)
    key = EvidenceSettings(signing_key=tmp_path_factory.mktemp("data") / "evidence.key")
    settings = HubSettings(redis=RedisSettings(url=SecretStr(embedded.redis_url)), evidence=key)
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    archive.close()


def got(client: TestClient, **parameters: str) -> dict[str, Any]:
    answer = client.get("/api/v1/levels", params={"place": PLACE, **parameters})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_seconds_have_explicit_gaps(client: TestClient) -> None:
    until = (NOON + timedelta(seconds=4)).isoformat()
    found = got(client, since=SINCE, until=until, resolution="second")
    assert found["laeq"] == [60.0, 60.0, None, None]
    assert found["seconds"] == [1, 1, 0, 0]
    assert (found["unit"], found["period_s"], found["start"]) == ("dB", 1, SINCE)
    assert (found["l10"], found["next"], found["left_out"]) == (None, None, 0)
    assert [one["id"] for one in found["calibrations"]] == ["c1"]
    assert [(one["offset_s"], one["boot"], one["since"]) for one in found["corrections"]] == [(7_200, "b", SINCE)]


def test_minutes_and_hours_have_statistics(client: TestClient) -> None:
    until = (NOON + timedelta(minutes=3)).isoformat()
    found = got(client, since=SINCE, until=until)
    assert (found["resolution"], found["seconds"]) == ("minute", [2, 60, 0])
    assert (found["laeq"], found["l10"], found["l90"]) == ([60.0, 60.0, None],) * 3
    assert got(client, since=SINCE, until=until, resolution="hour")["seconds"] == [62]


def test_levels_before_the_calibration_are_left_out_of_an_answer_in_db(client: TestClient) -> None:
    before = (NOON - timedelta(seconds=120)).isoformat()
    both = got(client, since=before, until=SINCE, resolution="second")
    assert (both["unit"], both["left_out"], both["calibrations"]) == ("dBFS", 0, [])
    mixed = got(client, since=before, until=(NOON + timedelta(seconds=2)).isoformat(), resolution="second")
    assert (mixed["unit"], mixed["left_out"], mixed["laeq"]) == ("dB", 62, [None] * 120 + [60.0, 60.0])


def test_the_same_as_csv(client: TestClient) -> None:
    parameters = {"place": PLACE, "since": SINCE, "until": (NOON + timedelta(minutes=3)).isoformat()}
    answer = client.get("/api/v1/levels", params=parameters, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["laeq"] for row in rows] == ["60.0", "60.0", ""]
    assert rows[0] == {
        "at": SINCE,
        "unit": "dB",
        "seconds": "2",
        **dict.fromkeys(("laeq", "lafmax", "lceq", "l10", "l50", "l90"), "60.0"),
    }


@pytest.mark.parametrize(
    ("since", "until", "rows", "following"),
    [
        ("1970-01-01T00:00:00Z", "9990-01-01T00:00:00Z", 366 * 24, "1971-01-02T00:00:00Z"),
        (SINCE, "2000-01-01T00:00:00Z", 0, None),
    ],
)
def test_any_interval_is_answered_in_parts(
    client: TestClient, since: str, until: str, rows: int, following: str | None
) -> None:
    found = got(client, since=since, until=until, resolution="hour")
    assert (len(found["seconds"]), found["next"]) == (rows, following)


def test_without_times_the_latest_levels_are_returned(client: TestClient) -> None:
    found = got(client, resolution="second")
    assert len(found["seconds"]) in {3_600, 3_601}
    assert datetime.fromisoformat(found["start"]) < datetime.now(UTC)


@pytest.mark.parametrize(
    ("parameters", "code", "detail"),
    [
        ({"place": "demo/missing"}, 404, "no sensor demo/missing"),
        ({}, 422, "place"),
        ({"place": PLACE, "resolution": "day"}, 422, "resolution"),
        ({"place": PLACE, "since": "noon"}, 422, "since"),
        ({"place": PLACE, "form": "csv"}, 422, "known are"),
    ],
)
def test_a_wrong_request_gets_the_reason(
    client: TestClient, parameters: dict[str, str], code: int, detail: str
) -> None:
    answer = client.get("/api/v1/levels", params=parameters)
    assert answer.status_code == code
    assert detail in answer.json()["detail"]


def test_the_page_of_a_day_hatches_gaps_and_draws_no_line_across_them(client: TestClient) -> None:
    day = f"{NOON:%Y-%m-%d}"
    page = client.get(f"/levels/{PLACE}", params={"day": day})
    assert page.status_code == 200, page.text
    assert "of each minute in dB; 1438 minutes without levels are hatched" in page.text
    assert page.text.count('<polyline class="laeq"') == page.text.count('<polyline class="lafmax"') == 1
    assert page.text.count('class="gap"') == 2
    assert "2 minutes in dBFS, before the first calibration, are not drawn" in page.text
    assert "clock was 2.0 h ahead: the hub corrected" in page.text.replace("&#39;", "'")
    assert f"since={day}T00:00:00Z&amp;until=" in page.text


def test_the_page_of_today_and_of_another_sensor(client: TestClient) -> None:
    assert client.get(f"/levels/{PLACE}").status_code == 200
    assert client.get("/levels/demo/missing").status_code == 404
    assert client.get(f"/levels/{PLACE}", params={"day": "9999-12-31"}).status_code == 422
    assert f'href="/levels/{PLACE}"' in client.get(f"/sensors/{PLACE}").text


BOUNDS = {"since": "2025-06-01T12:00:00Z", "until": "2025-06-01T13:00:00Z"}


def test_the_page_offers_the_evidence_report_of_its_span(client: TestClient, tmp_path: Path) -> None:
    page = client.get(f"/levels/{PLACE}", params={"span": "hour", "day": "2025-06-01", "hour": 12})
    assert f'action="/evidence/{PLACE}"' in page.text
    assert all(f'name="{name}" value="{value}"' in page.text for name, value in BOUNDS.items())
    assert "/evidence/" not in client.get(f"/levels/{PLACE}", params={"span": "year"}).text
    answer = client.get(f"/evidence/{PLACE}", params=BOUNDS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="evidence-demo-street-1-2025-06-01.zip"' in answer.headers["content-disposition"]
    (tmp_path / "report.zip").write_bytes(answer.content)
    assert verify(tmp_path / "report.zip").findings == ()


@pytest.mark.parametrize(
    ("path", "bounds", "code", "text"),
    [
        ("/evidence/demo/missing", BOUNDS, 404, "no sensor demo/missing"),
        ("/evidence/elsewhere", BOUNDS, 422, "no sensor of elsewhere"),
        (f"/evidence/{PLACE}", BOUNDS | {"until": "2025-07-14"}, 422, "at most 31 days"),
        (f"/evidence/{PLACE}", BOUNDS | {"since": "noon"}, 422, "no date or time"),
    ],
)
def test_a_wrong_request_for_evidence_gets_the_reason(
    client: TestClient, path: str, bounds: dict[str, str], code: int, text: str
) -> None:
    answer = client.get(path, params=bounds)
    assert answer.status_code == code
    assert text in answer.text


def test_evidence_reports_are_for_inspectors_and_in_the_audit_log() -> None:
    assert rule_of("GET", f"/evidence/{PLACE}") == rule_of("GET", "/evidence/demo") == EXPORT

"""Lists with filters, verdicts as each reader sees them, edits of sensors, tests of channels; no model, no broker."""

import csv
import io
import re
import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from hub.domain.accounts import Role
from hub.domain.sensor_map import SensorMap
from hub.runtime.embedded_servers import Servers
from hub.settings import HubSettings
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.settings import load_settings
from tests.accounts import accounts, bearer
from tests.fake_receivers import Answer, Receiver, receiving
from tests.sources import MONDAY, conclude, source_event

MAKE = Path(__file__).parents[3] / "docs" / "make_openapi.py"
PAGE = {"Accept": "text/html", "X-Earwitness": "test"}
ALERTS = [f"demo.s{n % 2 + 1}.boot.{n}" for n in range(1, 5)]
"""Events with an alert: 1 and 3 at demo/s2, 2 and 4 at demo/s1, each a day after the one before."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def site(
    embedded: Servers, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Role, TestClient]]:
    """Clients of each role of a hub with four alerts; all but the third have a verdict."""
    archive = EventStore(embedded.redis_url)
    archive.client.flushdb()
    for seq in range(1, 5):
        at = MONDAY + timedelta(days=seq)
        event = source_event(seq, 1, at, sensor=f"s{seq % 2 + 1}")
        quiet = source_event(seq, 1, at + timedelta(hours=5), sensor="s3", dog=0.1)
        (alert,) = conclude(archive, EpisodeStore(archive), SensorMap({}, 200.0, ZoneInfo("UTC")), [event])
        archive.add_many([quiet])
        archive.mark_processed([(event.id, alert), (quiet.id, None)])
    path = tmp_path_factory.mktemp("accounts") / "users.json"
    tokens = accounts(path)
    overrides = [f"redis.url={embedded.redis_url}", f"web.users_file={path}", "sites.timezone=Europe/Berlin"]
    config = path.with_name("hub.toml")
    config.write_text(f'[notify.webhooks.ops]\nurl = "{receiver.url}/hook"\nsecret = "{"s" * 32}"\n')
    app = runpy.run_path(str(MAKE))["app"](load_settings(HubSettings, config, overrides))
    clients = {
        role: TestClient(app, base_url="http://127.0.0.1:8080", headers={**bearer(token), "X-Earwitness": "t"})
        for role, token in tokens.items()
    }
    judge(clients["inspector"], 1, "same", "an ice-cream van")
    judge(clients["operator"], 2, "wrong-category", categories=["music"])
    judge(clients["inspector"], 4, "different")
    yield clients
    archive.close()


def judge(client: TestClient, seq: int, verdict: str, note: str = "", categories: list[str] | None = None) -> None:
    body = {"verdict": verdict, "note": note, "categories": categories or []}
    answer = client.post(f"/api/v1/alerts/{ALERTS[seq - 1]}/feedback", json=body)
    assert answer.status_code == 201, answer.text


def seqs(page: str) -> list[int]:
    """The events of a list, in its order."""
    return [
        int(found) for found in dict.fromkeys(re.findall(r"href=\"/(?:alerts|events)/demo\.s[123]\.boot\.(\d)", page))
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("place=demo/s2", [3, 1]),
        ("verdict=none", [3]),
        ("verdict=same", [1]),
        ("verdict=wrong-category", [2]),
        ("category=music", [2]),
        ("category=dog", [4, 3, 1]),
        ("severity=urgent", []),
        ("severity=notice&category=dog&place=demo/s1", [4]),
        ("min_laeq=60", [4, 3, 2, 1]),
        ("min_laeq=60.5", []),
        ("source=0123456789", []),
        ("since=2026-11-04T08:00&until=2026-11-05T08:00", [3, 2]),
        ("until=2026-11-04T07:59", [1]),
    ],
)
def test_every_list_of_alerts_takes_the_same_filters(
    site: dict[Role, TestClient], query: str, expected: list[int]
) -> None:
    client = site["inspector"]
    page = client.get(f"/alerts?{query}", headers=PAGE).text
    assert seqs(page) == expected
    link = re.search(r'href="(/api/v1/export/alerts\.csv[^"]*)"', page.partition("<footer")[0])
    assert link is not None
    export = client.get(link[1].replace("&amp;", "&"))
    assert export.status_code == 200, export.text
    assert [row["event"] for row in csv.DictReader(io.StringIO(export.text))] == [ALERTS[n - 1] for n in expected]
    answer = client.get(link[1].replace("&amp;", "&").replace("export/alerts.csv", "alerts"))
    assert [alert["event"] for alert in answer.json()["alerts"]] == [ALERTS[n - 1] for n in expected]
    by_alert = "severity" in query or "verdict" in query
    if by_alert or "category" in query:
        assert seqs(client.get(f"/events?{query}", headers=PAGE).text) == expected


def test_pages_of_a_list_keep_its_filters(site: dict[Role, TestClient]) -> None:
    client = site["viewer"]
    found = client.get("/api/v1/alerts?category=dog&limit=1").json()
    assert found["next"] is not None
    rest = client.get("/api/v1/alerts", params={"category": "dog", "limit": 5, "after": found["next"]}).json()
    assert [alert["event"] for alert in rest["alerts"]] == [ALERTS[2], ALERTS[0]]
    page = client.get("/events?since=2026-11-03T00:00&min_laeq=50", headers=PAGE).text
    assert 'value="2026-11-03T00:00"' in page
    assert 'name="min_laeq" type="number" step="any" min="-200" max="200" value="50"' in page


@pytest.mark.parametrize(
    "query", ["since=monday", "min_laeq=loud", "min_laeq=nan", "severity=x", "verdict=x", "source=x"]
)
def test_a_filter_that_cannot_be_read_is_refused_in_words(site: dict[Role, TestClient], query: str) -> None:
    name = query.partition("=")[0]
    for path in ("/alerts", "/events"):
        answer = site["viewer"].get(f"{path}?{query}", headers=PAGE)
        assert answer.status_code == 422
        assert name in answer.text


def test_events_are_filtered_by_place_and_not_by_site(site: dict[Role, TestClient]) -> None:
    answer = site["viewer"].get("/events?site=demo", headers=PAGE)
    assert (answer.status_code, "use `place`" in answer.text) == (422, True)


def test_a_corrected_alert_shows_what_the_hub_detected_beside_it(site: dict[Role, TestClient]) -> None:
    client = site["viewer"]
    alert = client.get(f"/api/v1/alerts/{ALERTS[1]}").json()
    assert (alert["categories"], alert["detected_categories"]) == (["music"], ["dog"])
    event = client.get(f"/api/v1/events/{ALERTS[1]}").json()
    assert event["corrected_categories"] == ["music"]
    for path in (f"/alerts/{ALERTS[1]}", f"/events/{ALERTS[1]}", "/alerts?category=music"):
        page = client.get(path, headers=PAGE).text
        assert "The hub detected dog; a verdict corrects it." in page
        assert re.search(r"<h[12][^>]*>(<a [^>]*>)?Music", page)
    episodes = client.get("/api/v1/episodes?category=music").json()["episodes"]
    assert [(one["alert"], one["category"], one["detected_category"]) for one in episodes] == [
        (ALERTS[1], "music", "dog")
    ]
    assert client.get(f"/api/v1/episodes/{episodes[0]['id']}").json()["category"] == "music"
    assert "demo/s1/music" in client.get("/patterns?category=music", headers=PAGE).text


def test_a_verdict_is_yours_only_to_you_and_its_note_is_shown_to_all(site: dict[Role, TestClient]) -> None:
    pages = {role: site[role].get(f"/alerts/{ALERTS[0]}", headers=PAGE).text for role in ("inspector", "viewer")}
    assert "Your verdict: <b>same</b>" in pages["inspector"]
    assert "Verdict of token:inspector: <b>same</b>" in pages["viewer"]
    assert all("an ice-cream van" in page for page in pages.values())
    assert "/verdict/withdraw" not in pages["viewer"]


def test_only_the_author_and_operators_withdraw_a_verdict(site: dict[Role, TestClient]) -> None:
    event = ALERTS[2]
    judge(site["operator"], 3, "ignore")
    (given,) = site["viewer"].get(f"/api/v1/alerts/{event}/feedback").json()["feedback"]
    path, body = f"/api/v1/alerts/{event}/feedback/withdraw", {"at": given["at"]}
    assert site["viewer"].post(path, json=body).status_code == 403
    refused = site["inspector"].post(path, json=body)
    assert (refused.status_code, "another person's" in refused.json()["detail"]) == (403, True)
    assert "/verdict/withdraw" not in site["inspector"].get(f"/alerts/{event}", headers=PAGE).text
    form = site["operator"].get(f"/alerts/{event}", headers=PAGE).text
    at = re.search(r'name="at" value="([^"]+)"', form)
    assert at is not None
    posted = site["operator"].post(f"/alerts/{event}/verdict/withdraw", data={"at": at[1]}, follow_redirects=False)
    assert posted.status_code == 303
    assert site["viewer"].get(f"/api/v1/alerts/{event}/feedback").json()["feedback"] == []
    (kept,) = site["viewer"].get(f"/api/v1/alerts/{event}/feedback?history=true").json()["feedback"]
    assert (kept["verdict"], kept["withdrawn_by"]) == ("ignore", "token:operator")
    assert site["operator"].post(path, json=body).status_code == 422, "withdrawn already"


def test_verdicts_are_listed_by_kind_place_and_time(site: dict[Role, TestClient]) -> None:
    for query, expected in (
        ("", {1, 2, 4}),
        ("verdict=same", {1}),
        ("category=music", {2}),
        ("place=demo/s1", {2, 4}),
        ("until=2026-01-01T00:00:00Z", set()),
    ):
        found = site["inspector"].get(f"/api/v1/feedback?{query}").json()["feedback"]
        assert {one["alert"] for one in found} == {ALERTS[n - 1] for n in expected}
        export = site["inspector"].get(f"/api/v1/export/feedback.csv?{query}").text
        assert len(export.splitlines()) == 1 + len(expected)


def test_an_operator_edits_a_sensor_on_its_page(site: dict[Role, TestClient]) -> None:
    form = {"title": "Market <square>", "description": "On a lamp post.\r\nKey at the office.", "muted": "true"}
    assert site["inspector"].post("/sensors/demo/s3/edits", data=form).status_code == 403
    assert "/sensors/demo/s3/edits" not in site["inspector"].get("/sensors/demo/s3", headers=PAGE).text
    assert site["operator"].post("/sensors/demo/s3/edits", data=form, follow_redirects=False).status_code == 303
    page = site["viewer"].get("/sensors/demo/s3", headers=PAGE).text
    assert "Market &lt;square&gt;" in page
    assert "On a lamp post.\nKey at the office." in page
    assert "Muted" in page
    for path in ("/sensors", "/alerts", "/events/demo.s3.boot.1"):
        assert "Market &lt;square&gt;" in site["viewer"].get(path, headers=PAGE).text
    changed = site["operator"].patch("/api/v1/sensors/demo/s3", json={"muted": False, "retired": True})
    assert changed.status_code == 200, changed.text
    sensors = {one["sensor"]: one for one in site["viewer"].get("/api/v1/sensors").json()["sensors"]}
    assert sensors["s3"] == changed.json()
    assert [sensors["s3"][name] for name in ("title", "muted", "retired")] == ["Market <square>", False, True]
    table = site["viewer"].get("/sensors", headers=PAGE).text
    assert "2 of 2 not online" in table
    entries = site["admin"].get("/audit?action=changed", headers=PAGE).text
    assert "POST /sensors/demo/s3/edits" in entries
    assert "PATCH /api/v1/sensors/demo/s3" in entries


@pytest.mark.parametrize(
    ("form", "expected"),
    [({"title": "x" * 61}, "title"), ({"title": "a\x00"}, "title"), ({"description": "x" * 1_001}, "description")],
)
def test_an_edit_that_is_too_long_or_unprintable_is_refused(
    site: dict[Role, TestClient], form: dict[str, str], expected: str
) -> None:
    answer = site["operator"].post("/sensors/demo/s2/edits", data=form)
    assert (answer.status_code, expected in answer.text) == (422, True)
    assert site["operator"].patch("/api/v1/sensors/demo/s2", json=form).status_code == 422
    assert site["operator"].patch("/api/v1/sensors/demo/none", json={"title": "x"}).status_code == 404


def test_an_operator_tests_a_notification_channel(site: dict[Role, TestClient], receiver: Receiver) -> None:
    path = "/settings/channels/ops/test"
    assert site["inspector"].post(path).status_code == 403
    assert f'action="{path}"' in site["operator"].get("/settings", headers=PAGE).text
    assert "ops (webhook) accepted the test alert." in site["operator"].post(path, headers=PAGE).text
    assert [b"TEST alert" in posted.body or b"test." in posted.body for posted in receiver.taken] == [True]
    receiver.answers.append(Answer(400, body=b"not today"))
    refused = site["operator"].post(path, headers=PAGE).text
    assert "ops did not accept the test alert: 127.0.0.1" in refused
    assert receiver.url not in refused
    assert site["operator"].post("/settings/channels/none/test").status_code == 422
    assert "POST /settings/channels/ops/test" in site["admin"].get("/audit?action=changed", headers=PAGE).text

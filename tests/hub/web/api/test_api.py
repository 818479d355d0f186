"""The API of a running hub with an archive: lists, one thing, searches, feedback, exports, the live stream."""

import csv
import io
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest

from shared.audio import encode_flac
from shared.events import EventId
from shared.synthetic_scene import mix_scene
from shared.taxonomy import CATEGORIES
from tests.running_hub import Demo, publish_event

pytestmark = pytest.mark.e2e

OURS = {"X-Earwitness": "test"}


@pytest.fixture(scope="module")
def api(web: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{web.url}/api/v1", timeout=30) as client:
        yield client


def got(api: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def everything(api: httpx.Client, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
    found, after = [], None
    while True:
        page = got(api, path, **params, **({"after": after} if after else {}))
        found += page[name]
        after = page["next"]
        if after is None:
            return found


def test_pages_of_events_hold_each_event_once_newest_first(api: httpx.Client, web: Demo) -> None:
    found = everything(api, "/events", "events", limit=97)
    assert len({event["id"] for event in found}) == len(found) == web.archive.count()
    times = [event["captured_at"] for event in found]
    assert times == sorted(times, reverse=True)


def test_events_of_one_instant_are_not_lost_between_pages(api: httpx.Client, web: Demo) -> None:
    newest = web.archive.events(limit=1)[0]
    twins = [replace(newest, id=EventId("twins", "twin", f"boot-{n}", n)) for n in range(40)]
    web.archive.add_many(twins)
    found = everything(api, "/events", "events", limit=7, place="twins/twin")
    assert sorted(event["id"] for event in found) == sorted(str(event.id) for event in twins)


@pytest.mark.parametrize("place", [None, "harbour/quay"])
@pytest.mark.parametrize("category", [None, "music"])
@pytest.mark.parametrize("min_laeq", [None, 60.0])
def test_filters_choose_what_a_naive_look_would(
    api: httpx.Client, place: str | None, category: str | None, min_laeq: float | None
) -> None:
    every = everything(api, "/events", "events", limit=500)
    since, until = every[len(every) // 2]["captured_at"], every[len(every) // 10]["captured_at"]
    expected = [
        event["id"]
        for event in every
        if (place is None or f"{event['site']}/{event['sensor']}" == place)
        and (category is None or event["presence"][category] >= 0.5)
        and (min_laeq is None or event["laeq"] >= min_laeq)
        and since <= event["captured_at"] <= until
    ]
    params = {"place": place, "category": category, "min_laeq": min_laeq, "since": since, "until": until}
    asked = {name: value for name, value in params.items() if value is not None}
    assert [event["id"] for event in everything(api, "/events", "events", limit=11, **asked)] == expected


def test_similar_events_are_listed_with_why_and_how_likely(api: httpx.Client) -> None:
    event = got(api, "/events", limit=1, category="powered-saw")["events"][0]
    matches = got(api, f"/events/{event['id']}/similar", k=5, category="powered-saw")["matches"]
    assert matches
    assert all(0 <= match["match_probability"] <= 1 for match in matches)
    assert all(before["rank"] >= after["rank"] for before, after in pairwise(matches))
    why = got(api, f"/events/{event['id']}/explanation", match=matches[0]["event"])
    assert [row["category"] for row in why["categories"]] == list(CATEGORIES)
    assert all(abs(row["both"] + row["neither"] + row["exactly_one"] - 1) < 1e-3 for row in why["categories"])
    assert max(why["attention"]) == pytest.approx(1.0)


def test_sound_is_served_in_ranges_where_it_was_kept_and_refused_with_the_reason_elsewhere(api: httpx.Client) -> None:
    every = everything(api, "/events", "events", limit=500)
    kept = next(event for event in every if event["audio"])
    whole = api.get(f"/events/{kept['id']}/audio")
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.content.startswith(b"fLaC")
    part = api.get(f"/events/{kept['id']}/audio", headers={"Range": "bytes=4-99"})
    assert part.status_code == 206
    assert part.content == whole.content[4:100]
    missing = next(event for event in every if not event["audio"])
    answer = api.get(f"/events/{missing['id']}/audio")
    assert answer.status_code == 404
    assert "not kept" in answer.json()["detail"]


def test_pictures_are_drawn_of_sound_and_of_numbers_and_need_not_be_sent_twice(api: httpx.Client) -> None:
    every = everything(api, "/events", "events", limit=500)
    for event in (next(e for e in every if e["audio"]), next(e for e in every if not e["audio"])):
        first = api.get(f"/events/{event['id']}/spectrogram.png")
        assert first.content.startswith(b"\x89PNG")
        again = api.get(f"/events/{event['id']}/spectrogram.png", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""


def test_episodes_are_listed_by_place_and_category(api: httpx.Client) -> None:
    every = everything(api, "/episodes", "episodes", limit=500)
    assert every
    assert [e["opened_at"] for e in every] == sorted((e["opened_at"] for e in every), reverse=True)
    one = every[0]
    place = f"{one['site']}/{one['sensor']}"
    for params in ({"place": place}, {"category": one["category"]}, {"place": place, "category": one["category"]}):
        expected = {
            e["id"]
            for e in every
            if f"{e['site']}/{e['sensor']}" == params.get("place", f"{e['site']}/{e['sensor']}")
            and e["category"] == params.get("category", e["category"])
        }
        assert {e["id"] for e in everything(api, "/episodes", "episodes", limit=9, **params)} == expected
    assert got(api, f"/episodes/{one['id']}") == one


def test_alerts_are_listed_and_filtered(api: httpx.Client) -> None:
    every = everything(api, "/alerts", "alerts", limit=3)
    assert len({alert["event"] for alert in every}) == len(every) > 3
    for name, value in (("site", "harbour"), ("severity", "recurring"), ("category", "music")):
        expected = [
            a["event"] for a in every if (a[name] == value if name != "category" else value in a["categories"])
        ]
        assert [a["event"] for a in everything(api, "/alerts", "alerts", limit=2, **{name: value})] == expected
    assert got(api, f"/alerts/{every[0]['event']}") == every[0]


def test_patterns_and_sensors_are_listed(api: httpx.Client) -> None:
    sensors = got(api, "/sensors")["sensors"]
    assert {f"{sensor['site']}/{sensor['sensor']}" for sensor in sensors} >= {"harbour/quay", "schanze/roof"}
    pattern = got(api, "/patterns/harbour/quay/music")
    assert pattern["times"] >= 3
    assert [len(row) for row in pattern["profile"]] == [24] * 7
    assert sum(pattern["calendar"].values()) > 0
    assert api.get("/patterns/harbour/nowhere/music").status_code == 404


def test_a_verdict_is_kept_and_moves_the_threshold(api: httpx.Client) -> None:
    alert = everything(api, "/alerts", "alerts", limit=50)[-1]
    stated = {"verdict": "different", "note": "=danger", "author": "Ada"}
    for match in [None, *(match["event"] for match in alert["matches"])]:
        answer = api.post(f"/alerts/{alert['event']}/feedback", json={**stated, "match": match}, headers=OURS)
        assert answer.status_code == 201, answer.text
    given = answer.json()
    assert given["verdict"]["author"] == "Ada"
    thresholds = {t["category"]: t for t in got(api, f"/sites/{alert['site']}/thresholds")["thresholds"]}
    own = thresholds[alert["categories"][0]]
    assert own["value"] == pytest.approx(given["threshold_after"])
    assert own["verdicts"] == 1 + len(alert["matches"])
    assert got(api, f"/alerts/{alert['event']}/feedback")["feedback"]
    listed = everything(api, "/feedback", "feedback", limit=2)
    assert {(v["alert"], v["match"]) for v in listed} >= {(alert["event"], None)}


def test_a_change_must_come_from_the_hubs_own_page_or_declare_itself(api: httpx.Client, web: Demo) -> None:
    alert = got(api, "/alerts", limit=1)["alerts"][0]["event"]
    path, body = f"/alerts/{alert}/feedback", {"verdict": "same"}
    assert api.post(path, json=body).status_code == 403
    assert api.post(path, json=body, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert api.post(path, json=body, headers={"Origin": "null"}).status_code == 403
    assert api.post(path, json=body, headers={"Origin": web.url}).status_code == 201


def test_a_search_by_recording_finds_what_is_like_it(api: httpx.Client, web: Demo) -> None:
    rng = np.random.default_rng(3)
    saw = mix_scene(["powered-saw"], rng, 22_050, 25.0).waveform
    upload = {"recording": ("saw.flac", encode_flac(saw, 22_050), "audio/flac")}
    answer = api.post("/search", files=upload, data={"k": "5", "category": "powered-saw"}, headers=OURS)
    assert answer.status_code == 200, answer.text
    matches = answer.json()["matches"]
    assert 0 < len(matches) <= 5
    assert {match["at_s"] for match in matches} <= {0.0, 10.0, 20.0}
    assert answer.json()["presence"]["powered-saw"] == max(answer.json()["presence"].values())
    page = httpx.post(f"{web.url}/search", files=upload, headers=OURS | {"Accept": "text/html"}, timeout=30).text
    assert 'src="data:image/png;base64,' in page
    assert "<span>Powered saw</span>" in page
    assert "recorded before" in page


def test_a_search_by_event_keeps_to_its_filters(api: httpx.Client) -> None:
    event = got(api, "/events", limit=1, category="music")["events"][0]["id"]
    asked = {"event": event, "filters": {"place": "harbour/quay"}, "k": 4}
    answer = api.post("/search", json=asked, headers=OURS)
    assert answer.status_code == 200, answer.text
    assert {f"{m['site']}/{m['sensor']}" for m in answer.json()["matches"]} == {"harbour/quay"}


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"no sound at all", 422, "no recording"),
        (b"", 422, "no recording"),
        (b"fLaC" + bytes(20 * 1024 * 1024), 413, "20 MB"),
        (b"x" * (21 * 1024 * 1024), 413, "20 MB"),
        (encode_flac(np.zeros(8_000 * 61, dtype=np.float32), 8_000), 422, "60 s"),
    ],
    ids=["garbage", "nothing", "just over", "far over", "too long"],
)
def test_uploads_that_are_no_recording_are_refused(api: httpx.Client, data: bytes, code: int, words: str) -> None:
    answer = api.post("/search", files={"recording": ("a.flac", data)}, headers=OURS)
    assert answer.status_code == code, answer.text
    assert words in answer.json()["detail"]


def test_exports_hold_everything_and_nothing_that_calculates(api: httpx.Client, web: Demo) -> None:
    events = list(csv.DictReader(io.StringIO(api.get("/export/events.csv").text, newline="")))
    assert len(events) == web.archive.count()
    assert float(events[0]["laeq"]) > -200
    lines = api.get("/export/alerts.jsonl").text.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [
        alert["event"] for alert in everything(api, "/alerts", "alerts", limit=50)
    ]
    alert = json.loads(lines[0])
    body = {"verdict": "same", "note": "=HYPERLINK(1)", "author": "@me"}
    assert api.post(f"/alerts/{alert['event']}/feedback", json=body, headers=OURS).status_code == 201
    stated = list(csv.DictReader(io.StringIO(api.get("/export/feedback.csv").text, newline="")))
    assert any(row["note"] == "'=HYPERLINK(1)" and row["author"] == "'@me" for row in stated)


def test_every_answer_carries_the_headers_that_keep_others_out(web: Demo) -> None:
    for path in ("/", "/api/v1/sensors", "/nothing", "/static/style.css", "/api/v1/events/nonsense"):
        headers = httpx.get(web.url + path, headers={"Accept": "text/html"}, timeout=30).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_errors_are_pages_for_people_and_json_for_programs(web: Demo) -> None:
    page = httpx.get(f"{web.url}/alerts/s.a.b.1", headers={"Accept": "text/html"}, timeout=30)
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text
    assert httpx.get(f"{web.url}/api/v1/alerts/s.a.b.1", timeout=30).json() == {"detail": "no alert s.a.b.1"}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
@pytest.mark.parametrize("path", ["/events", "/episodes", "/alerts", "/export/events.csv"])
def test_any_time_is_a_bound_of_a_list(api: httpx.Client, path: str, at: str) -> None:
    answer = api.get(path, params={"since": at})
    assert answer.status_code == 200
    if path == "/events":
        assert bool(answer.json()["events"]) == at.startswith("0001")


def news(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Server-sent events of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and fields:
            yield fields
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def test_the_stream_reports_what_happens_and_what_was_missed(api: httpx.Client, web: Demo) -> None:
    stored = web.archive.fetch([got(api, "/alerts", limit=1)["alerts"][0]["event"]])[0]
    features = [stored.features, stored.features]
    with api.stream("GET", "/stream") as stream:
        reported = news(stream.iter_lines())
        assert next(one for one in reported if "event" in one)["event"] == "hello"
        first = publish_event(web, "schanze/roof", features[0], 1)
        seen = []
        for one in reported:
            seen.append(one)
            if one.get("id"):
                break
        kinds = [one["event"] for one in seen]
        assert kinds[:2] == ["event", "sensor"]
        assert "episode" in kinds
        assert json.loads(seen[0]["data"])["id"] == first
    missed = publish_event(web, "schanze/roof", features[1], 2)
    with api.stream("GET", "/stream", headers={"Last-Event-ID": seen[-1]["id"]}) as stream:
        again = next(one for one in news(stream.iter_lines()) if one.get("event") == "event")
    assert json.loads(again["data"])["id"] == missed


def test_a_client_that_was_away_for_too_long_is_asked_to_load_again(api: httpx.Client) -> None:
    with api.stream("GET", "/stream", headers={"Last-Event-ID": "1-0"}) as stream:
        assert next(one for one in news(stream.iter_lines()) if "event" in one)["event"] == "reset"


def test_many_listen_at_once(api: httpx.Client, web: Demo) -> None:
    stored = web.archive.fetch([got(api, "/events", limit=1)["events"][0]["id"]])[0]
    barrier, counted = threading.Barrier(13), []

    def listen() -> None:
        with httpx.stream("GET", f"{web.url}/api/v1/stream", timeout=30) as stream:
            reported = news(stream.iter_lines())
            next(one for one in reported if one.get("event") == "hello")
            barrier.wait(20)
            counted.append(next(one for one in reported if one.get("event") == "event")["data"])

    threads = [threading.Thread(target=listen, daemon=True) for _ in range(12)]
    for thread in threads:
        thread.start()
    barrier.wait(20)
    name = publish_event(web, "schanze/roof", stored.features, 9)
    for thread in threads:
        thread.join(30)
    assert [json.loads(data)["id"] for data in counted] == [name] * 12


def test_health_lists_what_is_there(web: Demo) -> None:
    answer = httpx.get(f"{web.url}/healthz", timeout=30)
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert "retention" in answer.json()


def test_a_hub_ends_at_once_though_a_client_listens(web: Demo) -> None:
    with socket.create_connection(("127.0.0.1", web.hub.port), timeout=30) as listener:
        listener.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in listener.recv(200)
        web.hub.stop()
        while listener.recv(65_536):
            pass
    log = (web.hub.folder / "log").read_text()
    assert "Traceback" not in log, log[-3000:]
    web.hub.start()


def test_wrong_clocks_and_replays_are_marked_by_api_export_and_pages(api: httpx.Client, web: Demo) -> None:
    now = datetime.now(UTC)
    newest = replace(web.archive.events(limit=1)[0], clip="", captured_at=now, received_at=now)
    claimed = now + timedelta(hours=2)
    fast = replace(
        newest, id=EventId("clocks", "fast", "b", 0), claimed_at=claimed, clock="unsynchronised", rate_hz=48_000
    )
    old = replace(newest, id=EventId("clocks", "old", "b", 0), backfilled=True)
    web.archive.add_many([fast, old])
    reported = got(api, f"/events/{fast.id}")
    assert (reported["clock"], reported["backfilled"], reported["rate_hz"]) == ("unsynchronised", False, 48_000)
    assert datetime.fromisoformat(reported["claimed_at"]) - claimed < timedelta(milliseconds=1)
    assert [e["id"] for e in got(api, "/events", backfilled="true", place="clocks/old")["events"]] == [str(old.id)]
    assert [e["id"] for e in got(api, "/events", clock="unsynchronised")["events"]] == [str(fast.id)]
    assert str(old.id) not in {e["id"] for e in got(api, "/events", backfilled="false", limit=500)["events"]}
    rows = list(
        csv.DictReader(io.StringIO(api.get("/export/events.csv?backfilled=true&place=clocks/old").text, newline=""))
    )
    assert [(row["id"], row["backfilled"]) for row in rows] == [(str(old.id), "True")]
    (sensor,) = [one for one in got(api, "/sensors")["sensors"] if one["sensor"] == "fast"]
    assert sensor["clock_skew_s"] == pytest.approx(7_200, abs=1)
    pages = {
        path: httpx.get(f"{web.url}{path}", timeout=30).text
        for path in ("/sensors", f"/events/{fast.id}", f"/events/{old.id}")
    }
    assert "clock 2.0 h ahead" in pages["/sensors"]
    assert "The sensor's clock was wrong" in pages[f"/events/{fast.id}"]
    assert "A replay of an old recording" in pages[f"/events/{old.id}"]


def test_what_a_sensors_spool_shed_is_on_its_page_and_in_the_api(api: httpx.Client, web: Demo) -> None:
    sensors = {(one["site"], one["sensor"]): one for one in got(api, "/sensors")["sensors"]}
    shed = {"boot": "boot", "content": "sound", "reason": "full", "first_seq": 200, "last_seq": 211, "events": 12}
    assert sensors["harbour", "fish-hall"]["report"]["shed"] == [shed]
    assert sensors["harbour", "quay"]["report"]["shed"] == []
    page = httpx.get(f"{web.url}/sensors/harbour/fish-hall", timeout=30).text
    assert "audio of 12 events, 200 to 211 of this run: the spool was full" in page
    assert "5,431 events wait" in page
    assert "Shed by the spool" not in httpx.get(f"{web.url}/sensors/harbour/quay", timeout=30).text


def test_how_long_a_sensors_microphone_was_away_is_on_its_page_and_in_the_api(api: httpx.Client, web: Demo) -> None:
    gaps = {one["sensor"]: one["report"]["capture_gap_s"] for one in got(api, "/sensors")["sensors"] if one["report"]}
    assert (gaps["fish-hall"], gaps["quay"]) == (2_400.0, 0.0)
    assert "40 min since it started" in httpx.get(f"{web.url}/sensors/harbour/fish-hall", timeout=30).text
    assert "no gap since it started" in httpx.get(f"{web.url}/sensors/harbour/quay", timeout=30).text


def test_an_event_that_waited_in_a_spool_is_marked(api: httpx.Client, web: Demo) -> None:
    newest = web.archive.events(limit=1)[0]
    waited = replace(newest, id=EventId("clocks", "late", "b", 0), backlog=True)
    web.archive.add(waited)
    assert got(api, f"/events/{waited.id}")["backlog"] is True
    assert got(api, f"/events/{newest.id}")["backlog"] is False
    assert "waited in the sensor's spool" in httpx.get(f"{web.url}/events/{waited.id}", timeout=30).text

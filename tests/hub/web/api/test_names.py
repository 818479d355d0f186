"""Named sounds over the API of a running hub: given, listed, received live, changed, refused, removed."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from shared.synthetic_features import splice_clips
from tests.running_hub import Demo, publish_event
from tests.server_processes import eventually

pytestmark = pytest.mark.e2e

OURS = {"X-Earwitness": "test"}


@pytest.fixture
def api(web: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{web.url}/api/v1", timeout=30, headers=OURS) as client:
        yield client
        for one in client.get("/names").json()["names"]:
            client.delete(f"/names/{one['id']}")


@pytest.fixture(scope="module")
def example(web: Demo) -> dict[str, Any]:
    """The event with sound with the highest presence."""
    events = httpx.get(f"{web.url}/api/v1/events", params={"limit": 500}, timeout=30).json()["events"]
    return dict(max((e for e in events if e["audio"]), key=lambda e: max(e["presence"].values())))


def test_a_sound_is_named_changed_and_removed(api: httpx.Client, example: dict[str, Any]) -> None:
    given = api.post("/names", json={"name": " Bakery  saw ", "events": [example["id"]], "author": "Ada"})
    assert given.status_code == 422, "spaces around a name are refused, as the description states"
    given = api.post("/names", json={"name": "Bakery  saw", "events": [example["id"]], "author": "Ada"})
    assert given.status_code == 201
    made = given.json()
    assert (made["name"], made["site"], made["mode"], made["author"]) == (
        "Bakery saw",
        example["site"],
        "shown",
        "Ada",
    )
    assert (made["times"], made["clips"], made["last_detected_at"]) == (0, 0, None)
    (shown,) = made["examples"]
    assert {name: shown[name] for name in ("event", "laeq", "presence", "audio", "archived")} == {
        "event": example["id"],
        "laeq": example["laeq"],
        "presence": example["presence"],
        "audio": True,
        "archived": True,
    }
    assert api.get(f"/events/{example['id']}").json()["name"] == "Bakery saw"
    changed = api.patch(f"/names/{made['id']}", json={"mode": "watched", "threshold": 0.7, "severity": "urgent"})
    assert changed.status_code == 200
    assert changed.json() == made | {"mode": "watched", "threshold": 0.7, "severity": "urgent"}
    assert api.get(f"/names/{made['id']}").json() == changed.json()
    assert api.get("/names", params={"site": "elsewhere"}).json() == {"names": []}
    assert api.get("/names", params={"site": example["site"]}).json() == {"names": [changed.json()]}
    assert api.delete(f"/names/{made['id']}").status_code == 204
    assert api.get(f"/names/{made['id']}").status_code == 404
    assert api.get(f"/events/{example['id']}").json()["name"] is None


def test_the_sound_and_the_picture_of_an_example_are_served(api: httpx.Client, example: dict[str, Any]) -> None:
    made = api.post("/names", json={"name": "Bakery saw", "events": [example["id"]]}).json()
    base = f"/names/{made['id']}/examples/{example['id']}"
    assert api.get(f"{base}/audio").content == api.get(f"/events/{example['id']}/audio").content
    picture = api.get(f"{base}/spectrogram.png", params={"width": 100, "height": 50})
    assert picture.content.startswith(b"\x89PNG")
    assert api.get(f"/names/{made['id']}/examples/{example['site']}.x.y.1/audio").status_code == 404


def test_a_watched_sound_is_sent_live_and_a_muted_one_is_not(
    api: httpx.Client, web: Demo, example: dict[str, Any]
) -> None:
    known = web.archive.fetch([example["id"]])[0].features[None]
    new = {"name": "Bakery saw", "events": [example["id"]], "all_sites": True, "mode": "watched"}
    made = api.post("/names", json=new).json()
    first = publish_event(web, "twins/saw", splice_clips(known, 1, np.random.default_rng(1))[0], 1)
    eventually(lambda: api.get(f"/alerts/{first}").status_code == 200, 20, "its alert is there")
    alert = api.get(f"/alerts/{first}").json()
    assert (alert["name"], alert["name_id"], alert["watched"]) == ("Bakery saw", made["id"], True)
    assert alert["severity"] == "recurring"
    assert alert["name_probability"] >= 0.5
    assert api.get(f"/events/{first}").json()["name"] == "Bakery saw"
    api.patch(f"/names/{made['id']}", json={"mode": "muted"})
    second = publish_event(web, "twins/other", splice_clips(known, 1, np.random.default_rng(2))[0], 2)
    eventually(lambda: api.get(f"/names/{made['id']}").json()["clips"] == 2, 20, "the muted clip is counted")
    assert api.get(f"/alerts/{second}").status_code == 404
    now = api.get(f"/names/{made['id']}").json()
    assert (now["times"], now["last_place"], now["last_event"], now["last_alert"]) == (2, "twins/other", second, None)
    rows = csv.DictReader(io.StringIO(api.get("/export/events.csv", params={"place": "twins/other"}).text))
    assert [row["name"] for row in rows] == ["Bakery saw"]
    rows = csv.DictReader(io.StringIO(api.get("/export/alerts.csv", params={"place": "twins/saw"}).text))
    assert [row["name"] for row in rows] == ["Bakery saw"]


def test_what_cannot_be_named_is_refused_with_the_reason(api: httpx.Client, example: dict[str, Any]) -> None:
    api.post("/names", json={"name": "Bakery saw", "events": [example["id"]]})
    other = api.get("/events", params={"limit": 500}).json()["events"]
    elsewhere = next(event["id"] for event in other if event["site"] != example["site"])
    for wanted, code, reason in (
        ({"name": "bakery SAW", "events": [example["id"]]}, 409, "is the name of another sound"),
        ({"name": "x", "events": ["no.such.event.1"]}, 404, "no event no.such.event.1"),
        ({"name": "x", "events": []}, 422, "events"),
        ({"name": "x", "events": [f"a.b.c.{n}" for n in range(6)]}, 422, "events"),
        ({"name": "x" * 61, "events": [example["id"]]}, 422, "name"),
        ({"name": "bell\u0007", "events": [example["id"]]}, 422, "name"),
        ({"name": "x", "events": [example["id"]], "threshold": 1.5}, 422, "threshold"),
        ({"name": "x", "events": [example["id"], elsewhere]}, 422, "name it for all sites"),
    ):
        answer = api.post("/names", json=wanted)
        assert answer.status_code == code, answer.text
        assert reason in answer.json()["detail"]
    assert api.patch("/names/00000000", json={"mode": "muted"}).status_code == 404
    assert api.delete("/names/00000000").status_code == 404
    assert len(api.get("/names").json()["names"]) == 1


def test_only_the_hubs_own_page_and_programs_that_declare_themselves_may_change_names(
    web: Demo, example: dict[str, Any]
) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    new = {"name": "x", "events": [example["id"]]}
    assert httpx.post(f"{web.url}/api/v1/names", headers=elsewhere, json=new, timeout=30).status_code == 403
    assert httpx.post(f"{web.url}/names", headers=elsewhere, data={"name": "x"}, timeout=30).status_code == 403
    assert httpx.delete(f"{web.url}/api/v1/names/00000000", timeout=30).status_code == 403
    assert httpx.get(f"{web.url}/api/v1/names", timeout=30).json() == {"names": []}


def test_a_source_is_named_by_its_exemplars_and_kept(api: httpx.Client, web: Demo) -> None:
    eventually(lambda: bool(api.get("/sources").json()["sources"]), 60, "episodes of the history are filed")
    source = api.get("/sources").json()["sources"][0]
    exemplars = api.get(f"/sources/{source['id']}").json()["exemplars"]
    given = api.post(f"/sources/{source['id']}/name", json={"name": "Bakery fan", "mode": "muted"})
    assert given.status_code == 201, given.text
    made = given.json()
    assert (made["source"], made["site"], made["mode"]) == (source["id"], source["site"], "muted")
    assert {example["event"] for example in made["examples"]} >= set(exemplars[:1])
    assert 1 <= len(made["examples"]) <= 5
    assert "Bakery fan" in httpx.get(f"{web.url}/sources/{source['id']}", timeout=30).text
    kept = web.archive.client.sismember
    assert kept("ew:sources:kept", source["id"])
    api.delete(f"/names/{made['id']}")
    assert not kept("ew:sources:kept", source["id"])
    assert api.post("/sources/0123456789/name", json={"name": "Bakery fan"}).status_code == 404

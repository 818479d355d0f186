"""Sources of a running hub: listed, sent, joined and parted, by API, page and command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.store import keys
from shared.messages.alert import AlertMessage
from tests.running_hub import Demo
from tests.server_processes import eventually

pytestmark = pytest.mark.e2e

OURS = {"X-Earwitness": "test"}


@pytest.fixture(scope="module")
def client(web: Demo) -> Iterator[httpx.Client]:
    eventually(lambda: web.archive.client.zcard(keys.SOURCES_DUE) == 0, 60, "all episodes are filed")
    with httpx.Client(base_url=web.url, timeout=30) as opened:
        yield opened


def got(client: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def everything(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    found, after = [], None
    while True:
        page = got(client, "/sources", **params, **({"after": after} if after else {}))
        found += page["sources"]
        after = page["next"]
        if after is None:
            return found


def test_sources_come_in_pages_the_one_detected_last_first(client: httpx.Client) -> None:
    found = everything(client, limit=7)
    assert len(found) > 7
    assert len({one["id"] for one in found}) == len(found)
    assert [one["last_at"] for one in found] == sorted((one["last_at"] for one in found), reverse=True)
    site, category = found[0]["site"], found[0]["category"]
    assert {one["id"] for one in everything(client, limit=3, site=site, category=category)} == {
        one["id"] for one in found if (one["site"], one["category"]) == (site, category)
    }


def test_every_episode_is_of_one_source_of_its_site_and_category(client: httpx.Client) -> None:
    episodes = {one["id"]: one for one in got(client, "/episodes", limit=500)["episodes"]}
    of: dict[str, str] = {}
    for source in everything(client, limit=50):
        for episode in got(client, f"/sources/{source['id']}/episodes", limit=500)["episodes"]:
            assert episode["id"] not in of
            assert (episode["site"], episode["category"]) == (source["site"], source["category"])
            of[episode["id"]] = source["id"]
    assert set(of) >= set(episodes)


def test_a_source_reports_its_history_and_what_it_sounds_like(client: httpx.Client) -> None:
    often = max(everything(client, limit=50), key=lambda one: one["episodes"])
    found = got(client, f"/sources/{often['id']}")
    assert 1 <= found["days"] <= found["times"] <= found["episodes"] == often["episodes"]
    assert found["exemplars"]
    for event in found["exemplars"]:
        assert got(client, f"/events/{event}")["presence"][found["category"]] > 0.3
    assert len(found["profile"]) == 7
    assert client.get("/api/v1/sources/0123456789").status_code == 404
    assert client.get("/api/v1/sources/none").status_code == 422


def test_alerts_report_their_source(client: httpx.Client, web: Demo) -> None:
    alerts = web.archive.alerts.newest(limit=500)
    reported: list[AlertMessage] = [alert for alert in alerts if alert.source is not None]
    assert reported
    for alert in reported:
        assert alert.source is not None
        assert alert.source.new == (alert.source.times == 1)
    page = client.get(f"/alerts/{reported[0].event}").text
    assert reported[0].source is not None
    assert f"/sources/{reported[0].source.id}" in page


def test_pages_link_sources_and_their_episodes(client: httpx.Client) -> None:
    often = max(everything(client, limit=50), key=lambda one: one["episodes"])
    page = client.get(f"/sources/{often['id']}")
    assert page.status_code == 200
    episode = got(client, f"/sources/{often['id']}/episodes", limit=1)["episodes"][0]
    assert f"/events/{episode['peak_event']}" in page.text
    assert f"/sources/{often['id']}" in client.get(f"/events/{episode['peak_event']}").text
    pattern = client.get(f"/patterns/{episode['site']}/{episode['sensor']}/{episode['category']}")
    assert f"/sources/{often['id']}" in pattern.text
    listed = client.get("/sources", params={"category": often["category"], "site": often["site"]})
    assert f"/sources/{often['id']}" in listed.text
    assert client.get("/sources/none", headers={"Accept": "text/html"}).status_code == 404


def test_people_join_and_part_sources(client: httpx.Client, web: Demo, tmp_path: Path) -> None:
    by_kind: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in everything(client, limit=50):
        by_kind.setdefault((one["site"], one["category"], one["space"]), []).append(one)
    first, second = max(by_kind.values(), key=len)[:2]
    path = f"/api/v1/sources/{first['id']}"
    assert client.post(f"{path}/join", json={"source": second["id"]}).status_code == 403
    joined = client.post(f"{path}/join", json={"source": second["id"]}, headers=OURS).json()
    assert joined["episodes"] == first["episodes"] + second["episodes"]
    assert got(client, f"/sources/{second['id']}")["id"] == joined["id"]
    assert client.get(f"/sources/{first['id']}", follow_redirects=True).status_code == 200
    episode = got(client, f"/sources/{joined['id']}/episodes", limit=1)["episodes"][0]["id"]
    left = client.post(f"/api/v1/sources/{joined['id']}/leave", json={"episode": episode}, headers=OURS).json()
    assert left["id"] != joined["id"]
    assert joined["id"] in left["different"]
    again = client.post(f"/api/v1/sources/{joined['id']}/leave", json={"episode": episode}, headers=OURS)
    assert again.status_code == 404

    config = tmp_path / "hub.toml"
    config.write_text(f'[redis]\nurl = "{web.store.url}"\n')
    runner = CliRunner()
    shown = runner.invoke(app, ["sources", "show", left["id"], "--json", "--config", str(config)])
    assert json.loads(shown.stdout)["different"] == [joined["id"]]
    done = runner.invoke(app, ["sources", "join", left["id"], joined["id"], "--json", "--config", str(config)])
    assert json.loads(done.stdout)["source"] in {left["id"], joined["id"]}
    listed = runner.invoke(app, ["sources", "list", "--limit", "500", "--json", "--config", str(config)])
    assert {row["id"] for row in json.loads(listed.stdout)} == {one["id"] for one in everything(client, limit=50)}
    words = runner.invoke(app, ["sources", "show", "0123456789", "--config", str(config)])
    assert words.exit_code != 0
    assert "no source 0123456789" in words.output

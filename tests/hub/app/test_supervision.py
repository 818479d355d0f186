"""A hub goes on, and reports it, when threads meet unexpected errors, a disk fails or nothing is archived."""

import resource
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.server_processes import EdgeProcess, HubProcess, Rumqttd, Store, eventually, write_embeddings

pytestmark = pytest.mark.e2e

JUNK = b"\xff\xfe"


def health(hub: HubProcess, path: str = "") -> dict[str, Any]:
    return dict(httpx.get(f"http://127.0.0.1:{hub.port}/healthz{path}", timeout=30).json())


def code(hub: HubProcess, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{hub.port}/healthz{path}", timeout=30).status_code


def restarts(hub: HubProcess) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{hub.port}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.labels["worker"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "earwitness_hub_worker_restarts_total"
        }


def play(folder: Path, port: int, name: str, count: int, *settings: str) -> EdgeProcess:
    return EdgeProcess(
        folder / name,
        port,
        "sensor.site=test",
        f"sensor.name={name}",
        f"source.max_clips={count}",
        "source.speed=100",
        *settings,
    )


def embeddings(folder: Path, count: int) -> tuple[str, str]:
    return "source.kind=embeddings", f"source.path={write_embeddings(folder / 'played.npz', count)}"


@pytest.fixture
def hub(tmp_path: Path, broker: Rumqttd, store: Store) -> Iterator[HubProcess]:
    made = HubProcess(
        tmp_path / "hub",
        broker.port,
        store.url,
        "search.exclude_same_sensor_s=1",
        "alerts.default_threshold=0",
        "alerts.min_shared_probability=0.2",
        "monitoring.stalled_after_s=1",
        "homeassistant.discovery=true",
        "homeassistant.min_publish_interval_s=1",
        f"store.audio_dir={tmp_path / 'clips'}",
    )
    made.start()
    yield made
    made.stop()


def test_threads_that_meet_what_no_one_expected_go_on(
    tmp_path: Path, broker: Rumqttd, store: Store, hub: HubProcess
) -> None:
    """Junk in each of the store's streams and sets that a thread reads."""
    assert set(restarts(hub)) >= {
        *("alerts", "clips", "feed", "finish", "follow", "health", "heartbeat", "homeassistant", "intake"),
        *("learning", "recall", "retention", "snapshots", "dispatcher"),
    }
    assert sum(restarts(hub).values()) == 0
    client = redis.Redis.from_url(store.url, protocol=2)
    with httpx.stream("GET", f"http://127.0.0.1:{hub.port}/api/v1/stream", timeout=30) as stream:
        lines = stream.iter_lines()
        assert any("hello" in line for line in lines)
        client.xadd("ew:changes", {"added": JUNK})
        assert any(line == "event: reset" for line in lines), "listeners are asked to load again"
    client.xadd("ew:alerts:pending", {"event": JUNK})
    client.xadd("ew:alerts:pending", {"other": "7"})
    client.xadd("ew:out:mqtt", {"events": JUNK})
    client.sadd("ew:homeassistant:topics", JUNK)
    eventually(
        lambda: all(restarts(hub)[name] > 0 for name in ("follow", "feed", "homeassistant")), 30, "they failed"
    )
    assert health(hub)["live"]
    client.srem("ew:homeassistant:topics", JUNK)
    sensors = [play(tmp_path, broker.port, name, 30, *embeddings(tmp_path, 30)) for name in ("street", "yard")]
    assert [sensor.finish()["captured"] for sensor in sensors] == [30, 30]
    eventually(lambda: hub.metric("earwitness_hub_events_archived_total") == 60, 30, "all is archived")
    eventually(lambda: hub.metric("earwitness_hub_index_events") == 60, 30, "all can be found")
    alerts = hub.metric("earwitness_hub_alerts_total")
    assert alerts > 0
    eventually(lambda: hub.metric("earwitness_hub_alerts_published_total") == alerts, 30, "alerts are sent")
    eventually(
        lambda: b"homeassistant/device/earwitness_test_street/config" in client.smembers("ew:homeassistant:topics"),
        30,
        "Home Assistant is updated",
    )
    before = restarts(hub)
    with httpx.stream("GET", f"http://127.0.0.1:{hub.port}/api/v1/stream", timeout=30) as stream:
        lines = stream.iter_lines()
        assert any("hello" in line for line in lines)
        play(tmp_path, broker.port, "street-2", 1, *embeddings(tmp_path, 1)).finish()
        assert any(line == "event: event" for line in lines), "the feed sends what happens"
    assert restarts(hub) == before
    assert hub.ready()


def test_a_disk_that_takes_nothing_stops_neither_events_nor_alerts(
    tmp_path: Path, broker: Rumqttd, hub: HubProcess
) -> None:
    assert hub.process is not None
    assert hub.process.pid is not None
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (1_024, 1 << 40))
    sensors = [
        play(tmp_path, broker.port, "sound", 8, "source.kind=synthetic"),
        play(tmp_path, broker.port, "numbers-1", 30, *embeddings(tmp_path, 30)),
        play(tmp_path, broker.port, "numbers-2", 30, *embeddings(tmp_path, 30)),
    ]
    for sensor in sensors:
        sensor.finish()
    eventually(lambda: hub.metric("earwitness_hub_events_archived_total") == 68, 30, "all is archived")
    assert hub.metric("earwitness_hub_audio_file_failures_total") == 8
    assert hub.metric("earwitness_hub_alerts_total") > 0
    assert hub.ready()
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))
    play(tmp_path, broker.port, "sound-2", 2, "source.kind=synthetic").finish()
    eventually(lambda: len(list((tmp_path / "clips").rglob("*.flac"))) == 2, 30, "sound is kept again")


def test_a_hub_states_that_nothing_is_archived_though_events_arrive(
    tmp_path: Path, broker: Rumqttd, store: Store, hub: HubProcess
) -> None:
    client = redis.Redis.from_url(store.url, protocol=2)
    client.config_set("maxmemory", 1)
    sensor = play(tmp_path, broker.port, "street", 8, *embeddings(tmp_path, 8))
    eventually(lambda: "The hub archived no event for" in str(health(hub)["reasons"]), 30, "it states it")
    report = health(hub)
    assert (report["ok"], report["live"], report["store"], report["broker"]) == (False, True, True, True)
    assert any("its memory is full: raise `maxmemory`" in reason for reason in report["reasons"])
    assert "its memory is full: raise `maxmemory`" in (hub.folder / "log").read_text()
    assert (code(hub, ""), code(hub, "/ready"), code(hub, "/live")) == (503, 503, 200)
    assert hub.metric("earwitness_hub_ingest_stalled_seconds") > 1
    client.config_set("maxmemory", 0)
    sensor.finish()
    eventually(hub.ready, 30, "it is ready again")
    assert health(hub)["reasons"] == []
    eventually(lambda: hub.metric("earwitness_hub_events_archived_total") == 8, 30, "nothing is lost")


def test_a_hub_without_its_servers_lives_and_states_why_it_is_not_ready(
    broker: Rumqttd, store: Store, hub: HubProcess
) -> None:
    broker.kill()
    eventually(lambda: code(hub, "/ready") == 503, 30, "it is not ready")
    assert health(hub, "/ready")["reasons"] == [f"The hub is not connected to the broker at 127.0.0.1:{broker.port}."]
    store.kill()
    eventually(lambda: len(health(hub)["reasons"]) == 2, 30, "the store is missed too")
    assert "the store: " in health(hub)["reasons"][1]
    assert health(hub, "/live") == {"live": True, "reasons": []}

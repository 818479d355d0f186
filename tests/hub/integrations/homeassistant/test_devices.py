"""What Home Assistant finds on a real broker: devices and values, retained, right, and gone when they should be."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.mqtt.session import Connected, MqttSession, Received
from shared.taxonomy import CATEGORIES
from tests.homeassistant_schemas import DEVICE
from tests.server_processes import Broker, EdgeProcess, HubProcess, Mosquitto, Store, eventually, write_embeddings

pytestmark = pytest.mark.e2e

TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
HIGH = "homeassistant/device/earwitness_test_high/config"


class Watcher:
    """Sees what a subscriber sees: what is retained, and each change."""

    def __init__(self, broker: Broker, name: str, *, retained: bool) -> None:
        self.seen: dict[str, bytes] = {}
        self._retained = retained
        self._link = MqttSession(broker.settings.without_session(), name, on_signal=self._take)
        self._link.start()

    def _take(self, signal: object) -> None:
        if isinstance(signal, Connected):
            self._link.subscribe("#", qos=0)
        if isinstance(signal, Received) and (signal.retain or not self._retained):
            self.seen[signal.topic] = signal.payload

    def json(self, topic: str) -> Any:
        return json.loads(self.seen.get(topic) or b"null")

    def devices(self) -> list[str]:
        return [topic for topic, payload in self.seen.items() if TOPIC.fullmatch(topic) and payload]

    def stop(self) -> None:
        self._link.stop()


@pytest.fixture
def broker(mosquitto: Mosquitto) -> Broker:
    """Debian's: rumqttd publishes the will of a sensor that ended in order, and `lost` stays retained."""
    return mosquitto


@pytest.fixture
def watch(broker: Broker) -> Iterator[Callable[..., Watcher]]:
    """Subscribers that begin to look when they are asked for; at everything, or at what was retained by then."""
    watchers: list[Watcher] = []

    def begin(*, retained: bool = False) -> Watcher:
        watchers.append(Watcher(broker, f"watcher-{len(watchers)}", retained=retained))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher.stop()


@pytest.fixture
def start(tmp_path: Path, broker: Broker, store: Store) -> Iterator[Callable[..., HubProcess]]:
    hubs: list[HubProcess] = []

    def begin(name: str = "one", *settings: str) -> HubProcess:
        reported = (
            "homeassistant.discovery=true",
            "homeassistant.min_publish_interval_s=1",
            "homeassistant.expire_after_s=7200",
        )
        hub = HubProcess(
            tmp_path / name,
            broker.port,
            store.url,
            *reported,
            f"hub.name={name}",
            "alerts.default_threshold=0",
            "search.exclude_same_sensor_s=0",
            *settings,
        )
        hub.start()
        hubs.append(hub)
        return hub

    yield begin
    for hub in hubs:
        hub.stop()


def play(folder: Path, broker: Broker, name: str, count: int = 60) -> None:
    source = write_embeddings(folder / f"{name}.npz", count, seed=len(name))
    EdgeProcess(
        folder / name,
        broker.port,
        "sensor.site=test",
        f"sensor.name={name}",
        "source.kind=embeddings",
        f"source.path={source}",
        "source.speed=400",
        f"source.max_clips={count}",
    ).finish()


def play_both(folder: Path, broker: Broker) -> None:
    """One sensor after the other: clips of one episode are no matches of each other, so an alert needs both."""
    play(folder, broker, "deep", count=5)
    play(folder, broker, "high")


def whole(watcher: Watcher) -> bool:
    """Whether all of a sensor's state has been published."""
    kinds = ("level", "episode", "last-alert")
    return bool(watcher.seen.get(HIGH)) and all(watcher.seen.get(f"earwitness/v1/test/high/{kind}") for kind in kinds)


def test_devices_and_values_are_retained_and_outlive_a_restart(
    tmp_path: Path, broker: Broker, start: Callable[..., HubProcess], watch: Callable[..., Watcher]
) -> None:
    hub = start("one", "web.public_url=https://noise.example/")
    play_both(tmp_path, broker)
    first = watch()
    eventually(lambda: whole(first), 30, "all is sent")
    hub.stop()
    eventually(
        lambda: first.seen["earwitness/v1/hubs/one/online"] == b"offline", 20, "a hub that leaves publishes it"
    )
    hub.start()
    eventually(lambda: first.seen["earwitness/v1/hubs/one/online"] == b"online", 20, "it is back")
    late = watch(retained=True)
    eventually(lambda: whole(late), 20, "all is retained")
    device = late.json(HIGH)
    DEVICE.validate(device)
    assert device["device"]["configuration_url"] == "https://noise.example/sensors"
    entities = device["components"]
    assert set(entities) == {"connection", "level", "episode", "alert"}
    named = {
        entity[key]
        for entity in entities.values()
        for key in ("state_topic", "json_attributes_topic")
        if key in entity
    }
    named |= {one["topic"] for entity in entities.values() for one in entity.get("availability", [])}
    eventually(lambda: named <= set(late.seen), 20, "every topic that is named has something retained")
    assert entities["level"]["unit_of_measurement"] == "dBFS"
    level = late.json(entities["level"]["state_topic"])
    assert level["unit"] == "dBFS"
    assert (
        late.json(entities["episode"]["state_topic"])["category"]
        in entities["episode"]["options"]
        == list(CATEGORIES)
    )
    alert = late.json(entities["alert"]["state_topic"])
    assert datetime.fromisoformat(alert["captured_at"]).tzinfo is not None
    assert alert["page"] == f"https://noise.example/alerts/{alert['event']}"
    kept = hub.get(f"/api/v1/alerts/{alert['event']}")
    assert kept["severity"] == alert["severity"]
    assert late.json(entities["connection"]["state_topic"])["state"] == "disconnected", "the sensor has ended"


def test_a_dead_hub_is_offline_and_another_takes_over(
    tmp_path: Path, broker: Broker, start: Callable[..., HubProcess], watch: Callable[..., Watcher]
) -> None:
    hubs = {name: start(name) for name in ("one", "two")}
    play_both(tmp_path, broker)
    watcher = watch()
    eventually(lambda: whole(watcher), 30, "all is sent")

    def dispatcher() -> str:
        return str(watcher.json(HIGH)["components"]["alert"]["availability"][0]["topic"].split("/")[3])

    before = dispatcher()
    other = {"one": "two", "two": "one"}[before]
    assert watcher.seen.get(f"earwitness/v1/hubs/{other}/online") is None, "one of two publishes"
    hubs[before].kill()
    eventually(
        lambda: watcher.seen[f"earwitness/v1/hubs/{before}/online"] in {b"offline", b""}, 20, "the will is published"
    )
    eventually(lambda: dispatcher() == other, 30, "the other publishes")
    assert watcher.seen[f"earwitness/v1/hubs/{other}/online"] == b"online"


def test_a_sensor_that_is_gone_and_reporting_turned_off_leave_nothing_behind(
    tmp_path: Path,
    broker: Broker,
    store: Store,
    start: Callable[..., HubProcess],
    watch: Callable[..., Watcher],
) -> None:
    hub = start()
    play_both(tmp_path, broker)
    watcher = watch()
    eventually(lambda: whole(watcher) and len(watcher.devices()) == 2, 30, "both are published")
    redis.Redis.from_url(store.url).srem("ew:sensors", "test/deep")
    eventually(lambda: watcher.devices() == [HIGH], 20, "the device of a sensor that is gone is removed")
    eventually(lambda: not watcher.seen.get("earwitness/v1/test/deep/level"), 20, "and its values")
    hub.stop()
    start("one", "homeassistant.discovery=false")
    reported = re.compile(r"homeassistant/.*|.*/(level|episode|last-alert|online)")
    eventually(lambda: not any(reported.fullmatch(t) for t in watch_again(watch).seen), 20, "nothing is left")


def watch_again(watch: Callable[..., Watcher]) -> Watcher:
    """A new subscriber, once it has seen what is retained: the sensors' own states always are."""
    watcher = watch()
    eventually(lambda: any(topic.endswith("/state") for topic in watcher.seen), 20, "something is retained")
    return watcher

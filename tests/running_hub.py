"""A hub with the demo archive, as its own process, with a broker and a store."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from hub.settings import HubSettings
from hub.store import keys
from hub.store.events import EventStore
from shared.events import Embedding, Event, EventId, Levels
from shared.feature_space import EARWITNESS_SMALL, Features
from shared.messages.event import encode_event
from shared.mqtt.session import Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from shared.settings import load_settings
from tests.demo_archive import configuration, fill
from tests.server_processes import Broker, HubProcess, Rumqttd, Store, Valkey, eventually


class Configured(HubProcess):
    """A hub with a configuration file."""

    def __init__(self, folder: Path, mqtt_port: int, redis_url: str, config: Path, *settings: str) -> None:
        super().__init__(folder, mqtt_port, redis_url, *settings)
        self._config = config

    def command(self) -> list[str]:
        overrides = [part for setting in self.settings for part in ("--set", setting)]
        return [sys.executable, "-m", "hub", "serve", "--config", str(self._config), *overrides]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running hub and what it stands on."""

    hub: HubProcess
    broker: Broker
    store: Store

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub.port}"

    @property
    def archive(self) -> EventStore:
        return EventStore(self.store.url)


@contextmanager
def demo(folder: Path, count: int, days: int = 24) -> Iterator[Demo]:
    """A hub with a given number of events over a given number of days, for as long as the context lasts."""
    broker, store = Rumqttd(folder / "broker"), Valkey(folder / "store")
    broker.start()
    store.start()
    archive = EventStore(store.url)
    clips = folder / "clips"
    try:
        config = configuration(folder, clips)
        fill(load_settings(HubSettings, config, [f"redis.url={store.url}"]), count=count, days=days)
        hub = Configured(folder / "hub", broker.port, store.url, config)
        hub.start()
        eventually(
            lambda: archive.client.xlen(keys.ALERTS_PENDING) == 0,
            60,
            "the hub has completed the alerts of the history",
        )
        try:
            yield Demo(hub, broker, store)
        finally:
            hub.stop()
    finally:
        archive.close()
        store.stop()
        broker.stop()


def publish_event(demo_: Demo, place: str, features: Features, seq: int, boot: str = "live") -> str:
    """Send an event as a sensor does: its id."""
    site, _, sensor = place.partition("/")
    event = Event(
        id=EventId(site, sensor, boot, seq),
        captured_at=datetime.now(UTC),
        duration_s=10.0,
        rate_hz=16_000,
        levels=Levels(70.0, 80.0, "dB"),
        body=Embedding(EARWITNESS_SMALL.id, features),
    )
    send_event(demo_, event)
    return str(event.id)


def send_event(demo_: Demo, event: Event) -> None:
    """Send an event as its sensor does, and wait until it is archived."""
    link = MqttSession(demo_.broker.settings, f"sender-{event.id.sensor}-{event.id.boot}-{event.id.seq}")
    link.start()
    assert isinstance(link.signals.get(timeout=20), Connected)
    link.publish(
        str(SensorTopic(event.site, event.id.sensor, "event")), encode_event(event), content_type="application/cbor"
    )
    eventually(
        lambda: httpx.get(f"{demo_.url}/api/v1/events/{event.id}", timeout=30).status_code == 200,
        20,
        "it is archived",
    )
    link.stop()

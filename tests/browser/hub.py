"""A hub with the demo archive, as its own process, with Debian's broker and store."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from hub.archive import Archive
from hub.clips import Clips
from hub.opening import open_retrieval
from hub.settings import HubSettings
from shared.events import Embedding, Event, EventId, Levels
from shared.messages import encode_event
from shared.mqtt import Connected, Link
from shared.space import SMALL, Features
from shared.topics import SensorTopic
from tests.browser.demo import configuration, fill
from tests.processes import HubProcess, Mosquitto, Redis, eventually


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
    broker: Mosquitto
    store: Redis

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub.port}"

    @property
    def archive(self) -> Archive:
        return Archive(self.store.url)


@contextmanager
def demo(folder: Path, count: int, days: int = 24) -> Iterator[Demo]:
    """A hub with so many events over so many days, for as long as the context lasts."""
    broker, store = Mosquitto(folder / "mosquitto", persistent=False), Redis(folder / "redis")
    broker.start()
    store.start()
    archive = Archive(store.url)
    clips = folder / "clips"
    try:
        fill(archive, open_retrieval(HubSettings()), count=count, days=days, clips=Clips(clips))
        hub = Configured(folder / "hub", broker.port, store.url, configuration(folder, clips))
        hub.start()
        try:
            yield Demo(hub, broker, store)
        finally:
            hub.stop()
    finally:
        archive.close()
        store.stop()
        broker.stop()


def heard(demo_: Demo, place: str, features: Features, seq: int, boot: str = "live") -> str:
    """Send an event as a sensor does: its id."""
    site, _, sensor = place.partition("/")
    event = Event(
        id=EventId(site, sensor, boot, seq),
        captured_at=datetime.now(UTC),
        duration_s=10.0,
        rate_hz=16_000,
        levels=Levels(70.0, 80.0, "dB"),
        body=Embedding(SMALL.id, features),
    )
    link = Link(demo_.broker.settings, f"sender-{sensor}-{boot}-{seq}")
    link.start()
    assert isinstance(link.signals.get(timeout=10), Connected)
    link.publish(str(SensorTopic(site, sensor, "event")), encode_event(event), content_type="application/cbor")
    eventually(lambda: httpx.get(f"{demo_.url}/api/v1/events/{event.id}").status_code == 200, 20, "it is archived")
    link.stop()
    return str(event.id)

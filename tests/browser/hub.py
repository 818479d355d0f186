"""A hub with the demo archive, as its own process, with Debian's broker and store."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.archive import Archive
from hub.clips import Clips
from hub.opening import open_retrieval
from hub.settings import HubSettings
from tests.browser.demo import configuration, fill
from tests.processes import HubProcess, Mosquitto, Redis


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

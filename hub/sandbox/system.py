"""Start the demo's servers and its hub, wait until they are ready, and stop them."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from hub.runtime.embedded_servers import Servers, embedded_servers, free_port
from hub.sandbox.child_processes import Child, Interrupt, end, guarded, start, wait_until
from hub.sandbox.neighbourhood import POSITIONS
from hub.sandbox.terminal import machine_zone
from hub.settings import HubSettings
from hub.store import keys
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.settings import load_settings

HUB_READY_WITHIN_S: Final = 180.0
COMPLETED_WITHIN_S: Final = 30.0
STOPPED_WITHIN_S: Final = 30.0
HUB_AFTER_S: Final = 1.7
"""Seconds after Ctrl-C until the hub must have ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """A running hub.

    Attributes:
        process: the hub.
        web: URL of its page.
        settings: its settings.
        servers: broker and Redis.
        archive: its event store.
        console: console for all output.
        interrupt: ends the demo.
    """

    process: Child
    web: str
    settings: HubSettings
    servers: Servers
    archive: EventStore
    console: Console
    interrupt: Interrupt


@contextlib.contextmanager
def running_hub(folder: Path, interrupt: Interrupt, console: Console) -> Iterator[Demo]:
    """Start broker, Redis and a hub, and stop them at the end of the context."""
    console.print("starting broker, Redis and hub ...")
    config = folder / "hub.toml"
    config.write_text(configuration(folder / "clips"))
    with embedded_servers() as servers:
        port = free_port()
        overrides = [
            f"mqtt.port={servers.mqtt_port}",
            f"redis.url={servers.redis_url}",
            f"web.port={port}",
            "log.level=warning",
            "monitoring.heartbeat_interval_s=0",  # the embedded broker does not report a message without subscribers
        ]
        process = start("hub", "serve", overrides, ("--config", str(config)))
        settings = load_settings(HubSettings, config, overrides)
        try:
            with contextlib.closing(EventStore(servers.redis_url)) as archive, guarded(_store_pid(archive)):
                yield Demo(process, f"http://127.0.0.1:{port}", settings, servers, archive, console, interrupt)
        finally:
            end([process], STOPPED_WITHIN_S, interrupt, HUB_AFTER_S)


def _store_pid(archive: EventStore) -> int:
    return int(archive.client.info("server")["process_id"])


def configuration(clips: Path) -> str:
    """Return the settings file of the demo's hub: defaults, sensor positions, and the folder of audio files.

    Args:
        clips: folder for audio files.
    """
    positions = "\n".join(f'"{place}" = [{lat}, {lon}]' for place, (lat, lon) in POSITIONS.items())
    return (
        f"[store]\naudio_dir = {json.dumps(str(clips))}\n"
        '[features]\nspace = "earwitness-small"\n'
        f'[sites]\ntimezone = "{machine_zone().key}"\n'
        '[limits]\nexamples = ["nyc-24-218", "who-2018-road"]\n'
        f"[sites.sensor_positions]\n{positions}\n"
    )


def ready(demo: Demo) -> bool:
    """Wait until the hub answers and has completed the alerts of the history; False after an interrupt.

    Raises:
        UnavailableError: the hub ended, or took too long.
    """

    def answers() -> bool:
        if demo.process.poll() is not None:
            raise UnavailableError("the hub ended before it was ready; its log is above")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{demo.web}/healthz"):  # noqa: S310 - our own hub
            return True
        return False

    if not wait_until(answers, HUB_READY_WITHIN_S, demo.interrupt, 0.0) and not demo.interrupt.is_set():
        raise UnavailableError(f"the hub did not become ready within {HUB_READY_WITHIN_S:.0f} s; its log is above")
    wait_until(lambda: demo.archive.client.xlen(keys.ALERTS_PENDING) == 0, COMPLETED_WITHIN_S, demo.interrupt, 0.0)
    return not demo.interrupt.is_set()


def metric(web: str, name: str) -> float:
    """Return the sum of a metric of the hub over its labels."""
    with urllib.request.urlopen(f"{web}/metrics") as answer:  # noqa: S310 - our own loopback server
        text = answer.read().decode()
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)

"""Broker, Redis and hub as separate processes, and a filled archive, for the benchmarks of a whole hub."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hub.bench.synthetic_archive import SENSORS
from hub.domain.records import StoredEvent
from hub.model.checkpoint import default_checkpoint, load
from hub.runtime.embedded_servers import free_port
from hub.runtime.torch_threads import limit_torch_to_one_thread
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.events import Embedding, Event, EventId, Levels
from shared.feature_space import VGGISH, Features
from shared.synthetic_features import splice_clips
from shared.taxonomy import COUNT

_SITE: Final = "bench"
_START: Final = datetime.now(UTC) - timedelta(hours=20)
"""Events are recent, as those of a live network are, and none is in the future."""
_BATCH: Final = 1_000

ProgressFn = Callable[[str, float], None]
"""Called with (current step, share of it done in [0, 1])."""


def events_of(features: Features, boot: str = "bench", after: int = 0) -> Iterator[Event]:
    """Yield events of fifty sensors, ten seconds apart."""
    for number, clip in enumerate(features, start=after):
        yield Event(
            id=EventId(_SITE, f"sensor-{number % SENSORS}", boot, number // SENSORS),
            captured_at=_START + timedelta(seconds=10 * (number // SENSORS)),
            duration_s=10.0,
            rate_hz=16_000,
            levels=Levels(-40.0, -30.0),
            body=Embedding(VGGISH.id, clip),
            clock="synchronised",
        )


def prefill_store(
    store: EventStore, clips: Features, count: int, rng: np.random.Generator, progress: ProgressFn
) -> None:
    """Store `count` events made of real clips, as the hub does, dated 30 days before those of `events_of`."""
    retrieval = Retrieval([Scorer(load(default_checkpoint(VGGISH.id)))])
    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores, initializer=limit_torch_to_one_thread) as pool:
        for first in range(0, count, _BATCH):
            features = splice_clips(clips, min(_BATCH, count - first), rng)
            parts = pool.map(partial(retrieval.embed_all, VGGISH.id), np.array_split(features, cores))
            towers = np.concatenate(list(parts))
            store.add_many(
                [
                    StoredEvent(
                        id=event.id,
                        captured_at=event.captured_at - timedelta(days=30),
                        received_at=event.captured_at - timedelta(days=30),
                        duration_s=event.duration_s,
                        levels=event.levels,
                        space=VGGISH.id,
                        features=own,
                        presence=(0.0,) * COUNT,
                        towers=retrieval.embeddings_to_store(VGGISH.id, computed),
                    )
                    for event, own, computed in zip(
                        events_of(features, "before", first), features, towers, strict=True
                    )
                ]
            )
            progress("filling the archive", (first + len(features)) / count)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[int, str]]:
    """Run Mosquitto and Redis as separate processes; yield the broker's port and the address of Redis."""
    mqtt_port, redis_port = free_port(), free_port()
    config = folder / "mosquitto.conf"
    lines = (f"listener {mqtt_port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "user root")
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    store = ["--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with (
        _process([_program("mosquitto"), "-c", str(config)], folder / "mosquitto.log"),
        _process([_program("redis-server"), *store, "--appendonly", "yes"], folder / "redis.log"),
    ):
        url = f"redis://127.0.0.1:{redis_port}/0"
        wait_until(lambda: _answers(url), 20.0)
        yield mqtt_port, url


@contextlib.contextmanager
def hub_process(
    folder: Path, mqtt_port: int, url: str, extra: tuple[str, ...], progress: ProgressFn
) -> Iterator[int]:
    """Run `earwitness-hub serve` with these settings; yield its port once healthy; stop it by SIGTERM."""
    port = free_port()
    settings = (
        f"mqtt.port={mqtt_port}",
        f"redis.url={url}",
        f"web.port={port}",
        "log.format=json",
        "store.retention_days=36500",  # no event may expire while they are counted
        "notify.late_after_s=1e9",  # the hub must send alerts of older events
        *extra,
    )
    overrides = [part for setting in settings for part in ("--set", setting)]
    with _process([sys.executable, "-m", "hub", "serve", *overrides], folder / "hub.log") as process:

        def healthy() -> bool:
            if process.poll() is not None:
                log = (folder / "hub.log").read_text(encoding="utf-8", errors="replace")
                raise UnavailableError(f"the hub stopped during its start; the end of its log: {log[-2000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    return bool(json.load(answer)["ok"])
            except OSError:
                return False

        wait_until(healthy, 300.0, lambda: progress("starting the hub", 0.5))
        yield port


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=dict(os.environ))  # noqa: S603 - our own
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120.0)  # a hub writes its snapshot first
        except subprocess.TimeoutExpired:
            process.kill()


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise UnavailableError(f"{name} is not installed: apt-get install mosquitto redis-server")
    return found


def _answers(url: str) -> bool:
    try:
        store = EventStore(url)
        store.verify()
        store.close()
    except UnavailableError:
        return False
    return True


def wait_until(condition: Callable[[], bool], within_s: float, waiting: Callable[[], None] = lambda: None) -> None:
    """Wait for a condition.

    Raises:
        UnavailableError: it is not true within `within_s`.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise UnavailableError(f"a benchmark step took more than {within_s:.0f} s; the machine may be too busy")
        waiting()
        time.sleep(0.1)

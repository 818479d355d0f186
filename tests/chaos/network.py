"""A whole network whose parts can be killed: a broker, a store, two hubs, and sensors behind a line."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from hub.app.factory import build_retrieval
from hub.settings import HubSettings
from shared.feature_space import VGGISH
from tests.chaos.line import Line
from tests.server_processes import HubProcess, Mosquitto, Redis, Server

FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""The library that moves a process's clock; None where Debian's package `faketime` is not installed."""
SENSORS: Final = ("street-1", "street-2", "street-3", "street-4")
SITE: Final = "chaos"
STORE_BYTES: Final = 512 * 1024**2
HUB: Final = (
    "redis.timeout_s=1",
    "alerts.max_false_alerts_per_day=1000",
    "log.level=info",
    "monitoring.heartbeat_interval_s=5",
)


def write_street(path: Path, count: int, seed: int) -> Path:
    """Write an `.npz` of embeddings in which the shipped network finds something in every other run of clips."""
    rng = np.random.default_rng(seed)
    base = rng.normal(127, 60, (4_000, 1, VGGISH.dimension))
    made = np.clip(base + rng.normal(0, 8, (len(base), *VGGISH.shape)), 0, 255).astype(np.uint8)
    retrieval = build_retrieval(HubSettings())
    presence = np.array(retrieval.presence_all(VGGISH.id, retrieval.embed_all(VGGISH.id, made)))
    loud, quiet = np.flatnonzero(presence.max(axis=1) > 0.8), np.flatnonzero(presence.max(axis=1) < 0.3)
    rows: list[int] = []
    while len(rows) < count:
        rows += [int(rng.choice(loud[:40]))] * int(rng.integers(2, 6))
        rows += rng.choice(quiet, int(rng.integers(8, 20))).tolist()
    np.savez(path, embedding=made[rows[:count]])
    return path


class Clock:
    """The clock of some processes, which can be moved while they run.

    Without `FAKETIME` it cannot be moved.

    Args:
        file: contains the error of the clock; made here.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0)

    def move(self, seconds: int) -> None:
        """Have the processes' clock be so far ahead of the machine's; negative is behind."""
        self._file.write_text(f"{seconds:+d}s\n")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of a process that is to follow this clock; its monotonic clock stays true."""
        if FAKETIME is None:
            return {}
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class ChaosHub(HubProcess):
    """A hub with a clock of its own, started without waiting for it."""

    def __init__(self, folder: Path, name: str, broker: int, redis_url: str) -> None:
        super().__init__(folder, broker, redis_url, f"hub.name={name}", *HUB)
        self.clock = Clock(folder / "clock")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env={**os.environ, **self.clock.environment}
            )


class Sensor(Server):
    """A sensor that plays embeddings in a loop; its spool outlives it.

    Args:
        folder: of its spool and log.
        name: of the sensor.
        broker: port of the line.
        data: the `.npz` that it plays a part of.
        speed: how much faster than real time it plays.
        ends_s: monotonic time at which the stream it plays reaches the present.
    """

    def __init__(self, folder: Path, name: str, broker: int, data: Path, speed: float, ends_s: float) -> None:
        super().__init__(folder)
        self.name = name
        self.clock = Clock(folder / "clock")
        self.spool = folder / "spool.db"
        self._settings = (
            f"sensor.site={SITE}",
            f"sensor.name={name}",
            "sensor.report_interval_s=5",
            f"mqtt.port={broker}",
            "mqtt.max_reconnect_delay_s=2",
            "mqtt.keepalive_s=5",
            f"spool.path={self.spool}",
            "source.kind=embeddings",
            f"source.path={data}",
            "source.loop=true",
            f"source.speed={speed:g}",
            f"source.shard_index={SENSORS.index(name)}",
            f"source.shard_count={len(SENSORS)}",
        )
        self._speed, self._ends_s = speed, ends_s

    def command(self, *more: str) -> list[str]:
        left_s = max(0.0, self._ends_s - time.monotonic()) * self._speed
        start = datetime.now(UTC) - timedelta(seconds=left_s)
        settings = (*self._settings, f"source.start_time={start.isoformat()}", *more)
        flags = [part for setting in settings for part in ("--set", setting)]
        return [sys.executable, "-m", "edge", "run", "--json", *flags]

    def ready(self) -> bool:
        return self.spool.exists()

    def start(self, *more: str) -> None:
        with (self.folder / "log").open("ab") as log, (self.folder / "summary").open("ab") as summary:
            self.process = subprocess.Popen(
                self.command(*more), stdout=summary, stderr=log, env={**os.environ, **self.clock.environment}
            )

    def fill_disk(self) -> None:
        """Let no file of this sensor grow any more: writes fail as on a full disk."""
        assert self.process is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))

    def free_disk(self) -> None:
        """Let its files grow again."""
        assert self.process is not None
        if self.process.poll() is None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def captured(self) -> int:
        """How many events were ever put in its spool: the highest row that was given out."""
        with sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True) as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'clip'").fetchone()
        return 0 if row is None else int(row[0])

    def waiting(self) -> int:
        """How many events wait in its spool."""
        with sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COUNT(*) FROM clip WHERE acknowledged_at IS NULL").fetchone()[0])

    def finish(self, within_s: float) -> None:
        """Stop, then capture one clip more and end by itself once nothing waits in the spool."""
        self.kill(signal.SIGTERM)
        self.start("source.max_clips=1")
        assert self.process is not None
        self.process.wait(within_s)


class Network:
    """Broker, store, two hubs, four sensors and the line between sensors and broker.

    Args:
        folder: of all files and logs.
        minutes: how long sensors play.
        speed: how much faster than real time.
        seed: of what they play.
    """

    def __init__(self, folder: Path, minutes: float, speed: float, seed: int) -> None:
        self.broker = Mosquitto(folder / "broker")
        self.store = Redis(folder / "store", "--appendonly", "yes", "--maxmemory", str(STORE_BYTES))
        self.line = Line(self.broker.port)
        data = write_street(folder / "street.npz", 2_000, seed)
        ends_s = time.monotonic() + 60 * minutes
        self.hubs = [ChaosHub(folder / f"hub-{n}", f"hub-{n}", self.broker.port, self.store.url) for n in (1, 2)]
        self.sensors = [Sensor(folder / name, name, self.line.port, data, speed, ends_s) for name in SENSORS]

    def start(self) -> None:
        """Start everything, the sensors last."""
        self.broker.start()
        self.store.start()
        for hub in self.hubs:
            hub.start()
        for sensor in self.sensors:
            sensor.start()

    def stop(self) -> None:
        """Stop everything that runs."""
        for part in (*self.sensors, *self.hubs, self.broker, self.store):
            part.stop()
        self.line.stop()

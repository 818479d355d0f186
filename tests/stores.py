"""Stores that are not as a hub needs them: in cluster mode, replicas, behind TLS, old, or silent."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.fake_receivers import certificate
from tests.server_processes import Redis, Valkey


def ask(url: str, *words: str | int) -> Any:
    """Send one command to a store; its answer."""
    client: Any = redis.Redis.from_url(url, protocol=2)
    return client.execute_command(*words)


class ClusterNode(Valkey):
    """A Valkey in cluster mode that serves all slots; a second one that meets it serves none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--cluster-enabled", "yes")

    def serve_all(self) -> None:
        ask(self.url, "CLUSTER", "ADDSLOTSRANGE", 0, 16_383)

    def meet(self, other: "ClusterNode") -> None:
        ask(self.url, "CLUSTER", "MEET", "127.0.0.1", other.port)


class TlsRedis(Redis):
    """Debian's Redis that speaks TLS only; `ca` made its certificate."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ca, cert, key = certificate(folder)
        self.arguments = (
            *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-ca-cert-file", str(self.ca)),
        )
        self.url = f"rediss://127.0.0.1:{self.port}/0"

    def ready(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url, protocol=2, ssl_ca_certs=str(self.ca)).ping())
        except redis.RedisError:
            return False


@contextlib.contextmanager
def rewriting(port: int, pattern: bytes, replacement: bytes) -> Iterator[int]:
    """Serve a port that passes on to another one, and rewrites answers; both texts are equally long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port, re.compile(pattern), replacement), daemon=True).start()
        yield int(listener.getsockname()[1])


def _accept(listener: socket.socket, port: int, pattern: re.Pattern[bytes], replacement: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for args in ((client, server, None, b""), (server, client, pattern, replacement)):
            threading.Thread(target=_pass_on, args=args, daemon=True).start()


def _pass_on(
    source: socket.socket, target: socket.socket, pattern: re.Pattern[bytes] | None, replacement: bytes
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(pattern.sub(replacement, data) if pattern else data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Serve a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])

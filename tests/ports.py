"""Loopback ports for servers that a test starts, kills and starts again."""

import itertools
import os
import socket
from typing import Final

_BLOCK: Final = 1_400
_FIRST: Final = 10_000
"""Sixteen blocks of ports end below 32,768, where Linux begins to take ports for clients and for port 0."""
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
_numbers: Final = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """Return a loopback port that is free, and that nothing else takes before its server listens.

    Each process of a test run takes the ports of its own block in turn. No client's connection takes one of them.
    """
    for _ in range(_BLOCK):
        port = _FIRST + _WORKER * _BLOCK + next(_numbers) % _BLOCK
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError("no port of this process's block is free")

"""What the chaos run is made of: its faults, and the line that it cuts."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.line import Line
from tests.chaos.network import SENSORS, Network
from tests.chaos.run import faults_of
from tests.programs import program
from tests.server_processes import eventually

pytestmark = pytest.mark.faults


def test_every_part_can_be_killed_restarted_and_frozen_and_every_clock_moved(tmp_path: Path) -> None:
    program("faketime")
    network = Network(tmp_path, minutes=1, speed=75, seed=1)
    names = {fault.name for fault in faults_of(network)}
    network.line.stop()
    for part in ("broker", "store", "hub-1", "hub-2", *SENSORS):
        assert {f"kill {part}", f"restart {part}", f"freeze {part}"} <= names
    for sensor in SENSORS:
        assert {f"disk full {sensor}", f"clock {sensor} +86400 s", f"clock {sensor} -86400 s"} <= names
    assert {"cut line", "refuse line", "delay line", "half-open line", "store full"} <= names
    assert {"clock hub-1 +17280000 s", "clock hub-2 -86400 s"} <= names


@pytest.fixture
def line() -> Iterator[Line]:
    """A line to a server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        while True:
            try:
                end, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(end,), daemon=True).start()

    def answer(end: socket.socket) -> None:
        with end, contextlib.suppress(ConnectionResetError):
            while data := end.recv(100):
                end.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    made = Line(server.getsockname()[1])
    yield made
    made.stop()
    server.close()


def test_a_line_forwards_until_it_is_cut(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.port), timeout=5) as end:
        end.sendall(b"one")
        assert end.recv(10) == b"one"
        line.cut()
        assert end.recv(10) == b""


def test_a_half_open_line_keeps_connections_and_forwards_nothing(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.port), timeout=0.5) as end:
        line.half_open = True

        def answered() -> bool:
            end.sendall(b"x")
            try:
                return bool(end.recv(10))
            except TimeoutError:
                return False

        eventually(lambda: not answered(), 20, "nothing is forwarded")
        line.half_open = False
        eventually(answered, 20, "the same connection goes on")


def test_a_line_that_refuses_ends_new_connections_at_once(line: Line) -> None:
    line.refused = True
    with socket.create_connection(("127.0.0.1", line.port), timeout=5) as end:
        assert end.recv(10) == b""

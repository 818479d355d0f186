"""Reports to systemd's watchdog, at a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.service_manager import Watchdog

LIMIT_S = 30


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        yield channel


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(LIMIT_S * 10**6), **more}


def test_a_service_reports_three_times_within_the_limit(manager: socket.socket) -> None:
    watchdog = Watchdog(environment(manager), 1)
    reports = [second for second in range(LIMIT_S) if watchdog.report(1_000.0 + second)]
    assert reports == [0, 10, 20]
    assert [manager.recv(64) for _ in reports] == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"NOTIFY_SOCKET": "/run/none"},
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/run/none", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/run/none", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "2"},
    ],
)
def test_without_a_watchdog_for_this_process_nothing_is_reported(variables: dict[str, str]) -> None:
    watchdog = Watchdog(variables, 1)
    assert watchdog.interval_s is None
    assert not watchdog.report(0.0)


def test_a_socket_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"}, os.getpid())
    assert watchdog.interval_s is not None
    assert not watchdog.report(0.0)


def test_an_abstract_socket_is_reached(manager: socket.socket) -> None:
    name = f"earwitness-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(5)
        assert Watchdog(environment(manager) | {"NOTIFY_SOCKET": f"@{name}"}, 1).report(0.0)
        assert channel.recv(64) == b"WATCHDOG=1"

"""Whether this machine's clock is synchronised, as time services announce it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import clock
from edge.clock import clock_status


def kernel(error_us: int, code: int = 0) -> Callable[[Any], int]:
    """An `adjtimex` that states the largest error of the clock."""

    def adjtimex(reference: Any) -> int:
        reference._obj.maxerror = error_us
        return code

    return adjtimex


@pytest.mark.parametrize(
    ("adjtimex", "flag", "status"),
    [
        (kernel(100_000), False, "synchronised"),
        (kernel(16_000_000, code=5), False, "unknown"),
        (kernel(0, code=-1), False, "unknown"),
        (None, False, "unknown"),
        (None, True, "synchronised"),
    ],
)
def test_a_clock_that_a_time_service_keeps_is_synchronised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adjtimex: Callable[[Any], int] | None, flag: bool, status: str
) -> None:
    if flag:
        (tmp_path / "synchronized").touch()
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "_adjtimex", lambda: adjtimex)
    assert clock_status() == status


def test_the_machines_own_clock_can_be_read() -> None:
    assert clock_status() in {"synchronised", "unknown"}

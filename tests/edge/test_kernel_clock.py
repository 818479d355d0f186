"""What the kernel reports of its clock."""

import sys

import pytest

from edge.clock import clock_status
from edge.kernel_clock import UNSYNCHRONISED_US, kernel_clock_status, maximum_error_us

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has adjtimex")


def test_the_kernels_maximum_error_is_read_and_bounded_by_its_own_limit() -> None:
    error_us = maximum_error_us()
    assert error_us is not None
    assert 0 <= error_us <= UNSYNCHRONISED_US


@pytest.mark.parametrize(
    ("error_us", "status"),
    [(None, "unknown"), (0, "synchronised"), (15_999_999, "synchronised"), (16_000_000, "unsynchronised")],
)
def test_the_clock_is_synchronised_below_the_limit(
    error_us: int | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.kernel_clock.maximum_error_us", lambda: error_us)
    assert (kernel_clock_status(), clock_status()) == (status, status)

"""What `check` states of the machine."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.machine_check import judge_clock, judge_disk, judge_machine
from shared.errors import UnavailableError
from shared.messages.sensor import SensorHealth


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (SensorHealth(), "no health"),
        (SensorHealth(under_voltage=False, under_voltage_seen=False), "is sufficient"),
        (SensorHealth(under_voltage=False, under_voltage_seen=True), "was too low"),
        (SensorHealth(temperature_c=79.0), "79 degrees Celsius"),
        (SensorHealth(temperature_c=80.0), "ventilate"),
        (SensorHealth(memory_used=0.95), "stop other programs"),
    ],
)
def test_each_value_is_named_with_what_to_do(health: SensorHealth, words: str) -> None:
    assert words in judge_machine(health)


def test_a_supply_voltage_that_is_too_low_fails() -> None:
    with pytest.raises(UnavailableError, match="supply"):
        judge_machine(SensorHealth(under_voltage=True, under_voltage_seen=True))


def test_a_clock_that_was_never_set_fails_and_one_without_a_service_is_doubted() -> None:
    with pytest.raises(UnavailableError, match=r"never set: it is at 1970-01-01 .*timedatectl"):
        judge_clock("unknown", datetime(1970, 1, 1, tzinfo=UTC))
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert judge_clock("synchronised", now) == "2026-06-01 12:00 UTC, synchronised"
    assert "timedatectl set-ntp true" in judge_clock("unknown", now)


def test_the_free_space_of_the_spools_disk_is_stated(tmp_path: Path) -> None:
    assert "MB are free in" in judge_disk(tmp_path, 1)
    assert "less than spool.max_bytes" in judge_disk(tmp_path, 2**60)


@pytest.mark.parametrize(("free", "flag", "fault"), [(10, 0, "10 MB left"), (10_000, os.ST_RDONLY, "read-only")])
def test_a_disk_that_is_full_or_read_only_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, flag: int, fault: str
) -> None:
    stated = os.statvfs_result((1_000_000, 1_000_000, free, free, free, 0, 0, 0, flag, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: stated)
    with pytest.raises(UnavailableError, match=fault):
        judge_disk(tmp_path, 1)

"""The health of a machine, read from files as Linux writes them."""

from pathlib import Path

import pytest

from edge.system_health import FRESH_S, THROTTLED, SystemHealth
from shared.messages.sensor import SensorHealth
from tests.server_processes import eventually

MEMINFO = "MemTotal:        1000000 kB\nMemFree:          100000 kB\nMemAvailable:     750000 kB\n"


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def raspberry_pi(root: Path) -> None:
    write(root, "proc/meminfo", MEMINFO)
    write(root, "proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")
    write(root, "proc/uptime", "12345.67 40000.00\n")
    write(root, "sys/class/thermal/thermal_zone0/temp", "48312\n")
    write(root, "sys/class/thermal/thermal_zone1/temp", "61000\n")
    write(root, THROTTLED, "50000\n")


def test_a_raspberry_pi_reports_all_values(tmp_path: Path) -> None:
    raspberry_pi(tmp_path)
    health = SystemHealth(tmp_path / "spool.db", tmp_path)
    write(tmp_path, "proc/stat", "cpu  150 0 150 900 0 0 0 0 0 0\n")
    read = health.read()
    assert (read.temperature_c, read.memory_used, read.cpu_used, read.uptime_s) == (61.0, 0.25, 0.5, 12345.67)
    assert (read.under_voltage, read.under_voltage_seen) == (False, True)
    assert (read.disk_free_bytes or 0) > 0
    assert read.disk_used is not None


@pytest.mark.parametrize(
    ("throttled", "now", "seen"),
    [("0", False, False), ("1", True, False), ("50005", True, True), ("throttled=0x50000", False, True)],
)
def test_under_voltage_is_read_from_the_bits_of_the_firmware(
    tmp_path: Path, throttled: str, *, now: bool, seen: bool
) -> None:
    write(tmp_path, THROTTLED, throttled)
    read = SystemHealth(tmp_path / "spool.db", tmp_path).read()
    assert (read.under_voltage, read.under_voltage_seen) == (now, seen)


@pytest.mark.parametrize("content", [None, "", "garbage\n", "cpu x y\nMemTotal: many\n", "\xff\xfe"])
def test_what_a_platform_does_not_provide_is_unknown(tmp_path: Path, content: str | None) -> None:
    raspberry = tmp_path / "other"
    for path in ("proc/meminfo", "proc/stat", "proc/uptime", "sys/class/thermal/thermal_zone0/temp", THROTTLED):
        if content is not None:
            write(raspberry, path, content)
    read = SystemHealth(tmp_path / "spool.db", raspberry).read()
    known = {"disk_free_bytes", "disk_used", "clock"}
    assert {name for name, value in read.model_dump().items() if value is not None} <= known


def test_a_spool_without_a_folder_is_reported_with_the_disk_that_will_hold_it(tmp_path: Path) -> None:
    assert SystemHealth(tmp_path / "not" / "yet" / "spool.db", tmp_path).read().disk_free_bytes is not None


def test_a_reading_is_used_again_for_a_moment(tmp_path: Path) -> None:
    raspberry_pi(tmp_path)
    health = SystemHealth(tmp_path / "spool.db", tmp_path)
    first = health.read()
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "70000\n")
    assert health.read() is first
    eventually(lambda: health.read().temperature_c == 70.0, FRESH_S + 10, "it is read again")


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    read = SystemHealth(tmp_path / "spool.db").read()
    assert read.memory_used is not None
    assert SensorHealth.model_validate_json(read.model_dump_json()) == read

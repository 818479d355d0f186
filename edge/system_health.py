"""The health of this machine, read from /proc and /sys.

A file that the platform does not have leaves its value unknown. psutil is not needed: it does not read the supply
voltage, and reading these files takes 100 lines.

Source: proc(5); Linux, Documentation/driver-api/thermal/sysfs-api.rst; Raspberry Pi, "get_throttled" (bit 0:
under-voltage now, bit 16: under-voltage since the start).
"""

import contextlib
import shutil
import time
from pathlib import Path
from typing import Final

from edge.clock import clock_status
from shared.messages.sensor import SensorHealth

THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
_UNDER_VOLTAGE_NOW: Final = 1 << 0
_UNDER_VOLTAGE_SEEN: Final = 1 << 16
FRESH_S: Final = 1.0
"""A reading is used again for this many seconds, so that the share of CPU time covers at least that."""


class SystemHealth:
    """The health of a machine; safe to read from several threads.

    Args:
        spool: file whose disk is reported.
        root: folder with `proc` and `sys`.
    """

    def __init__(self, spool: Path, root: Path = Path("/")) -> None:
        self._spool = spool
        self._root = root
        self._cpu = _cpu_times(self._text("proc/stat"))
        self._last: tuple[float, SensorHealth] | None = None

    def read(self) -> SensorHealth:
        """Return the current health; the share of CPU time is that since the reading before."""
        now_s = time.monotonic()
        if self._last is not None and now_s - self._last[0] < FRESH_S:
            return self._last[1]
        before, self._cpu = self._cpu, _cpu_times(self._text("proc/stat"))
        throttled = _throttled(self._text(THROTTLED))
        free, used = self._disk()
        health = SensorHealth(
            temperature_c=self._temperature(),
            disk_free_bytes=free,
            disk_used=used,
            memory_used=_memory_used(self._text("proc/meminfo")),
            cpu_used=_cpu_used(before, self._cpu),
            under_voltage=None if throttled is None else bool(throttled & _UNDER_VOLTAGE_NOW),
            under_voltage_seen=None if throttled is None else bool(throttled & _UNDER_VOLTAGE_SEEN),
            uptime_s=_first_number(self._text("proc/uptime")),
            clock=clock_status(),
        )
        self._last = (now_s, health)
        return health

    def _text(self, path: str) -> str:
        """Return the content of a file below the root; empty if there is none."""
        try:
            return (self._root / path).read_text(encoding="ascii", errors="replace")[:65_536]
        except OSError:
            return ""

    def _temperature(self) -> float | None:
        """Return the highest temperature of a thermal zone in degrees Celsius."""
        zones = sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp"))
        readings = [_first_number(self._text(str(zone.relative_to(self._root)))) for zone in zones]
        degrees = [value / 1_000 for value in readings if value is not None]
        return max((value for value in degrees if -100 <= value <= 200), default=None)

    def _disk(self) -> tuple[int | None, float | None]:
        """Return the free bytes and the used share of the spool's disk."""
        for folder in self._spool.absolute().parents:
            with contextlib.suppress(OSError):
                usage = shutil.disk_usage(folder)
                return usage.free, 1.0 - usage.free / usage.total if usage.total else None
        return None, None


def _first_number(text: str) -> float | None:
    try:
        return float(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def _throttled(text: str) -> int | None:
    try:
        return int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def _memory_used(text: str) -> float | None:
    """Return the share of memory that is not available. Source: proc(5), MemAvailable."""
    rows = {name: _first_number(value) for name, _, value in (line.partition(":") for line in text.splitlines())}
    total, available = rows.get("MemTotal"), rows.get("MemAvailable")
    return None if not total or available is None else _share(1.0 - available / total)


def _cpu_times(text: str) -> tuple[float, float] | None:
    """Return the idle and the total CPU time of all cores, in ticks. Source: proc(5), /proc/stat."""
    fields = text.partition("\n")[0].split()
    try:
        ticks = [float(value) for value in fields[1:9]]
    except ValueError:
        return None
    return (ticks[3] + ticks[4], sum(ticks)) if fields[:1] == ["cpu"] and len(ticks) >= 5 else None


def _cpu_used(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return _share(1.0 - (after[0] - before[0]) / (after[1] - before[1]))


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))

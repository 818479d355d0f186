"""Check the machine for `earwitness-edge check`: supply voltage, temperature, memory, clock and disk."""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from edge.clock import PLAUSIBLE_FROM
from edge.commands.self_test import HOT_C, LEAST_DISK_MB
from shared.errors import UnavailableError
from shared.events import ClockStatus
from shared.messages.sensor import SensorHealth

FULL_MEMORY: Final = 0.9


def judge_machine(health: SensorHealth) -> str:
    """Return the state of the machine as text, with what to do about doubts.

    Args:
        health: health of the machine; unknown values are left out.

    Raises:
        UnavailableError: the supply voltage is too low now.
    """
    if health.under_voltage:
        raise UnavailableError("the supply voltage is too low: use the board's own supply, or a shorter cable")
    words = []
    if health.under_voltage is not None:
        low = "was too low since the start: use the board's own supply, or a shorter cable"
        words.append(f"the supply voltage {low if health.under_voltage_seen else 'is sufficient'}")
    if health.temperature_c is not None:
        hot = "; the board slows down: shade or ventilate it" if health.temperature_c >= HOT_C else ""
        words.append(f"{health.temperature_c:.0f} degrees Celsius{hot}")
    if health.memory_used is not None:
        full = "; stop other programs" if health.memory_used >= FULL_MEMORY else ""
        words.append(f"{health.memory_used:.0%} of memory is used{full}")
    return "; ".join(words) or "the platform reports no health"


def judge_clock(status: ClockStatus, now: datetime) -> str:
    """Return the state of the clock as text, with what to do about doubts.

    Args:
        status: whether the clock is synchronised.
        now: its time, UTC.

    Raises:
        UnavailableError: it was never set.
    """
    fix = "start systemd-timesyncd (`timedatectl set-ntp true`), chrony or ntpd, and let it reach a time server"
    if now < PLAUSIBLE_FROM:
        raise UnavailableError(f"the clock was never set: it is at {now:%Y-%m-%d %H:%M} UTC; {fix}")
    if status != "synchronised":
        return f"{now:%Y-%m-%d %H:%M} UTC, which stamps events, may be wrong: no time service reports it; {fix}"
    return f"{now:%Y-%m-%d %H:%M} UTC, synchronised"


def judge_disk(folder: Path, max_bytes: int) -> str:
    """Return the free space of the spool's disk as text.

    Args:
        folder: a folder of the disk.
        max_bytes: limit of the spool.

    Raises:
        UnavailableError: it is read-only or nearly full.
    """
    disk = os.statvfs(folder)
    free = disk.f_frsize * disk.f_bavail
    if disk.f_flag & os.ST_RDONLY:
        raise UnavailableError(
            f"the disk of {folder} is read-only: `dmesg` names its fault; replace the card or mount it"
        )
    if free < LEAST_DISK_MB * 1e6:
        raise UnavailableError(
            f"the disk of {folder} has {free / 1e6:,.0f} MB left: remove files, or set spool.path to another disk"
        )
    words = f"{free / 1e6:,.0f} MB are free in {folder}"
    if free < max_bytes:
        words += f", less than spool.max_bytes ({max_bytes / 1e6:,.0f} MB): lower it, or remove files"
    return words

"""Judge a running sensor by its own report. This module does no I/O."""

from collections.abc import Iterator
from typing import Final

from shared.commands import SelfTestFinding
from shared.messages.sensor import SensorHealth, StateMessage

HOT_C: Final = 80.0
"""A Raspberry Pi reduces its clock rate from this temperature on. Source: Raspberry Pi documentation, "Frequency
management and thermal control"."""
LEAST_DISK_MB: Final = 100.0
FULL_SPOOL: Final = 0.8
"""Share of the spool above which the self-test warns."""


def self_test(state: StateMessage) -> list[SelfTestFinding]:
    """Return the findings of a self-test.

    Args:
        state: state message of the running sensor, with its report.
    """
    report = state.report
    if report is None:
        return []
    findings = [
        _finding("source", not report.source_failure, report.source_failure or f"{state.source} delivers clips"),
        _finding(
            "spool",
            report.spool < FULL_SPOOL and not report.spool_lost,
            f"{report.waiting} events wait, {report.spool:.0%} of the spool is used, {report.dropped} clips were"
            f" dropped, {report.spool_lost} events were lost in a damaged file",
        ),
        _finding(
            "broker",
            not report.taken_over and not report.set_aside,
            f"connected; another client took over the session {report.taken_over} times;"
            f" {report.set_aside} events are set aside because the broker cannot take them",
        ),
    ]
    if (health := report.health) is not None:
        findings += _machine(health)
    if report.certificate_end is not None:
        left = report.certificate_end - report.at
        findings.append(_finding("certificate", left.days >= 30, f"it expires on {report.certificate_end:%Y-%m-%d}"))
    return findings


def _machine(health: SensorHealth) -> Iterator[SelfTestFinding]:
    """Yield the findings about the machine; one that the platform does not provide is left out."""
    if health.clock is not None:
        yield _finding("clock", health.clock == "synchronised", f"the clock is {health.clock}")
    if health.disk_free_bytes is not None:
        free_mb = health.disk_free_bytes / 1e6
        yield _finding("disk", free_mb > LEAST_DISK_MB, f"{free_mb:,.0f} MB are free on the disk of the spool")
    if health.temperature_c is not None:
        yield _finding("temperature", health.temperature_c < HOT_C, f"{health.temperature_c:.0f} degrees Celsius")
    if health.under_voltage is not None:
        low = health.under_voltage or health.under_voltage_seen
        text = "the supply voltage is or was too low: use a stronger supply or a shorter cable"
        yield _finding("power", not low, text if low else "the supply voltage is sufficient")


def _finding(what: str, ok: object, text: str) -> SelfTestFinding:
    return SelfTestFinding(what=what, ok=bool(ok), text=text[:500])

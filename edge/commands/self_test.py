"""Judge a running sensor by its own report. This module does no I/O."""

from typing import Final

from shared.commands import SelfTestFinding
from shared.messages import StateMessage

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
    if report.certificate_end is not None:
        left = report.certificate_end - report.at
        findings.append(_finding("certificate", left.days >= 30, f"it expires on {report.certificate_end:%Y-%m-%d}"))
    return findings


def _finding(what: str, ok: object, text: str) -> SelfTestFinding:
    return SelfTestFinding(what=what, ok=bool(ok), text=text[:500])

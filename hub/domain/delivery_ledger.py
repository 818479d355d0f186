"""The delivery ledger of a sensor: its states and counters over time, as its messages reported them. No I/O.

A row is written when the run, the state, the source or the clock of the sensor changes, and at most once an hour when
only its counters change. So `since_ms` to `at_ms` is the time in which a change came about.
"""

from dataclasses import dataclass, replace
from typing import Final

from shared.messages.sensor import StateMessage

HOLD_MS: Final = 3_600_000
"""Least time between two rows of which only counters differ."""
CLOCK_OFF_S: Final = 60.0
"""Offset above which a clock counts as wrong; the measurement is exact to about a second."""

Shed = tuple[str, str, str, int, int, int]
"""Boot, content, reason, first and last number and number of events of what a spool shed."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What a sensor reported at a time.

    Attributes:
        at_ms: when the message came to the broker, ms since 1970 UTC.
        since_ms: when the last message before it came that showed no change.
        state: `ready`, `disconnected` or `lost`.
        boot: id of the run.
        software: program and version.
        form: payload format of its events; `levels` if it sends none.
        started_ms: when the run began, by the clock of the sensor.
        first_seq: first number of the run; None before the first event.
        last_seq: latest number of the run.
        previous_boot: run before it; "" if the sensor does not know it.
        previous_seq: latest number of that run.
        waiting: events that waited in its spool.
        capture_gap_s: time of the run without sound, in seconds.
        failure: why its source delivers nothing; "" while it delivers.
        dropped: clips of the run that the full or failed spool did not take.
        over_budget: clips of the run whose sound or embedding the bandwidth budget left out.
        spool_lost: events of the run that a damaged spool lost.
        set_aside: events in its spool that the broker cannot take.
        skew_s: how far its clock was ahead, in seconds; None if it was not measured.
        shed: what its spool shed, by ranges of numbers.
    """

    at_ms: int
    since_ms: int
    state: str
    boot: str
    software: str = ""
    form: str = ""
    started_ms: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    previous_boot: str = ""
    previous_seq: int | None = None
    waiting: int = 0
    capture_gap_s: float = 0.0
    failure: str = ""
    dropped: int = 0
    over_budget: int = 0
    spool_lost: int = 0
    set_aside: int = 0
    skew_s: float | None = None
    shed: tuple[Shed, ...] = ()

    @property
    def clock_is_off(self) -> bool:
        """Return whether the clock was measured to be wrong."""
        return self.skew_s is not None and abs(self.skew_s) > CLOCK_OFF_S

    @property
    def condition(self) -> tuple[object, ...]:
        """Return what makes a new row at once when it changes."""
        return self.boot, self.state, self.software, self.form, self.failure, self.clock_is_off

    @property
    def counters(self) -> tuple[object, ...]:
        """Return what makes a new row once an hour when it changes."""
        return self.capture_gap_s, self.dropped, self.over_budget, self.spool_lost, self.set_aside, self.shed


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The end of a ledger.

    Attributes:
        row: what the latest message reported.
        written: the row that was written last.
    """

    row: LedgerRow
    written: LedgerRow


def row_of(state: StateMessage, at_ms: int, skew_s: float | None, known: LedgerRow | None) -> LedgerRow:
    """Return the row of a state message; of one without a report, what the run reported before stays.

    Args:
        state: as announced.
        at_ms: when it came to the broker, ms since 1970 UTC.
        skew_s: how far the clock of the sensor was ahead, in seconds; None if it was not measured.
        known: the row of the message before.
    """
    report = state.report
    fresh = LedgerRow(at_ms, at_ms, state.state, state.boot, state.software, state.payload_format, _ms(state))
    if report is None:
        if known is None or known.boot != state.boot:
            return fresh
        return replace(
            known, at_ms=at_ms, since_ms=at_ms, state=fresh.state, software=fresh.software, form=fresh.form
        )
    return replace(
        fresh,
        first_seq=report.first_seq,
        last_seq=report.highest_seq,
        previous_boot=report.previous_boot or "",
        previous_seq=report.previous_seq,
        waiting=report.waiting,
        capture_gap_s=report.capture_gap_s or 0.0,
        failure=report.source_failure or "",
        dropped=report.dropped,
        over_budget=report.sound_over_budget + report.features_over_budget,
        spool_lost=report.spool_lost,
        set_aside=report.set_aside,
        skew_s=skew_s,
        shed=tuple(
            (one.boot, one.content, one.reason, one.first_seq, one.last_seq, one.events) for one in report.shed
        ),
    )


def advance(state: LedgerState | None, row: LedgerRow) -> tuple[LedgerState, list[LedgerRow]]:
    """Take the next row of a ledger.

    Args:
        state: the end of the ledger; None if it is empty.
        row: of the message that came now.

    Returns:
        The new end of the ledger, and the rows to write, in order.
    """
    if state is None:
        return LedgerState(row, row), [row]
    latest, written = state.row, state.written
    pending = latest.counters != written.counters
    if row.condition != latest.condition:
        row = replace(row, since_ms=latest.at_ms)
        before = [latest] if pending or latest.last_seq != written.last_seq or latest.boot != row.boot else []
        return LedgerState(row, row), [*(one for one in before if one != written), row]
    if row.at_ms < latest.at_ms:  # the broker sent a retained message again
        return state, []
    row = replace(row, since_ms=latest.since_ms if pending else latest.at_ms)
    if row.counters != written.counters and row.at_ms - written.at_ms >= HOLD_MS:
        return LedgerState(row, row), [row]
    return LedgerState(row, written), []


def _ms(state: StateMessage) -> int:
    return round(state.started_at.timestamp() * 1000)

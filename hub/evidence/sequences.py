"""The delivery ledger of events: which numbers of each run were received, which are missing, and why. No I/O.

A sensor numbers the events that it puts into its spool, from 0 in each run. So a number that is missing was lost
after that. Time without an event between two numbers that follow each other was never numbered: nothing was captured,
or the sensor chose not to send it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

from hub.domain.delivery_ledger import LedgerRow, Shed
from hub.evidence.causes import Cause, Reason, explained
from hub.evidence.coverage import Gap

TOLERANCE_S: Final = 1
"""Time between two events that is no gap."""


class Numbered(NamedTuple):
    """An event in a run: its number, and begin and end in seconds since 1970 UTC."""

    boot: str
    seq: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """Consecutive numbers of a run that were received.

    Attributes:
        boot: id of the run.
        first_seq: first number.
        last_seq: last number.
        start_s: begin of the first event, in seconds since 1970 UTC.
        end_s: end of the last one, likewise.
    """

    boot: str
    first_seq: int
    last_seq: int
    start_s: float
    end_s: float


def received_ranges(events: Iterable[Numbered]) -> list[SequenceRange]:
    """Return the received numbers of each run as ranges, by their time."""
    ranges = []
    for boot, own in _runs_of(events).items():
        first = last = own[0]
        for event in own[1:]:
            if event.seq != last.seq + 1:
                ranges.append(SequenceRange(boot, first.seq, last.seq, first.start_s, last.end_s))
                first = event
            last = event
        ranges.append(SequenceRange(boot, first.seq, last.seq, first.start_s, last.end_s))
    return sorted(ranges, key=lambda one: (one.start_s, one.boot, one.first_seq))


def event_gaps(
    events: Sequence[Numbered],
    span: tuple[int, int],
    ledger: Sequence[LedgerRow],
    causes: Sequence[Cause],
    without_levels: Sequence[Gap],
) -> list[Gap]:
    """Return the gaps of the events of a sensor, the earliest first.

    Time without an event in which the sensor measured levels was not sent: by its selection, or within a budget.

    Args:
        events: those of the period, with the event before and the event after it.
        span: begin and end of the period, in seconds since 1970 UTC.
        ledger: of the sensor.
        causes: why events may be missing.
        without_levels: the gaps of the levels, in order.
    """
    own = [cause for cause in causes if "events" in cause.kinds]
    lost = list(_missing(_runs_of(events), ledger, own))
    gaps = [_within(gap, span) for gap in lost if gap.start_s < span[1] and span[0] < gap.end_s]
    own += _not_sent(span, without_levels)
    covered = [*events, *(Numbered(gap.boot, gap.first_seq or 0, gap.start_s, gap.end_s) for gap in lost)]
    for begin_s, end_s in _silent(covered, span):
        for part in explained(begin_s, end_s, own):
            missing_s = part.end_s - part.start_s
            gaps.append(Gap("events", part.start_s, part.end_s, missing_s, part.reason, part.text))
    return sorted(gaps, key=lambda gap: (gap.start_s, gap.first_seq or 0))


def _within(gap: Gap, span: tuple[int, int]) -> Gap:
    """Return the part of a gap that is in a period."""
    start_s, end_s = max(gap.start_s, span[0]), min(gap.end_s, span[1])
    return replace(gap, start_s=start_s, end_s=end_s, missing_s=end_s - start_s)


def _not_sent(span: tuple[int, int], without_levels: Sequence[Gap]) -> Iterator[Cause]:
    """Yield a cause for each span of time with levels."""
    begin_s = span[0]
    for gap in [*without_levels, Gap("levels", span[1], span[1], 0, "unknown", "")]:
        if gap.start_s > begin_s:
            yield Cause(begin_s, gap.start_s, "not-sent", "the sensor measured levels, and numbered no event")
        begin_s = max(begin_s, gap.end_s)


def _silent(events: Sequence[Numbered], span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the spans of time within a period that no event and no missing number covers."""
    until_s = float(span[0])
    for event in sorted(events, key=lambda one: (one.start_s, one.seq)):
        if min(event.start_s, span[1]) - until_s > TOLERANCE_S:
            yield round(until_s), round(min(event.start_s, span[1]))
        until_s = max(until_s, event.end_s)
    if span[1] - until_s > TOLERANCE_S:
        yield round(until_s), span[1]


def _missing(
    runs: Mapping[str, Sequence[Numbered]], ledger: Sequence[LedgerRow], causes: Sequence[Cause]
) -> Iterator[Gap]:
    """Yield the missing numbers of each run: between events, before the first and after the last one."""
    shed = {one: None for row in ledger for one in row.shed if one[1] != "levels"}
    first_of = {row.boot: (row.first_seq, row.started_ms // 1000) for row in ledger if row.first_seq is not None}
    last_of = _last_numbers(ledger)
    ended = {row.boot: after for row, after in pairwise(ledger) if row.boot != after.boot}
    for boot, own in runs.items():
        for before, after in pairwise(own):
            if after.seq > before.seq + 1:
                span = (round(before.end_s), round(after.start_s))
                yield _lost(boot, (before.seq + 1, after.seq - 1), span, shed, causes)
        first_seq, started_s = first_of.get(boot, (own[0].seq, 0))
        if own[0].seq > first_seq:
            span = (min(started_s, round(own[0].start_s)), round(own[0].start_s))
            yield _lost(boot, (first_seq, own[0].seq - 1), span, shed, causes)
        last_seq = last_of.get(boot, own[-1].seq)
        if boot in ended and last_seq > own[-1].seq:
            span = (round(own[-1].end_s), max(round(own[-1].end_s) + 1, ended[boot].at_ms // 1000))
            yield _lost(boot, (own[-1].seq + 1, last_seq), span, shed, causes)


def _last_numbers(ledger: Sequence[LedgerRow]) -> dict[str, int]:
    """Return the highest number of each run that any row states."""
    found: dict[str, int] = {}
    for row in ledger:
        for boot, seq in ((row.boot, row.last_seq), (row.previous_boot, row.previous_seq)):
            if boot and seq is not None:
                found[boot] = max(seq, found.get(boot, seq))
    return found


def _lost(
    boot: str, seqs: tuple[int, int], span: tuple[int, int], shed: Iterable[Shed], causes: Sequence[Cause]
) -> Gap:
    """Return the gap of missing numbers, with the reason of the range that was shed, or of the time."""
    first_seq, last_seq = seqs
    start_s, end_s = span[0], max(span)  # corrected times may overlap
    reason: Reason = "unknown"
    text = "numbered by the sensor, and never received"
    for run, content, why, first, last, _ in shed:
        if run == boot and first <= last_seq and first_seq <= last:
            reason, text = "shed", f"the spool shed numbers {first} to {last} ({content}) because of {why}"
            break
    else:
        for part in explained(start_s, max(end_s, start_s + 1), causes):
            if part.reason not in {"unknown", "no-ledger", "not-sent"}:
                reason, text = part.reason, part.text
                break
    return Gap("events", start_s, end_s, end_s - start_s, reason, text, boot, first_seq, last_seq)


def _runs_of(events: Iterable[Numbered]) -> dict[str, list[Numbered]]:
    """Return the events of each run by their numbers."""
    runs: dict[str, list[Numbered]] = {}
    for event in sorted(events, key=lambda one: one.seq):
        runs.setdefault(event.boot, []).append(event)
    return runs

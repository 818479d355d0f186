"""Causes of gaps, from the delivery ledger of a sensor. No I/O.

A cause is a span of time in which levels or events of a sensor may be missing for a known reason. `explained` divides
a gap among its causes; what none covers is `unknown`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from hub.domain.delivery_ledger import LedgerRow

Kind = Literal["levels", "events"]
BOTH: Final[tuple[Kind, ...]] = ("levels", "events")
Reason = Literal[
    "retention",
    "damaged",
    "uncalibrated",
    "ended",
    "stopped",
    "away",
    "capture",
    "shed",
    "dropped",
    "card",
    "set-aside",
    "budget",
    "offline",
    "clock",
    "not-sent",
    "waiting",
    "no-ledger",
    "unknown",
]
WORDS: Final[dict[Reason, str]] = {
    "retention": "removed by the retention of the hub",
    "damaged": "stored row damaged",
    "uncalibrated": "levels in dBFS, before the first calibration",
    "ended": "sensor ended without notice",
    "stopped": "sensor stopped on purpose",
    "away": "sensor away",
    "capture": "no sound captured",
    "shed": "spool of the sensor shed it",
    "dropped": "spool of the sensor was full or failed",
    "card": "damaged spool of the sensor",
    "set-aside": "broker does not accept it",
    "budget": "not sent: bandwidth budget",
    "offline": "sensor offline",
    "clock": "clock of the sensor wrong",
    "not-sent": "not sent: selection of the sensor",
    "waiting": "not delivered yet",
    "no-ledger": "before the delivery ledger began",
    "unknown": "unknown",
}
"""The reasons in words, the strongest first: of several causes of a gap, the first one counts."""
_ORDER: Final = {reason: number for number, reason in enumerate(WORDS)}
MARGIN_S: Final = 60
"""A sensor that ends without notice loses the seconds of the current minute (docs/levels.md)."""
START_S: Final = 120
"""Longest time from the first state of a run to its first levels."""
FOREVER: Final = 2**40


@dataclass(frozen=True, slots=True)
class Cause:
    """A span of time in which something may be missing.

    Attributes:
        start_s: begin, in seconds since 1970 UTC.
        end_s: end, likewise.
        reason: why.
        text: what shows it.
        kinds: what may be missing.
    """

    start_s: int
    end_s: int
    reason: Reason
    text: str
    kinds: tuple[Kind, ...] = BOTH


UNKNOWN: Final = Cause(-FOREVER, FOREVER, "unknown", "nothing that the hub knows explains it")


def causes_of(rows: Sequence[LedgerRow], text: Callable[[float], str], delivered_s: int) -> list[Cause]:
    """Return the causes in the ledger of a sensor.

    Args:
        rows: the ledger, the oldest row first.
        text: formats a time in seconds since 1970 UTC.
        delivered_s: until when data came, in seconds since 1970 UTC: a spool delivers the oldest first.
    """

    def at(ms: int) -> str:
        return text(_s(ms))

    if not rows:
        return [Cause(-FOREVER, FOREVER, "no-ledger", "the hub has no ledger of this sensor")]
    began_s = _s(rows[0].at_ms)
    found = [Cause(-FOREVER, began_s, "no-ledger", f"the ledger of this sensor begins at {at(rows[0].at_ms)}")]
    for row, after in [*pairwise(rows), (rows[-1], None)]:
        found += _of_state(row, after, at)
        if after is not None and after.boot == row.boot:
            found += _of_counters(row, after, at)
    last = rows[-1]
    if last.waiting:
        waiting = f"{last.waiting} events waited in the spool of the sensor at {at(last.at_ms)}"
        found.append(Cause(max(began_s, delivered_s), FOREVER, "waiting", waiting))
    return found


def _of_state(row: LedgerRow, after: LedgerRow | None, at: Callable[[int], str]) -> Iterator[Cause]:
    """Yield the causes of the state of a sensor between two rows."""
    end_s = FOREVER if after is None else _s(after.at_ms) + START_S
    again = "it has not come back" if after is None else f"run {after.boot} reported at {at(after.at_ms)}"
    if row.form == "levels":
        yield Cause(_s(row.since_ms), end_s, "not-sent", "the sensor sends levels alone (send.what)", ("events",))
    if row.clock_is_off:
        way = "ahead" if (row.skew_s or 0.0) > 0 else "behind"
        text = f"its clock was measured {abs(row.skew_s or 0.0):.0f} s {way} at {at(row.at_ms)}"
        yield Cause(_s(row.since_ms), end_s, "clock", text)
    if row.failure:
        yield Cause(_s(row.since_ms) - MARGIN_S, end_s, "capture", f"the sensor reported: {row.failure}")
    if row.state == "disconnected":
        text = f"run {row.boot} was stopped at {at(row.at_ms)}; {again}"
        yield Cause(_s(row.at_ms) - MARGIN_S, end_s, "stopped", text)
    elif row.state == "lost":
        broken = f"the connection of run {row.boot} broke by {at(row.at_ms)}, last report {at(row.since_ms)}"
        reason: Reason = "away" if after is None else "offline" if after.boot == row.boot else "ended"
        yield Cause(_s(row.since_ms) - MARGIN_S, end_s, reason, f"{broken}; {again}")
    elif after is not None and after.boot != row.boot:
        text = f"run {row.boot} reported last at {at(row.at_ms)} and ended without notice; {again}"
        yield Cause(_s(row.at_ms) - MARGIN_S, end_s, "ended", text)


def _of_counters(row: LedgerRow, after: LedgerRow, at: Callable[[int], str]) -> Iterator[Cause]:
    """Yield the causes that counters show which rose between two rows of a run."""
    start_s, end_s = _s(after.since_ms) - MARGIN_S, _s(after.at_ms)
    span = f"between {at(after.since_ms)} and {at(after.at_ms)}"
    if (gap_s := after.capture_gap_s - row.capture_gap_s) > 0.0:
        yield Cause(start_s, end_s, "capture", f"the sensor counted {gap_s:.1f} s without sound {span}")
    counted: tuple[tuple[int, Reason, str, tuple[Kind, ...]], ...] = (
        (after.dropped - row.dropped, "dropped", "clips that its spool did not take", ("events",)),
        (after.spool_lost - row.spool_lost, "card", "events of its spool that were damaged", BOTH),
        (after.set_aside - row.set_aside, "set-aside", "events that the broker does not accept", ("events",)),
        (after.over_budget - row.over_budget, "budget", "clips beyond its bandwidth budget", BOTH),
    )
    for number, reason, what, kinds in counted:
        if number > 0:
            yield Cause(start_s, end_s, reason, f"the sensor counted {number} {what} {span}", kinds)
    known = {one[:4]: one for one in row.shed}
    for shed in after.shed:
        if shed[1] == "levels" and known.get(shed[:4]) != shed:
            text = f"the spool shed levels because of {shed[2]} {span}"
            yield Cause(-FOREVER, end_s, "shed", text, ("levels",))


def explained(start_s: int, end_s: int, causes: Iterable[Cause]) -> list[Cause]:
    """Return the parts of a gap, in order, each with the cause that counts.

    Args:
        start_s: begin of the gap, in seconds since 1970 UTC.
        end_s: end, likewise.
        causes: of what is missing.
    """
    own = sorted(
        (cause for cause in causes if cause.start_s < end_s and start_s < cause.end_s),
        key=lambda cause: (_ORDER[cause.reason], cause.start_s),
    )
    bounds = {
        start_s,
        end_s,
        *(edge_s for cause in own for edge_s in (cause.start_s, cause.end_s) if start_s < edge_s < end_s),
    }
    parts: list[Cause] = []
    for begin_s, until_s in pairwise(sorted(bounds)):
        cause = next((one for one in own if one.start_s <= begin_s and until_s <= one.end_s), UNKNOWN)
        same = parts and (parts[-1].reason, parts[-1].text) == (cause.reason, cause.text)
        first_s = parts.pop().start_s if same else begin_s
        parts.append(Cause(first_s, until_s, cause.reason, cause.text, cause.kinds))
    return parts


def _s(ms: int) -> int:
    return ms // 1000

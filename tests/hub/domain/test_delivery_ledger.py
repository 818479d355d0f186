"""Which reports of a sensor become rows of its ledger."""

from dataclasses import replace
from itertools import pairwise

from hub.domain.delivery_ledger import HOLD_MS, LedgerRow, LedgerState, advance, row_of
from shared.messages.sensor import SensorReport, ShedRange, StateMessage
from tests.factories import NOON

MINUTE_MS = 60_000
FIRST = LedgerRow(0, 0, "ready", "one", first_seq=0, last_seq=5)


def enter(*rows: LedgerRow) -> list[LedgerRow]:
    """The rows that are written of some messages."""
    state: LedgerState | None = None
    written: list[LedgerRow] = []
    for row in rows:
        state, added = advance(state, row)
        written += added
    return written


def later(minutes: int, **changes: object) -> LedgerRow:
    return replace(FIRST, at_ms=minutes * MINUTE_MS, since_ms=minutes * MINUTE_MS, **changes)  # type: ignore[arg-type]


def test_reports_without_a_change_write_nothing() -> None:
    assert enter(FIRST, later(5), later(10, last_seq=60, waiting=3)) == [FIRST]


def test_a_change_names_the_last_report_before_it() -> None:
    *_, lost = enter(FIRST, later(5), later(7, state="lost"))
    assert (lost.state, lost.since_ms, lost.at_ms) == ("lost", 5 * MINUTE_MS, 7 * MINUTE_MS)


def test_a_new_run_also_keeps_the_last_numbers_of_the_run_before() -> None:
    rows = enter(FIRST, later(5, last_seq=30), later(9, boot="two", last_seq=None))
    assert [(row.boot, row.at_ms // MINUTE_MS, row.last_seq) for row in rows] == [
        ("one", 0, 5),
        ("one", 5, 30),
        ("two", 9, None),
    ]


def test_counters_alone_write_at_most_one_row_an_hour_and_none_is_lost() -> None:
    grown = [later(n, capture_gap_s=float(n)) for n in range(1, 131)]
    rows = enter(FIRST, *grown, later(131, state="disconnected", capture_gap_s=130.0))
    assert [row.at_ms // MINUTE_MS for row in rows] == [0, 60, 120, 130, 131]
    assert rows[1].since_ms == 0
    assert rows[2].since_ms == 60 * MINUTE_MS
    assert all(after.at_ms - row.at_ms <= HOLD_MS for row, after in pairwise(rows))


def test_a_retained_message_that_comes_again_writes_nothing() -> None:
    assert enter(later(9), later(5, dropped=4)) == [later(9)]


def state(kind: str, report: SensorReport | None) -> StateMessage:
    return StateMessage.model_validate(
        {
            "site": "demo",
            "sensor": "street-1",
            "boot": "one",
            "state": kind,
            "source": "microphone",
            "payload_format": "flac",
            "software": "earwitness-edge 1",
            "started_at": NOON,
            "report": report,
        }
    )


def test_the_last_will_keeps_what_the_run_reported() -> None:
    shed = ShedRange(boot="one", content="levels", reason="full", first_seq=1, last_seq=2, events=2)
    report = SensorReport(at=NOON, waiting=1, spool=0.0, dropped=3, highest_seq=9, sound_over_budget=2, shed=(shed,))
    ready = row_of(state("ready", report), 5, 1.5, None)
    lost = row_of(state("lost", None), 9, None, ready)
    assert lost == replace(ready, at_ms=9, since_ms=9, state="lost")
    assert (ready.last_seq, ready.over_budget, ready.shed[0][5]) == (9, 2, 2)
    assert row_of(state("lost", None), 9, None, None).last_seq is None

"""Numbers of events that were received or are missing, and time without events."""

from dataclasses import replace

from hub.domain.delivery_ledger import LedgerRow
from hub.evidence.causes import Cause, causes_of
from hub.evidence.coverage import Gap
from hub.evidence.sequences import Numbered, event_gaps, received_ranges

T = 1_000_000
SPAN = (T, T + 1_000)
READY = LedgerRow((T - 9_000) * 1000, (T - 9_000) * 1000, "ready", "one", first_seq=0)


def events(*seqs: int, boot: str = "one", from_s: int = 0) -> list[Numbered]:
    """Events of 10 s, each at its number."""
    return [Numbered(boot, seq, T + from_s + 10.0 * seq, T + from_s + 10.0 * seq + 10.0) for seq in seqs]


def gaps(found: list[Numbered], *ledger: LedgerRow, without: tuple[Gap, ...] = ()) -> list[tuple[object, ...]]:
    own = event_gaps(found, SPAN, ledger, causes_of(ledger, str, T), without)
    return [(gap.start_s - T, gap.end_s - T, gap.reason, gap.first_seq, gap.last_seq) for gap in own]


def test_received_numbers_are_ranges_of_each_run() -> None:
    ranges = received_ranges([*events(4, 5, 7, 0), *events(0, 1, boot="two", from_s=500)])
    assert [(one.boot, one.first_seq, one.last_seq) for one in ranges] == [
        ("one", 0, 0),
        ("one", 4, 5),
        ("one", 7, 7),
        ("two", 0, 1),
    ]


def test_a_whole_period_has_no_gap() -> None:
    assert gaps(events(*range(-1, 101)), READY) == []


def test_missing_numbers_have_the_reason_of_their_range_or_of_their_time() -> None:
    found = events(*range(40), *range(50, 60), *range(62, 101))
    shed = (("one", "sound", "full", 41, 45, 5),)
    ledger = (READY, LedgerRow((T + 700) * 1000, (T + 500) * 1000, "ready", "one", dropped=2, first_seq=0, shed=shed))
    assert gaps(found, *ledger) == [(400, 500, "shed", 40, 49), (600, 620, "dropped", 60, 61)]
    assert gaps(found, READY) == [(400, 500, "unknown", 40, 49), (600, 620, "unknown", 60, 61)]


def test_time_between_numbers_that_follow_each_other_was_not_sent_if_there_are_levels() -> None:
    found = [*events(*range(20)), *events(*range(20, 60), from_s=400), Numbered("one", 60, T + 1_000, T + 1_010)]
    assert gaps(found, READY) == [(200, 600, "not-sent", None, None)]
    silent = Gap("levels", T + 300, T + 500, 200, "unknown", "")
    assert gaps(found, READY, without=(silent,)) == [
        (200, 300, "not-sent", None, None),
        (300, 500, "unknown", None, None),
        (500, 600, "not-sent", None, None),
    ]


def test_the_end_of_a_run_is_missing_once_the_next_one_is_known() -> None:
    found = [*events(*range(30)), *events(*range(60), boot="two", from_s=400)]
    lost = LedgerRow((T + 310) * 1000, (T + 250) * 1000, "lost", "one", first_seq=0, last_seq=29)
    again = LedgerRow((T + 395) * 1000, lost.at_ms, "ready", "two", first_seq=0, previous_boot="one", previous_seq=31)
    assert gaps(found, READY, lost, again) == [(300, 395, "ended", 30, 31), (395, 400, "ended", None, None)]


def test_the_first_numbers_of_a_run_may_be_missing_too() -> None:
    began = LedgerRow(T * 1000, T * 1000, "ready", "one", started_ms=T * 1000, first_seq=0)
    assert gaps(events(*range(3, 100)), began) == [(0, 30, "unknown", 0, 2)]


def test_without_a_ledger_nothing_is_claimed() -> None:
    found = [*events(*range(20)), *events(*range(20, 60), from_s=400)]
    silent = Gap("levels", T + 200, T + 600, 400, "unknown", "")
    own = event_gaps(found, SPAN, (), [Cause(-(2**40), 2**40, "no-ledger", "none")], (silent,))
    assert [(gap.start_s - T, gap.reason) for gap in own] == [(200, "no-ledger")]


def test_a_gap_has_the_time_of_the_period_and_no_time_where_times_overlap() -> None:
    found = [*events(*range(-40, -20)), *events(*range(10, 40)), *events(*range(45, 106), from_s=-50)]
    assert gaps(found, READY) == [(0, 100, "unknown", -20, 9), (400, 400, "unknown", 40, 44)]


def test_a_period_within_a_run_misses_nothing_of_the_time_before_it() -> None:
    assert gaps(events(*range(-1, 101)), replace(READY, first_seq=-900)) == []

"""The reasons of gaps, from what a sensor reported."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.delivery_ledger import LedgerRow
from hub.evidence.causes import WORDS, Cause, Reason, causes_of, explained

HOUR_MS = 3_600_000
T = 1_000_000
READY = LedgerRow(T * 1000, T * 1000, "ready", "one", first_seq=0)


def row(after_s: int, state: str = "ready", boot: str = "one", **values: object) -> LedgerRow:
    known: dict[str, object] = {"since_ms": (T + after_s - 300) * 1000, "first_seq": 0, **values}
    return LedgerRow((T + after_s) * 1000, state=state, boot=boot, **known)  # type: ignore[arg-type]


def reasons(*rows: LedgerRow, start_s: int, end_s: int, kind: str = "levels") -> list[Reason]:
    causes = [one for one in causes_of(rows, lambda at_s: f"{at_s:.0f} s", T + 4_500) if kind in one.kinds]
    return [part.reason for part in explained(T + start_s, T + end_s, causes)]


def test_a_run_that_ended_without_notice_and_one_that_was_stopped() -> None:
    killed = (READY, row(5_000, "lost"), row(6_000, boot="two"))
    assert reasons(*killed, start_s=4_900, end_s=6_010) == ["ended"]
    assert reasons(READY, row(5_000), row(6_000, boot="two"), start_s=5_000, end_s=6_000) == ["ended"]
    assert reasons(READY, row(5_000, "disconnected"), row(6_000, boot="two"), start_s=5_000, end_s=6_000) == [
        "stopped"
    ]


def test_a_connection_that_broke_and_came_back_or_did_not() -> None:
    assert reasons(READY, row(5_000, "lost"), row(6_000), start_s=5_000, end_s=6_000) == ["offline"]
    assert reasons(READY, row(5_000, "lost"), start_s=5_000, end_s=9_000_000) == ["away"]


def test_a_gap_is_divided_where_its_reason_changes() -> None:
    parts = reasons(READY, row(5_000, "disconnected"), row(6_000, boot="two"), start_s=3_000, end_s=9_000)
    assert parts == ["unknown", "stopped", "unknown"]


def test_what_counters_and_faults_show() -> None:
    gap = row(5_000, capture_gap_s=40.0)
    assert reasons(READY, gap, start_s=4_800, end_s=4_840) == ["capture"]
    assert reasons(READY, row(5_000, failure="no device"), start_s=5_000, end_s=5_600) == ["capture"]
    for name, reason in (("dropped", "dropped"), ("set_aside", "set-aside"), ("spool_lost", "card")):
        assert reasons(READY, row(5_000, "ready", "one", **{name: 2}), start_s=4_800, end_s=4_900, kind="events") == [
            reason
        ]
    assert reasons(READY, row(5_000, over_budget=2), start_s=4_800, end_s=4_900) == ["budget"]
    shed = row(5_000, shed=(("one", "levels", "full", 0, 9, 600),))
    assert reasons(READY, shed, start_s=100, end_s=700) == ["shed"]
    assert reasons(READY, row(5_000, skew_s=-7_000.0), start_s=5_000, end_s=5_600) == ["clock"]


def test_a_sensor_of_levels_alone_sends_no_events() -> None:
    assert reasons(READY, row(5_000, form="levels"), start_s=5_000, end_s=6_000, kind="events") == ["not-sent"]


def test_before_the_ledger_and_what_waits_in_the_spool() -> None:
    assert reasons(READY, start_s=-500, end_s=100) == ["no-ledger", "unknown"]
    assert reasons(start_s=0, end_s=100) == ["no-ledger"]
    assert reasons(READY, row(5_000, waiting=12), start_s=4_000, end_s=6_000) == ["unknown", "waiting"]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 60), st.sampled_from(list(WORDS))), max_size=6),
    st.integers(-40, 0),
    st.integers(1, 40),
)
def test_the_parts_of_a_gap_are_the_gap(spans: list[tuple[int, int, Reason]], start_s: int, end_s: int) -> None:
    causes = [Cause(begin_s, begin_s + long_s, reason, reason) for begin_s, long_s, reason in spans]
    parts = explained(start_s, end_s, causes)
    assert (parts[0].start_s, parts[-1].end_s) == (start_s, end_s)
    assert all(one.end_s == after.start_s for one, after in pairwise(parts))
    order = list(WORDS)
    for second in range(start_s, end_s):
        here = [one.reason for one in causes if one.start_s <= second < one.end_s]
        (part,) = [one for one in parts if one.start_s <= second < one.end_s]
        assert part.reason == min(here, key=order.index, default="unknown")

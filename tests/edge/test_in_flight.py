"""What is under way, what an answer means, and which message ends connections."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.in_flight import BLAMELESS, STRIKES, Acked, InFlightWindow, Rejected

SUCCESS, UNWATCHED, QUOTA, NOT_AUTHORISED = 0x00, 0x10, 0x97, 0x87
LOST = 0x80


def test_no_more_than_the_limit_is_under_way() -> None:
    window = InFlightWindow(limit=3)
    for mid in range(3):
        assert window.available(0.0) == 3 - mid
        window.on_sent(mid, row=mid)
    assert window.available(0.0) == 0
    assert window.on_puback(0, SUCCESS, 0.0) == Acked(0)
    assert window.available(0.0) == 1
    assert window.rows == {1: 1, 2: 2}


def test_an_answer_to_a_strangers_message_means_nothing() -> None:
    assert InFlightWindow().on_puback(7, SUCCESS, 0.0) is None


@pytest.mark.parametrize("reason", [UNWATCHED, 0x80, QUOTA, NOT_AUTHORISED])
def test_a_refused_row_is_kept_and_the_window_closes_for_two_seconds(reason: int) -> None:
    window = InFlightWindow()
    window.on_sent(1, row=5)
    assert window.on_puback(1, reason, now_s=100.0) == Rejected(5, reason, 2.0)
    assert not window.rows
    assert window.available(101.9) == 0
    assert window.available(102.0) == 1


def test_waits_double_up_to_thirty_seconds_while_one_message_probes() -> None:
    window, now_s, waits = InFlightWindow(), 0.0, []
    for mid in range(7):
        assert window.available(now_s) >= 1
        window.on_sent(mid, row=1)
        verdict = window.on_puback(mid, UNWATCHED, now_s)
        assert isinstance(verdict, Rejected)
        waits.append(verdict.wait_s)
        now_s += verdict.wait_s
        assert window.available(now_s) == 1
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_bad_answers_within_one_wait_count_once() -> None:
    window = InFlightWindow()
    for mid in range(16):
        window.on_sent(mid, row=mid)
    for mid in range(16):
        window.on_puback(mid, UNWATCHED, now_s=mid * 0.01)
    assert window.available(2.0) == 1


def test_one_success_reopens_the_whole_window() -> None:
    window = InFlightWindow(limit=4)
    window.on_sent(1, row=1)
    window.on_puback(1, UNWATCHED, 0.0)
    window.on_sent(2, row=1)
    assert window.on_puback(2, SUCCESS, 2.0) == Acked(1)
    assert window.available(2.0) == 4


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from([SUCCESS, UNWATCHED, QUOTA])), min_size=1, max_size=60))
def test_the_window_never_overflows_and_never_stays_closed(answers: list[tuple[float, int]]) -> None:
    window, now_s, mids, under_way = InFlightWindow(limit=4), 0.0, itertools.count(), list[int]()
    for wait_s, reason in answers:
        now_s += wait_s
        for _ in range(window.available(now_s)):
            mid = next(mids)
            window.on_sent(mid, row=mid)
            under_way.append(mid)
        assert len(under_way) <= 4
        if under_way:
            window.on_puback(under_way.pop(0), reason, now_s)
    assert under_way or window.available(now_s + 30.0) >= 1


def test_a_broker_that_takes_few_messages_at_a_time_gets_no_more() -> None:
    window = InFlightWindow(limit=16)
    window.connected(receive_maximum=3)
    assert window.available(0.0) == 3
    window.connected(receive_maximum=None)
    assert window.available(0.0) == 16


def test_a_message_alone_under_way_at_three_ends_is_set_aside() -> None:
    window = InFlightWindow()
    for _ in range(STRIKES - 1):
        window.on_sent(1, row=7)
        assert window.ended(LOST) is None
        assert window.suspect == 7
        assert window.available(0.0) == 1
    window.on_sent(9, row=7)
    assert window.ended(LOST) == 7
    assert window.suspect is None


def test_one_that_was_set_aside_has_one_further_chance() -> None:
    window = InFlightWindow()
    for mid in range(STRIKES):
        window.on_sent(mid, row=7)
        window.ended(LOST)
    window.on_sent(9, row=7)
    assert window.ended(LOST) == 7


def test_an_answer_acquits_the_suspect() -> None:
    window = InFlightWindow(limit=4)
    for _ in range(10):
        window.on_sent(1, row=7)
        assert window.ended(LOST) is None
        window.on_sent(2, row=7)
        assert window.on_puback(2, SUCCESS, 0.0) == Acked(7)
        assert window.available(0.0) == 4


@pytest.mark.parametrize("code", [*sorted(BLAMELESS), 0x93, 0x96])  # also: too many under way, too many a second
def test_ends_that_no_message_causes_blame_none(code: int) -> None:
    window = InFlightWindow()
    for _ in range(10):
        window.on_sent(1, row=7)
        assert window.ended(code) is None
        assert window.suspect is None
        assert not window.rows


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.lists(st.integers(0, 16), max_size=60),
)
def test_whichever_messages_end_connections_all_others_get_through(bad: list[bool], answered: list[int]) -> None:
    """A broker that hangs up at a bad message, having answered only some of those before."""
    window, waiting, delivered, aside = InFlightWindow(), list(range(len(bad))), list[int](), list[int]()
    mids, ends, answers = itertools.count(), 0, iter(answered)
    while waiting:
        assert ends <= (STRIKES + 1) * sum(bad) + len(answered) + 1, "it ends"
        suspect = window.suspect
        rows = [suspect] if suspect is not None else [r for r in waiting if r not in window.rows.values()]
        for row in rows[: window.available(0.0)]:
            window.on_sent(next(mids), row)
        under_way = list(window.rows.items())
        killer = next((place for place, (_, row) in enumerate(under_way) if bad[row]), None)
        received = len(under_way) if killer is None else min(killer, next(answers, killer))
        for mid, _ in under_way[:received]:
            verdict = window.on_puback(mid, SUCCESS, 0.0)
            assert isinstance(verdict, Acked)
            waiting.remove(verdict.row)
            delivered.append(verdict.row)
        if killer is not None:
            ends += 1
            if (found := window.ended(LOST)) is not None:
                waiting.remove(found)
                aside.append(found)
    assert sorted(aside) == [row for row, is_bad in enumerate(bad) if is_bad]
    assert sorted(delivered) == [row for row, is_bad in enumerate(bad) if not is_bad]

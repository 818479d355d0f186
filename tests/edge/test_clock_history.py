"""The settings of a clock that jumps, and the times that clips should have."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.clock_history import MOST_SPANS, ClockHistory
from shared.events import ClockStatus

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY_S = 86_400.0
CLIP_S = 10.0


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_clock_that_never_jumps_corrects_nothing() -> None:
    history = ClockHistory()
    assert history.correct(0, NOON) is None
    for seq in range(5):
        assert not history.observe(after(seq * CLIP_S + 0.4 * (seq % 2)), seq * CLIP_S, "unknown", seq)
    assert (history.jumps, history.correct(3, NOON)) == (0, None)


def test_clips_of_1970_take_the_time_of_the_clock_that_was_set_later() -> None:
    history = ClockHistory()
    assert not history.observe(datetime(1970, 1, 1, 0, 0, 30, tzinfo=UTC), 30.0, "unsynchronised", 0)
    assert history.observe(NOON, 3_630.0, "unsynchronised", 360)
    early = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert history.correct(3, early) == (NOON - timedelta(hours=1) + timedelta(seconds=30), "unsynchronised")
    history.observe(after(10), 3_640.0, "synchronised", 361)
    assert history.correct(3, early) == (NOON - timedelta(hours=1) + timedelta(seconds=30), "synchronised")
    assert history.correct(360, NOON) is None


def test_a_clock_that_was_right_before_corrects_the_clips_of_a_jump_at_once() -> None:
    history = ClockHistory()
    history.observe(NOON, 0.0, "synchronised", 0)
    assert history.observe(after(DAY_S + 10), 10.0, "unsynchronised", 1)
    assert history.correct(1, after(DAY_S + 10)) == (after(10), "synchronised")
    assert history.correct(0, NOON) is None


def test_the_latest_synchronised_setting_decides() -> None:
    history = ClockHistory()
    history.observe(NOON, 0.0, "synchronised", 0)
    history.observe(after(-DAY_S + 10), 10.0, "synchronised", 1)
    assert history.correct(0, NOON) == (after(-DAY_S), "synchronised")
    assert history.correct(1, after(-DAY_S + 10)) is None


def test_without_a_synchronised_setting_it_is_unknown_which_plausible_one_is_right() -> None:
    history = ClockHistory()
    history.observe(NOON, 0.0, "unknown", 0)
    assert history.observe(after(-DAY_S), 10.0, "unsynchronised", 1)
    assert (history.correct(0, NOON), history.correct(1, NOON)) == (None, None)


def test_the_number_of_settings_is_bounded() -> None:
    history = ClockHistory()
    for number in range(3 * MOST_SPANS):
        history.observe(after(number * DAY_S), 0.0, "unknown", number)
    assert history.jumps == 3 * MOST_SPANS - 1
    assert len(history._spans) == MOST_SPANS


@given(
    st.lists(
        st.tuples(st.floats(-3 * DAY_S, 3 * DAY_S), st.sampled_from(["unknown", "unsynchronised"])), max_size=12
    ),
    st.integers(0, 12),
)
def test_once_the_clock_was_synchronised_all_times_are_in_order_of_capture(
    jumps: list[tuple[float, ClockStatus]], right_at: int
) -> None:
    history, stamped = ClockHistory(), []
    right: tuple[float, ClockStatus] = (0.0, "synchronised")
    for seq, (error_s, status) in enumerate([*jumps[:right_at], right, *jumps[right_at:]]):
        at = after(seq * CLIP_S + error_s)
        history.observe(at, seq * CLIP_S, status, seq)
        stamped.append(at)
    times = [(history.correct(seq, at) or (at, ""))[0] for seq, at in enumerate(stamped)]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(abs((at - after(seq * CLIP_S)).total_seconds()) < 2.0 for seq, at in enumerate(times))

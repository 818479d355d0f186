"""The clock by which acknowledged events age."""

from hypothesis import given
from hypothesis import strategies as st

from edge.connection_clock import LONGEST_STEP_S, ConnectedTime


def test_time_passes_up_to_the_brokers_latest_answer_and_no_further() -> None:
    time = ConnectedTime(5.0)
    time.connected(100.0)
    assert time.now_s == 5.0
    assert time.answered(110.0) == 15.0
    time.ended()
    assert time.answered(500.0) == 15.0
    time.connected(1_000.0)
    assert time.answered(1_003.0) == 18.0


def test_a_process_that_was_stopped_does_not_count_the_stop() -> None:
    time = ConnectedTime()
    time.connected(0.0)
    assert time.answered(36_000.0) == LONGEST_STEP_S


@given(st.lists(st.tuples(st.sampled_from(["connected", "answered", "ended"]), st.floats(-1e6, 1e6)), max_size=50))
def test_it_never_goes_back_whatever_the_clock_does(steps: list[tuple[str, float]]) -> None:
    time, before = ConnectedTime(3.0), 3.0
    for what, now_s in steps:
        if what == "ended":
            time.ended()
        else:
            getattr(time, what)(now_s)
        assert time.now_s >= before
        before = time.now_s

"""Stream time and wall time of replays."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge.replay_clock import clip_start, next_due_s, stamp_played

START = datetime(2026, 6, 1, tzinfo=UTC)
speeds = st.floats(0.01, 1e4)


def test_clips_are_stamped_one_after_another() -> None:
    assert [clip_start(START, i) - START for i in range(3)] == [timedelta(seconds=s) for s in (0, 10, 20)]


def test_at_speed_1_a_clip_is_due_when_it_would_have_ended() -> None:
    assert next_due_s(100.0, 100.0, speed=1.0) == 110.0


def test_speed_shortens_the_wait_only() -> None:
    assert next_due_s(100.0, 100.0, speed=20.0) == 100.5


@given(speed=speeds, delays=st.lists(st.floats(0, 1_000), max_size=30))
def test_clips_keep_their_distance_and_a_held_up_source_never_bursts(speed: float, delays: list[float]) -> None:
    step_s = 10.0 / speed
    due_s = now_s = 0.0
    emitted: list[float] = []
    for delay_s in delays:
        due_s = next_due_s(due_s, now_s, speed)
        assert due_s >= now_s - 1e-9
        emitted.append(max(due_s, now_s))
        now_s = emitted[-1] + delay_s
    for i in range(2, len(emitted)):
        assert emitted[i] - emitted[i - 2] >= step_s * (1 - 1e-6) - 1e-6


@given(speed=speeds, clips=st.integers(1, 50))
def test_a_source_that_is_never_late_keeps_the_exact_rate(speed: float, clips: int) -> None:
    due_s = 0.0
    for _ in range(clips):
        due_s = next_due_s(due_s, due_s, speed)
    assert abs(due_s - clips * 10.0 / speed) <= 1e-6 * max(1.0, due_s)


def test_a_clip_that_is_stamped_as_it_plays_ends_now() -> None:
    now = datetime(2026, 6, 1, 12, 0, 10, tzinfo=UTC)
    assert stamp_played(now) == now - timedelta(seconds=10)

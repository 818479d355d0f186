from hypothesis import given
from hypothesis import strategies as st

from shared.mqtt import full_jitter


@given(st.integers(0, 10_000), st.floats(0.001, 3600), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_never_negative_and_never_over_the_cap(attempt: int, cap_s: float, drawn: float) -> None:
    assert 0.0 <= full_jitter(attempt, cap_s, lambda: drawn) <= cap_s


def test_the_range_doubles_with_every_failure() -> None:
    assert [full_jitter(n, 60, lambda: 1.0) for n in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]

"""Gaps of levels, from the seconds of minutes."""

import numpy as np
import pytest

from hub.evidence.causes import Cause
from hub.evidence.coverage import Gap, by_reason, level_gaps

T = 3_600 * 400_000
STOPPED = Cause(T + 90, T + 200, "stopped", "it was stopped", ("levels",))
OF_EVENTS = Cause(T, T + 9_999, "dropped", "clips", ("events",))


def spans(gaps: list[Gap]) -> list[tuple[int, int, int, str]]:
    return [(gap.start_s - T, gap.end_s - T, gap.missing_s, gap.reason) for gap in gaps]


def test_complete_minutes_have_no_gap() -> None:
    assert level_gaps(np.full(5, 60), T, {}, [STOPPED]) == []
    assert level_gaps(np.zeros(0, dtype=np.int64), T, {}, []) == []


def test_the_seconds_of_a_gap_are_exact_where_they_are_known() -> None:
    seconds = np.ones(3_600, dtype=np.bool_)
    seconds[70:130] = False
    counts = seconds[:300].reshape(5, 60).sum(axis=1)
    assert spans(level_gaps(counts, T, {T // 3_600: seconds}, [STOPPED, OF_EVENTS])) == [
        (70, 90, 20, "unknown"),
        (90, 130, 40, "stopped"),
    ]


@pytest.mark.parametrize("hours", [{}, {T // 3_600: np.ones(3_600, dtype=np.bool_)}])
def test_else_the_gap_is_the_minutes_and_states_how_much_is_missing(hours: dict[int, np.ndarray]) -> None:
    counts = np.array([60, 50, 0, 1, 60])
    assert spans(level_gaps(counts, T, hours, [])) == [(60, 240, 129, "unknown")]


def test_gaps_are_summed_by_reason() -> None:
    gaps = level_gaps(np.array([0, 60, 0, 0]), T, {}, [Cause(T, T + 60, "away", "")])
    assert by_reason(gaps) == {"unknown": (1, 120), "away": (1, 60)}

"""The chart of a day: lines end before gaps, gaps are drawn, and what is still to come is no gap."""

import numpy as np
import pytest

from hub.domain.level_rows import LevelTable
from hub.web.level_chart import HEIGHT, level_chart


def table(laeq: list[float | None]) -> LevelTable:
    known = np.array([np.nan if level is None else level for level in laeq])
    levels = np.stack([known, known + 10.0, known, known, known], axis=1)
    return LevelTable(levels, np.where(np.isnan(known), 0, 60), "dB", 0)


def test_no_line_is_drawn_across_a_gap() -> None:
    chart = level_chart(table([50.0, 60.0, None, None, 55.0, 50.0, None]), past=7)
    assert chart.width == 7
    assert chart.gaps == [(2, 2), (6, 1)]
    assert chart.missing == 3
    spans = [[float(point.split(",")[0]) for point in line.split()] for line in chart.lines["laeq"]]
    assert spans == [[0.5, 1.5], [4.5, 5.5]]
    assert [len(lines) for lines in chart.lines.values()] == [2, 2]


def test_levels_are_at_their_heights() -> None:
    chart = level_chart(table([50.0, 60.0]), past=2)
    assert [level for level, _ in chart.grid] == [50, 60, 70]
    assert dict(chart.grid) == {50: HEIGHT, 60: HEIGHT / 2, 70: 0.0}
    assert chart.lines == {"laeq": ["0.5,200.0 1.5,100.0"], "lafmax": ["0.5,100.0 1.5,0.0"]}


def test_a_single_minute_is_as_wide_as_the_minute() -> None:
    assert level_chart(table([None, 50.0, None]), past=3).lines["laeq"] == ["1,200.0 2,200.0"]


def test_minutes_to_come_are_no_gap() -> None:
    chart = level_chart(table([50.0, None, None, None]), past=2)
    assert (chart.gaps, chart.missing) == ([(1, 1)], 1)


@pytest.mark.parametrize("minutes", [0, 3])
def test_a_day_without_levels_is_one_gap(minutes: int) -> None:
    chart = level_chart(table([None] * minutes), past=minutes)
    assert chart.lines == {"laeq": [], "lafmax": []}
    assert chart.gaps == ([(0, minutes)] if minutes else [])

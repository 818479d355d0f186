"""The chart of levels: lines end before gaps, gaps are drawn, and what is still to come is no gap."""

import numpy as np
import pytest

from hub.domain.level_rows import Floats
from hub.web.level_chart import HEIGHT, level_chart


def levels(laeq: list[float | None]) -> dict[str, Floats]:
    known = np.array([np.nan if level is None else level for level in laeq])
    return {"laeq": known, "lafmax": known + 10.0}


def test_no_line_is_drawn_across_a_gap() -> None:
    chart = level_chart(levels([50.0, 60.0, None, None, 55.0, 50.0, None]), past=7)
    assert chart.width == 7
    assert chart.gaps == [(2, 2), (6, 1)]
    assert chart.missing == 3
    spans = [[float(point.split(",")[0]) for point in line.split()] for line in chart.lines["laeq"]]
    assert spans == [[0.5, 1.5], [4.5, 5.5]]
    assert [len(lines) for lines in chart.lines.values()] == [2, 2]


def test_levels_are_at_their_heights() -> None:
    chart = level_chart(levels([50.0, 60.0]), past=2)
    assert [level for level, _ in chart.grid] == [50, 60, 70]
    assert dict(chart.grid) == {50: HEIGHT, 60: HEIGHT / 2, 70: 0.0}
    assert chart.lines == {"laeq": ["0.5,200.0 1.5,100.0"], "lafmax": ["0.5,100.0 1.5,0.0"]}


def test_a_single_period_is_as_wide_as_the_period() -> None:
    assert level_chart(levels([None, 50.0, None]), past=3).lines["laeq"] == ["1,200.0 2,200.0"]


def test_periods_to_come_are_no_gap() -> None:
    chart = level_chart(levels([50.0, None, None, None]), past=2)
    assert (chart.gaps, chart.missing) == ([(1, 1)], 1)


@pytest.mark.parametrize("periods", [0, 3])
def test_a_span_without_levels_is_one_gap(periods: int) -> None:
    chart = level_chart(levels([None] * periods), past=periods)
    assert chart.lines == {"laeq": [], "lafmax": []}
    assert chart.gaps == ([(0, periods)] if periods else [])


def test_an_area_lies_between_its_levels_and_ends_before_gaps() -> None:
    chart = level_chart(levels([50.0, 60.0, None, 50.0]), past=4, area=("lafmax", "laeq"))
    assert chart.lines == {}
    assert chart.areas == ["0.5,100.0 1.5,0.0 1.5,100.0 0.5,200.0", "3,100.0 4,100.0 4,200.0 3,200.0"]


def test_a_period_with_any_level_is_no_gap() -> None:
    both = {"lden": np.array([np.nan, np.nan, 60.0]), "lnight": np.array([50.0, np.nan, np.nan])}
    chart = level_chart(both, past=3)
    assert (chart.gaps, chart.lines["lden"]) == ([(1, 1)], ["2,100.0 3,100.0"])

"""Table and chart of level details."""

from dataclasses import replace
from typing import Any

from hub.store.level_details import NAMES
from hub.web.band_chart import CHART, level_chart
from shared.levels.values import LevelDetails

LEVELS: dict[str, Any] = dict.fromkeys(NAMES[:-1], 60.0)
DETAILS = LevelDetails(**LEVELS, bands=tuple(float(n) for n in range(30, 61)))


def test_bars_stand_on_the_bottom_within_the_chart_and_rise_with_the_level() -> None:
    bars = level_chart(DETAILS).bars
    assert len(bars) == 31
    for bar in bars:
        assert bar.y >= 0.0
        assert abs(bar.y + bar.height - CHART[1]) < 0.11
        assert 0.0 <= bar.x <= CHART[0] - bar.width
    assert [bar.height for bar in bars] == sorted(bar.height for bar in bars)
    assert bars[17].words == "1000 Hz: 47.0 dB"
    assert [bar.label for bar in bars if bar.label][:3] == ["31.5", "63", "125"]
    assert [bar.label for bar in bars if bar.label][-1] == "16k"


def test_the_grid_lies_between_the_levels() -> None:
    chart = level_chart(DETAILS)
    assert [line for _, line in chart.lines] == [40.0, 60.0]
    assert all(0.0 <= y <= CHART[1] for y, _ in chart.lines)
    assert chart.summary.endswith("the loudest is 20000 Hz")


def test_equal_levels_and_no_bands_are_drawn() -> None:
    flat = level_chart(replace(DETAILS, bands=(-40.0,) * 31))
    assert {bar.height for bar in flat.bars} == {0.5}
    assert level_chart(replace(DETAILS, bands=())).bars == ()


def test_a_level_that_is_not_known_has_no_row() -> None:
    names = [name for name, _ in level_chart(DETAILS).rows]
    assert names[0] == "LCeq"
    assert "Ambient" not in names
    assert ("Ambient", 41.0) in level_chart(replace(DETAILS, ambient=41.0)).rows

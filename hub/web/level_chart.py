"""Geometry of the chart of a day's levels: lines for minutes with levels, and the gaps between them."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.level_rows import STATISTICS, Floats, LevelTable

HEIGHT: Final = 200
DRAWN: Final = ("laeq", "lafmax")
_GRID_DB: Final = 10
_LEAST_RANGE_DB: Final = 20


@dataclass(frozen=True, slots=True)
class LevelChart:
    """The levels of consecutive minutes; one unit of width is a minute.

    Attributes:
        width: number of minutes.
        lines: points of the polylines of each level in `DRAWN`. A line ends before a gap.
        gaps: first minute and number of minutes of each gap.
        grid: levels in dB with their heights in the chart.
        missing: number of minutes without levels.
    """

    width: int
    lines: dict[str, list[str]]
    gaps: list[tuple[int, int]]
    grid: list[tuple[int, float]]
    missing: int


def level_chart(table: LevelTable, past: int) -> LevelChart:
    """Return the chart of a table of minutes.

    Args:
        table: levels of minutes, as `LevelStore.statistics` returns them.
        past: number of minutes that are over; later ones are no gap.
    """
    levels = {name: table.levels[:, STATISTICS.index(name)] for name in DRAWN}
    present = ~np.isnan(levels["laeq"])
    low, high = _range(np.concatenate([level[present] for level in levels.values()]))
    heights = {name: HEIGHT * (high - level) / (high - low) for name, level in levels.items()}
    runs, gaps = _runs(present), _runs(~present[:past])
    return LevelChart(
        width=len(present),
        lines={name: [_points(height, first, end) for first, end in runs] for name, height in heights.items()},
        gaps=[(first, end - first) for first, end in gaps],
        grid=[(level, HEIGHT * (high - level) / (high - low)) for level in range(low, high + 1, _GRID_DB)],
        missing=sum(end - first for first, end in gaps),
    )


def _range(levels: Floats) -> tuple[int, int]:
    """Return the lowest and highest level of the chart, multiples of 10 dB."""
    if levels.size == 0:
        return 0, _LEAST_RANGE_DB
    low = _GRID_DB * math.floor(levels.min() / _GRID_DB)
    return low, max(_GRID_DB * math.ceil(levels.max() / _GRID_DB), low + _LEAST_RANGE_DB)


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _points(heights: Floats, first: int, end: int) -> str:
    """Return a line through the middles of minutes; that of a single minute is as wide as the minute."""
    if end - first == 1:
        return f"{first},{heights[first]:.1f} {end},{heights[first]:.1f}"
    return " ".join(f"{minute + 0.5},{heights[minute]:.1f}" for minute in range(first, end))

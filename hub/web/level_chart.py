"""Geometry of charts of levels: lines for periods with levels, and the gaps between them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from hub.domain.level_rows import Floats, runs

HEIGHT: Final = 200
_GRID_DB: Final = 10
_LEAST_RANGE_DB: Final = 20


@dataclass(frozen=True, slots=True)
class LevelChart:
    """The levels of consecutive periods; one unit of width is a period.

    Attributes:
        width: number of periods.
        lines: points of the polylines of each level. A line ends before a gap.
        areas: points of the polygons between two levels, such as L10 and L90.
        gaps: first period and number of periods of each gap.
        grid: levels in dB with their heights in the chart.
        missing: number of periods without levels.
        limits: points of the stepped lines of each limit.
    """

    width: int
    lines: dict[str, list[str]]
    areas: list[str]
    gaps: list[tuple[int, int]]
    grid: list[tuple[int, float]]
    missing: int
    limits: dict[str, list[str]]


def level_chart(
    levels: Mapping[str, Floats],
    past: int,
    area: tuple[str, str] | None = None,
    limits: Mapping[str, Floats] = MappingProxyType({}),
) -> LevelChart:
    """Return the chart of the levels of consecutive periods.

    Args:
        levels: float64 [periods] of each level in dB, NaN where there is none. A period without any is a gap.
        past: number of periods that are over; later ones are no gap.
        area: upper and lower level that are drawn as an area instead of lines.
        limits: limits, likewise; they are drawn as steps.
    """
    known = {name: np.isfinite(level) for name, level in levels.items()}
    present = np.logical_or.reduce(list(known.values()))
    drawn = [levels[name][known[name]] for name in levels]
    low, high = _range(np.concatenate([*drawn, *(line[np.isfinite(line)] for line in limits.values())]))
    heights = {name: HEIGHT * (high - level) / (high - low) for name, level in levels.items()}
    gaps = list(runs(~present[:past]))
    areas = []
    if area is not None:
        upper, lower = area
        areas = [
            f"{_points(heights[upper], first, end)} {_points(heights[lower], first, end, backward=True)}"
            for first, end in runs(known[upper] & known[lower])
        ]
    return LevelChart(
        width=len(present),
        lines={
            name: [_points(heights[name], first, end) for first, end in runs(known[name])]
            for name in levels
            if name not in (area or ())
        },
        areas=areas,
        gaps=[(first, end - first) for first, end in gaps],
        grid=[(level, HEIGHT * (high - level) / (high - low)) for level in range(low, high + 1, _GRID_DB)],
        missing=sum(end - first for first, end in gaps),
        limits={
            name: [
                _steps(HEIGHT * (high - line) / (high - low), first, end) for first, end in runs(np.isfinite(line))
            ]
            for name, line in limits.items()
        },
    )


def _range(levels: Floats) -> tuple[int, int]:
    """Return the lowest and highest level of the chart, multiples of 10 dB."""
    if levels.size == 0:
        return 0, _LEAST_RANGE_DB
    low = _GRID_DB * math.floor(levels.min() / _GRID_DB)
    return low, max(_GRID_DB * math.ceil(levels.max() / _GRID_DB), low + _LEAST_RANGE_DB)


def _points(heights: Floats, first: int, end: int, *, backward: bool = False) -> str:
    """Return a line through the middles of periods; that of a single period is as wide as the period."""
    if end - first == 1:
        points = [f"{at},{heights[first]:.1f}" for at in (first, end)]
    else:
        points = [f"{at + 0.5},{heights[at]:.1f}" for at in range(first, end)]
    return " ".join(reversed(points) if backward else points)


def _steps(heights: Floats, first: int, end: int) -> str:
    """Return a line that is level within each period."""
    changes = first + 1 + np.flatnonzero(np.diff(heights[first:end]))
    edges = [first, *changes.tolist(), end]
    return " ".join(f"{at},{heights[begin]:.1f}" for begin, until in pairwise(edges) for at in (begin, until))

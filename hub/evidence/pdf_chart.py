"""The chart of levels in the PDF of an evidence report: lines in black and grey, gaps hatched."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from reportlab.lib import colors
from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from hub.domain.level_rows import HOUR_S, STATISTICS, Floats, LevelTable, runs
from hub.evidence.contents import MINUTE_S, Period, SensorRecord
from hub.evidence.pdf_style import FONT, WIDTH

_HEIGHT: Final[float] = 62 * mm
_LEFT: Final[float] = 11 * mm
_BOTTOM: Final[float] = 9 * mm
_ABOVE: Final[float] = 3 * mm
"""Space above the plot, where alerts are marked."""
_SIZE: Final = 6.5
_GRID: Final = colors.Color(0.82, 0.82, 0.82)
_HATCH: Final = colors.Color(0.45, 0.45, 0.45)
_LINES: Final = (
    ("lafmax", colors.Color(0.6, 0.6, 0.6), 0.5, ()),
    ("l90", colors.Color(0.25, 0.25, 0.25), 0.5, (1.5, 1.2)),
    ("laeq", colors.black, 0.8, ()),
)
"""Levels of the chart with grey, width and dashes; the last is drawn on top."""
_BY_MINUTES_S: Final = 2 * 86_400
"""Longest period that is drawn by minutes; a longer one is drawn by hours."""
_STEPS: Final = (10, 30, 60, 180, 360, 720, 1_440, 2_880, 10_080, 40_320)
"""Minutes between two marks of the axis of time."""
_MOST_MARKS: Final = 9
_GRID_DB: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class ChartData:
    """The levels of a chart.

    Attributes:
        start_s: begin of the first value, in seconds since 1970 UTC.
        step_s: length of each.
        values: float64 [values] of each level in dB; NaN in a gap.
        period: the span of time.
        marks: times of alerts, in seconds since 1970 UTC.
        gaps: begin and end of each gap of at least a minute, likewise.
    """

    start_s: int
    step_s: int
    values: dict[str, Floats]
    period: Period
    marks: Sequence[float]
    gaps: Sequence[tuple[int, int]]


def chart_data(sensor: SensorRecord, period: Period, marks: Sequence[float]) -> ChartData:
    """Return the levels of a sensor by minutes, or by hours of a long period."""
    gaps = [(gap.start_s, gap.end_s) for gap in sensor.gaps_of("levels") if gap.end_s - gap.start_s >= MINUTE_S]
    if period.end_s - period.start_s <= _BY_MINUTES_S:
        return ChartData(period.start_s, MINUTE_S, _columns(sensor.minutes), period, marks, gaps)
    return ChartData(sensor.hours_start_s, HOUR_S, _columns(sensor.hours), period, marks, gaps)


def _columns(table: LevelTable) -> dict[str, Floats]:
    return {name: table.levels[:, STATISTICS.index(name)] for name, *_ in _LINES}


class LevelChart(Flowable):  # type: ignore[misc] # ReportLab ships no type information
    """A chart of levels over time.

    Args:
        data: what to draw.
    """

    def __init__(self, data: ChartData) -> None:
        super().__init__()
        self.width: float = WIDTH
        self.height: float = _HEIGHT
        self._data = data
        known = np.concatenate([own[np.isfinite(own)] for own in data.values.values()])
        self._low = _GRID_DB * math.floor(known.min() / _GRID_DB) if known.size else 0
        highest = _GRID_DB * math.ceil(known.max() / _GRID_DB) if known.size else 0
        self._high = max(highest, self._low + 2 * _GRID_DB)

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return the size."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the chart on the canvas that ReportLab set."""
        canvas = self.canv
        self._draw_grid(canvas)
        for name, grey, width, dash in _LINES:
            canvas.setStrokeColor(grey)
            canvas.setLineWidth(width)
            canvas.setDash(*([list(dash)] if dash else []))
            for first, end in runs(np.isfinite(self._data.values[name])):
                self._draw_line(canvas, self._data.values[name], first, end)
        canvas.setDash()
        self._draw_gaps(canvas)
        canvas.setFillColor(colors.black)
        for at_s in self._data.marks:
            path, x = canvas.beginPath(), self._x(at_s)
            path.moveTo(x, self.height - 2.5 * mm)
            path.lineTo(x - 1 * mm, self.height - 0.5 * mm)
            path.lineTo(x + 1 * mm, self.height - 0.5 * mm)
            path.close()
            canvas.drawPath(path, stroke=0, fill=1)

    def _x(self, at_s: float) -> float:
        period = self._data.period
        share = (at_s - period.start_s) / (period.end_s - period.start_s)
        return _LEFT + (self.width - _LEFT) * min(1.0, max(0.0, share))

    def _y(self, level: float) -> float:
        share = (level - self._low) / (self._high - self._low)
        return _BOTTOM + (self.height - _BOTTOM - _ABOVE) * share

    def _draw_gaps(self, canvas: Any) -> None:  # noqa: ANN401
        """Hatch what has no levels, over lines of hours that a gap is within."""
        bottom, top = _BOTTOM, self.height - _ABOVE
        canvas.setStrokeColor(_HATCH)
        canvas.setLineWidth(0.35)
        for begin_s, end_s in self._data.gaps:
            left, right = self._x(begin_s), self._x(end_s)
            canvas.saveState()
            path = canvas.beginPath()
            path.rect(left, bottom, max(right - left, 0.8), top - bottom)
            canvas.setFillColor(colors.white)
            canvas.clipPath(path, stroke=0, fill=1)
            for number in range(int((right - left + top - bottom) / (1.4 * mm)) + 2):
                x = left - (top - bottom) + number * 1.4 * mm
                canvas.line(x, bottom, x + top - bottom, top)
            canvas.restoreState()

    def _draw_grid(self, canvas: Any) -> None:  # noqa: ANN401
        canvas.setFont(FONT, _SIZE)
        canvas.setFillColor(colors.black)
        canvas.setStrokeColor(_GRID)
        canvas.setLineWidth(0.3)
        for level in range(self._low, self._high + 1, _GRID_DB):
            y = self._y(level)
            canvas.line(_LEFT, y, self.width, y)
            canvas.drawRightString(_LEFT - 1.2 * mm, y - 2, f"{level}".replace("-", "\N{MINUS SIGN}"))
        for at_s, lines in axis_marks(self._data.period):
            x = self._x(at_s)
            canvas.line(x, _BOTTOM, x, self.height - _ABOVE)
            for number, text in enumerate(lines):
                canvas.drawCentredString(min(x, self.width - 6 * mm), _BOTTOM - (3 + 3 * number) * mm, text)
        canvas.setStrokeColor(colors.black)
        canvas.line(_LEFT, _BOTTOM, self.width, _BOTTOM)

    def _draw_line(self, canvas: Any, values: Floats, first: int, end: int) -> None:  # noqa: ANN401
        """Draw a line through the middles of values; that of a single one is as wide as the value."""
        begin_s, step_s = self._data.start_s, self._data.step_s
        path = canvas.beginPath()
        places = [first, end] if end - first == 1 else [at + 0.5 for at in range(first, end)]
        for number, at in enumerate(places):
            x, y = self._x(begin_s + at * step_s), self._y(float(values[min(int(at), end - 1)]))
            (path.lineTo if number else path.moveTo)(x, y)
        canvas.drawPath(path, stroke=1, fill=0)


def axis_marks(period: Period) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the marks of the axis of time of a period: in seconds since 1970 UTC, with date and time of day."""
    minutes = (period.end_s - period.start_s) // MINUTE_S
    step = next((one for one in _STEPS if minutes / one <= _MOST_MARKS), _STEPS[-1])
    midnight = period.at(period.start_s).replace(hour=0, minute=0, second=0)
    dated = ""
    number = 0
    while True:
        if step < 1_440:
            at = period.at(midnight.timestamp() + number * step * MINUTE_S)
        else:
            at = midnight + timedelta(minutes=number * step)  # wall clock: midnight, also where clocks change
        at_s = int(at.timestamp())
        if at_s > period.end_s:
            return
        if at_s >= period.start_s:
            day = f"{at:%d %b %Y}"
            yield at_s, (f"{at:%H:%M}", "" if day == dated else day)
            dated = day
        number += 1

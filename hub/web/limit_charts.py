"""What the chart of a sensor's levels shows of limits: a line for each limit, and bars where levels exceed it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from hub.domain.exceedances import DAY_S, hour_limits
from hub.domain.level_rows import HOUR_S, MINUTES, Floats, runs
from hub.domain.limits import LimitRule, Period, day_bounds, year_bounds
from hub.web.context import WebContext
from hub.web.level_spans import PERIODS, Span, SpanName
from hub.web.level_views import Levels

_LINES: Final[Mapping[SpanName, tuple[Period, ...]]] = {
    "hour": ("minute", "hour"),
    "day": ("minute", "hour"),
    "week": ("hour",),
    "year": ("day", "year"),
}
"""Rules whose limit is drawn in the chart of a span: its levels are those that the rules compare."""
_BARS: Final[Mapping[SpanName, tuple[Period, ...]]] = {
    "hour": ("minute", "hour"),
    "day": ("minute", "hour", "window", "day"),
    "week": ("minute", "hour", "window", "day"),
    "year": ("window", "day", "year"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A time above a limit: begin and end in seconds since 1970 UTC."""

    start_s: int
    end_s: int


def limit_lines(parts: WebContext, place: str, span: Span, levels: Levels) -> dict[str, Floats]:
    """Return the limits that the chart of a span draws, by rule: float64 [periods] in dB, NaN where there is none.

    Raises:
        UnavailableError: the store does not answer.
    """
    rules = [
        rule
        for rule in parts.limits
        if rule.is_for(place) and rule.period in _LINES[span.name] and rule.quantity in levels.values
    ]
    if not rules or levels.unit != "dB":
        return {}
    if span.name == "year":
        return {
            rule.name: np.array([rule.limit_db if rule.applies_on(day.day) else np.nan for day in levels.days], float)
            for rule in rules
        }
    period_s = PERIODS[span.name][1]
    begins_s = levels.start_s + np.arange(len(levels.valid_s)) * period_s
    first_s = levels.start_s // HOUR_S * HOUR_S
    hours = parts.level_statistics.table(
        place, first_s, -(-(int(begins_s[-1]) + period_s) // HOUR_S) * HOUR_S, "hour"
    )
    minutes = (begins_s - first_s) * MINUTES // HOUR_S
    found = {}
    for rule in rules:
        line = hour_limits(rule, hours, first_s // HOUR_S, span.zone).limits.reshape(-1)[minutes]
        if np.isfinite(line).any():
            found[rule.name] = line
    return found


def limit_bars(parts: WebContext, place: str, span: Span) -> dict[str, list[Bar]]:
    """Return the times in a span at which levels exceed limits, by rule; rules without any are left out.

    Raises:
        UnavailableError: the store does not answer.
    """
    begin_s, end_s = span.bounds_s
    found = {}
    for rule in parts.limits:
        if rule.is_for(place) and rule.period in _BARS[span.name]:
            bars = [Bar(max(one.start_s, begin_s), min(one.end_s, end_s)) for one in _bars(parts, rule, place, span)]
            if bars := [one for one in bars if one.start_s < one.end_s]:
                found[rule.name] = bars
    return found


def _bars(parts: WebContext, rule: LimitRule, place: str, span: Span) -> list[Bar]:
    begin_s, end_s = span.bounds_s
    of_hours = rule.period in ("minute", "hour")
    first_s = (begin_s if of_hours else begin_s - DAY_S) // HOUR_S * HOUR_S
    exceeded = parts.exceedances.hours(rule.name, place, first_s, end_s)[:, 1] > 0
    if of_hours:
        return [Bar(first_s + HOUR_S * first, first_s + HOUR_S * end) for first, end in runs(exceeded)]
    if rule.period == "year":
        return [Bar(*year_bounds(span.day.year, span.zone))] if exceeded.any() else []
    hours = set((first_s // HOUR_S + np.flatnonzero(exceeded)).tolist())
    dates = (span.day + timedelta(days=number) for number in range(-1, (span.end - span.day).days))
    return [Bar(*bounds) for on in dates if (bounds := day_bounds(rule, on, span.zone))[0] // HOUR_S in hours]

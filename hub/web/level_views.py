"""What the page of a sensor's levels shows of a span of time: chart, values under the pointer, episodes, figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from hub.domain.day_levels import DayLevels, long_term
from hub.domain.episodes import Episode
from hub.domain.level_rows import STATISTICS, Floats, LevelTable
from hub.store.level_statistics import Resolution
from hub.web.context import WebContext
from hub.web.level_chart import LevelChart, level_chart
from hub.web.level_spans import PERIODS, Span, SpanName
from shared.events import LevelUnit
from shared.taxonomy import CATEGORIES

LABELS: Final[Mapping[str, str]] = {
    "laeq": "LAeq",
    "lafmax": "LAFmax",
    "l10": "L10",
    "l90": "L90",
    "lden": "Lden",
    "lday": "Lday",
    "levening": "Levening",
    "lnight": "Lnight",
}
_DRAWN: Final[dict[SpanName, tuple[str, ...]]] = {
    "hour": ("lafmax", "laeq"),
    "day": ("lafmax", "l10", "l90", "laeq"),
    "week": ("lafmax", "l10", "l90", "laeq"),
    "year": ("lafmax", "lnight", "lden"),
}
"""Levels of each chart; the last is drawn on top."""
_RESOLUTIONS: Final[dict[SpanName, Resolution]] = {"hour": "second", "day": "minute", "week": "hour"}
_AREA: Final = ("l10", "l90")
_MOST_EPISODES: Final = 500
_BEFORE_MS: Final = 3 * 3_600_000
"""Episodes that began at most this long before a span, and go on in it, are drawn."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of consecutive periods.

    Attributes:
        start_s: begin of the first, in seconds since 1970 UTC.
        values: float64 [periods] of each level.
        valid_s: int64 [periods], the seconds with levels of each period.
        unit: of the levels.
        left_out: number of periods in dBFS that are left out of levels in dB.
        days: levels of days, where the periods are days.
    """

    start_s: int
    values: Mapping[str, Floats]
    valid_s: Sequence[int]
    unit: LevelUnit
    left_out: int
    days: Sequence[DayLevels]


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a year: energetic means of its complete days, and their number."""

    begin: date
    days: int
    levels: Mapping[str, float | None]


def read_levels(parts: WebContext, place: str, span: Span) -> Levels:
    """Read the levels that the chart of a span shows.

    Raises:
        UnavailableError: the store does not answer.
    """
    if span.name == "year":
        return _levels_of_days(parts, place, span)
    period_s = PERIODS[span.name][1]
    begin_s, end_s = span.bounds_s
    begin_s, end_s = begin_s // period_s * period_s, -(-end_s // period_s) * period_s
    resolution = _RESOLUTIONS[span.name]
    if resolution == "second":
        table = parts.levels.series(place, begin_s, end_s)
    else:
        table = parts.level_statistics.table(place, begin_s, end_s, resolution)
    values = {name: table.levels[:, STATISTICS.index(name)] for name in _DRAWN[span.name]}
    return Levels(begin_s, values, table.seconds.tolist(), table.unit, table.left_out, ())


def _levels_of_days(parts: WebContext, place: str, span: Span) -> Levels:
    found = parts.day_levels.days([place], span.day, span.end - timedelta(days=1))[place]
    values = {
        "lafmax": _column(day.whole.lafmax if day.whole.complete else None for day in found.days),
        "lnight": _column(day.lnight.stated for day in found.days),
        "lden": _column(day.lden for day in found.days),
    }
    valid_s = [day.whole.valid_s for day in found.days]
    return Levels(span.bounds_s[0], values, valid_s, found.unit, 0, found.days)


def _column(levels: Iterator[float | None]) -> Floats:
    return np.array([np.nan if level is None else level for level in levels])


def chart_of(levels: Levels, span: Span, now: datetime, limits: Mapping[str, Floats]) -> LevelChart:
    """Return the chart of a span with the limits of its periods; what is to come is no gap."""
    count = len(levels.valid_s)
    if span.name == "year":
        past = sum(day.whole.end_s <= now.timestamp() for day in levels.days)
    else:
        past = min(count, max(0, int(now.timestamp()) - levels.start_s) // PERIODS[span.name][1])
    return level_chart(levels.values, past, _AREA if _AREA[0] in levels.values else None, limits)


def pointer_values(levels: Levels, span: Span) -> dict[str, Any]:
    """Return what the script of the chart shows under the pointer, as JSON."""
    count = len(levels.valid_s)
    period_s = PERIODS[span.name][1]
    if span.name == "year":
        links = [f"span=day&day={day.day}" for day in levels.days]
        labels = [f"{day.day:%a} {day.day.day} {day.day:%b}" for day in levels.days]
    else:
        times = [datetime.fromtimestamp(levels.start_s + n * period_s, span.zone) for n in range(count)]
        labels = [_label(at, span.name) for at in times]
        links = []
        if span.name == "day":
            links = [f"span=hour&day={at.date()}&hour={at.hour}" for at in times]
        elif span.name == "week":
            links = [f"span=day&day={at.date()}" for at in times]
    return {
        "unit": levels.unit,
        "labels": labels,
        "links": links,
        "valid": [] if period_s == 1 else list(levels.valid_s),
        "series": [
            {
                "name": LABELS[name],
                "values": [None if np.isnan(value) else round(float(value), 1) for value in column],
            }
            for name, column in reversed(list(levels.values.items()))
        ],
    }


def _label(at: datetime, name: SpanName) -> str:
    match name:
        case "hour":
            return f"{at:%H:%M:%S}"
        case "day":
            return f"{at:%H:%M}"
        case _:
            return f"{at:%a} {at.day} {at:%b}, {at:%H:%M}"


def episodes_of(parts: WebContext, place: str, span: Span) -> dict[str, list[Episode]]:
    """Return the episodes of each category, as corrected, in a span, the newest first; empty categories are left out.

    Raises:
        UnavailableError: the store does not answer.
    """
    begin_ms, end_ms = (1_000 * at_s for at_s in span.bounds_s)
    since_ms, corrections = begin_ms - _BEFORE_MS, parts.episode_store.corrections()
    found = {}
    for category in CATEGORIES:
        episodes = parts.episode_store.episodes(
            limit=_MOST_EPISODES, before_ms=end_ms, since_ms=since_ms, place=place, category=category
        )
        episodes = corrections.of(episodes, category, since_ms=since_ms, before_ms=end_ms, place=place)
        if own := [episode for episode in episodes if episode.last_ms > begin_ms]:
            found[category] = own
    return found


def months_of(days: Sequence[DayLevels]) -> list[Month]:
    """Return the months of a year with the energetic means of their complete days, dB; only those with any."""
    months = []
    for number in range(1, 13):
        own = [day for day in days if day.day.month == number and day.whole.valid_s]
        if own:
            months.append(mean_of(own))
    return months


def mean_of(days: Sequence[DayLevels]) -> Month:
    """Return the energetic means of complete days, dB, and the number of days with Lden."""
    levels = {
        "lden": long_term([day.lden for day in days]),
        "lday": long_term([day.lday.stated for day in days]),
        "levening": long_term([day.levening.stated for day in days]),
        "lnight": long_term([day.lnight.stated for day in days]),
    }
    return Month(days[0].day, sum(day.lden is not None for day in days), levels)


def hours_of(parts: WebContext, place: str, span: Span) -> tuple[int, LevelTable]:
    """Return the begin of the first hour of a span, in seconds since 1970 UTC, and the statistics of its hours.

    Raises:
        UnavailableError: the store does not answer.
    """
    begin_s, end_s = span.bounds_s
    first_s = begin_s // 3_600 * 3_600
    return first_s, parts.level_statistics.table(place, first_s, -(-end_s // 3_600) * 3_600, "hour")


def local_time(at_s: float, zone: ZoneInfo) -> str:
    """Format a time of day."""
    return f"{datetime.fromtimestamp(at_s, zone):%H:%M}"

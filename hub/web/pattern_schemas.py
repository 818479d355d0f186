"""API representations of patterns: what recurs, when, and when it is expected next."""

import math
from datetime import date, datetime

from pydantic import BaseModel, Field

from hub.domain.recurrence.analysis import RecurrenceSummary


class WindowView(BaseModel):
    """The next expected window: its probability, and that of any window of the same length."""

    start: datetime
    end: datetime
    probability: float
    base_rate: float


class TestedView(BaseModel):
    """Test of earlier forecasts: forecast windows, those that came true, and the number expected by chance."""

    windows: int
    hits: int
    expected_by_chance: float


class RhythmView(BaseModel):
    """Recurrence: how often, how regularly, and when next."""

    times: int
    days: int
    median_duration_s: float
    regularity: str
    profile: list[list[float | None]] = Field(
        description="share of hours with it, [7][24] from Monday 0:00 local; null where the sensor was offline"
    )
    next: WindowView | None
    tested: TestedView | None
    calendar: dict[date, float] = Field(description="hours with it, by local day")


class PatternView(RhythmView):
    """Recurrence of a category at a sensor."""

    site: str
    sensor: str
    category: str
    first_at: datetime | None
    last_at: datetime | None


def rhythm_view(summary: RecurrenceSummary, calendar: dict[date, float]) -> RhythmView:
    """Return the API representation of a recurrence."""
    return RhythmView(
        times=summary.times,
        days=summary.days,
        median_duration_s=summary.median_duration_s,
        regularity=summary.regularity,
        profile=profile_rows(summary),
        next=window_view(summary),
        tested=tested_view(summary),
        calendar=calendar,
    )


def pattern_view(place: str, category: str, summary: RecurrenceSummary, calendar: dict[date, float]) -> PatternView:
    """Return the API representation of the recurrence of a category at a sensor."""
    site, _, sensor = place.partition("/")
    return PatternView(
        site=site,
        sensor=sensor,
        category=category,
        first_at=summary.first_at,
        last_at=summary.last_at,
        **dict(rhythm_view(summary, calendar)),
    )


def profile_rows(summary: RecurrenceSummary) -> list[list[float | None]]:
    """Return a pattern's profile, [7][24]; None where the sensor was offline."""
    return [[None if math.isnan(p) else p for p in row] for row in summary.profile.tolist()]


def window_view(summary: RecurrenceSummary) -> WindowView | None:
    """Return the next expected window of a pattern; None if no time stands out."""
    window = summary.next
    return None if window is None else WindowView(**{name: getattr(window, name) for name in WindowView.model_fields})


def tested_view(summary: RecurrenceSummary) -> TestedView | None:
    """Return the test of earlier forecasts; None if none could be tested."""
    tested = summary.tested
    return None if tested is None else TestedView(**{name: getattr(tested, name) for name in TestedView.model_fields})

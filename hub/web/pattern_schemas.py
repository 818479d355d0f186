"""What the API tells of patterns: what comes back, when, and when next."""

import math
from datetime import date, datetime

from pydantic import BaseModel, Field

from hub.domain.recurrence.analysis import RecurrenceSummary


class WindowView(BaseModel):
    """When it is likely next, against how likely any window of that length is."""

    start: datetime
    end: datetime
    probability: float
    base_rate: float


class TestedView(BaseModel):
    """How earlier forecasts did: windows foretold, those that came true, and how many chance would have hit."""

    windows: int
    hits: int
    expected_by_chance: float


class RhythmView(BaseModel):
    """How often, how regularly, and when next."""

    times: int
    days: int
    median_duration_s: float
    regularity: str
    profile: list[list[float | None]] = Field(
        description="share of hours with it, [7][24] from Monday 0:00 local; null where nothing was heard"
    )
    next: WindowView | None
    tested: TestedView | None
    calendar: dict[date, float] = Field(description="hours of each local day in which it was heard")


class PatternView(RhythmView):
    """How often, how regularly, and when next a category is heard at a sensor."""

    site: str
    sensor: str
    category: str
    first_at: datetime | None
    last_at: datetime | None


def rhythm_view(found: RecurrenceSummary, calendar: dict[date, float]) -> RhythmView:
    """A pattern's rhythm as the API tells it."""
    return RhythmView(
        times=found.times,
        days=found.days,
        median_duration_s=found.median_duration_s,
        regularity=found.regularity,
        profile=profile_rows(found),
        next=window_view(found),
        tested=tested_view(found),
        calendar=calendar,
    )


def pattern_view(place: str, category: str, found: RecurrenceSummary, calendar: dict[date, float]) -> PatternView:
    """A pattern as the API tells it."""
    site, _, sensor = place.partition("/")
    return PatternView(
        site=site,
        sensor=sensor,
        category=category,
        first_at=found.first_at,
        last_at=found.last_at,
        **dict(rhythm_view(found, calendar)),
    )


def profile_rows(found: RecurrenceSummary) -> list[list[float | None]]:
    """A pattern's profile, [7][24]; None where nothing was heard."""
    return [[None if math.isnan(p) else p for p in row] for row in found.profile.tolist()]


def window_view(found: RecurrenceSummary) -> WindowView | None:
    """The next window of a pattern; None if no time stands out."""
    window = found.next
    return None if window is None else WindowView(**{name: getattr(window, name) for name in WindowView.model_fields})


def tested_view(found: RecurrenceSummary) -> TestedView | None:
    """How earlier forecasts did; None if there was none to judge."""
    tested = found.tested
    return None if tested is None else TestedView(**{name: getattr(tested, name) for name in TestedView.model_fields})

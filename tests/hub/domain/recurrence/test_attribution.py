from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from hub.domain.recurrence.attribution import attributable_fraction
from hub.domain.recurrence.history import Interval

ZONE = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 9, 7, tzinfo=ZONE)


def span(day: int, hour: float) -> Interval:
    opened = round((MONDAY + timedelta(days=day, hours=hour)).timestamp() * 1000)
    return Interval(opened, opened + 1_200_000)


def hours(days: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    first = int(MONDAY.timestamp()) // 3600
    return np.arange(first, first + 24 * days, dtype=np.int64)


def at(day: int, hour: float, spans: list[Interval]) -> float:
    return attributable_fraction(spans, hours(day + 1), MONDAY + timedelta(days=day, hours=hour), ZONE)


JACKHAMMER = [span(day, 7.2) for day in range(21) if day % 7 < 5]
RNG = np.random.default_rng(0)
NOISE = [span(day, float(RNG.uniform(0, 24))) for day in range(21) for _ in range(2)]


def test_a_weekday_mornings_noise_belongs_to_the_rhythm_and_other_hours_do_not() -> None:
    assert at(21, 7.2, JACKHAMMER) > 0.8
    assert at(21, 15.0, JACKHAMMER) == 0.0
    assert at(19, 7.2, JACKHAMMER) < 0.6, "a Saturday"


def test_noise_at_any_hour_belongs_to_none() -> None:
    found = [at(21, hour, NOISE) for hour in range(24)]
    assert sum(b > 0.6 for b in found) <= 1


def test_a_rhythm_is_found_among_noise() -> None:
    assert at(21, 7.2, [*JACKHAMMER, *NOISE]) > 0.6


def test_two_days_are_no_rhythm_and_what_begins_now_is_no_evidence() -> None:
    assert at(2, 7.2, JACKHAMMER[:2]) == 0.0
    assert at(21, 7.2, []) == 0.0
    again = [span(21, 7.0), span(21, 7.1)]
    assert at(21, 7.5, [*JACKHAMMER, *again]) == at(21, 7.5, JACKHAMMER)


def test_without_hours_observed_it_is_silent_not_wrong() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert 0.0 <= attributable_fraction(JACKHAMMER, nothing, datetime(2026, 9, 28, 5, 12, tzinfo=UTC), ZONE) <= 1.0

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.alerting.enrichment import recurrence_message
from hub.domain.recurrence.analysis import NO_PATTERN, SOME_HOURS, RecurrenceSummary, summarise
from hub.domain.recurrence.forecast import Ints
from hub.domain.recurrence.history import Interval, merged
from shared.errors import InvalidError

VIENNA = ZoneInfo("Europe/Vienna")
MONDAY = datetime(2026, 4, 13, tzinfo=VIENNA)


def span(at: datetime, minutes: float = 10) -> Interval:
    opened = round(at.timestamp() * 1000)
    return Interval(opened, opened + round(minutes * 60_000))


def hours(start: datetime, end: datetime) -> Ints:
    """UTC hours from start to end, the last one included."""
    return np.arange(start.timestamp() // 3600, end.timestamp() // 3600 + 1).astype(np.int64)


def jackhammer(rng: np.random.Generator, day: datetime) -> list[Interval]:
    if day.weekday() >= 5 or rng.random() >= 0.9:
        return []
    return [span(day + timedelta(hours=7, minutes=rng.uniform(-20, 20)), rng.uniform(5, 60))]


def saw(rng: np.random.Generator, day: datetime) -> list[Interval]:
    if day.toordinal() % 2:
        return []
    return [span(day + timedelta(hours=23, minutes=rng.uniform(-20, 20)), rng.uniform(5, 30))]


def noise(rng: np.random.Generator, day: datetime, rate: float = 0.01) -> list[Interval]:
    struck = np.flatnonzero(rng.random(24) < rate).tolist()
    return [span(day + timedelta(hours=h, minutes=rng.uniform(0, 60)), rng.uniform(0, 15)) for h in struck]


Kind = Callable[[np.random.Generator, datetime], list[Interval]]


def history(seed: int, days: int, *kinds: Kind, start: datetime = MONDAY) -> list[Interval]:
    rng = np.random.default_rng(seed)
    return [s for d in range(days) for kind in kinds for s in kind(rng, start + timedelta(days=d))]


def look(spans: list[Interval], days: float = 30, start: datetime = MONDAY) -> RecurrenceSummary:
    now = start + timedelta(days=days)
    return summarise(spans, hours(start, now), now, start.tzinfo if isinstance(start.tzinfo, ZoneInfo) else VIENNA)


def daily(hour: int, days: int = 30, which: Callable[[int], bool] = lambda _: True) -> list[Interval]:
    """At one hour on the days since a Monday that are chosen."""
    return [span(MONDAY + timedelta(days=d, hours=hour, minutes=5)) for d in range(days) if which(d)]


@pytest.mark.parametrize(
    ("kind", "regularity"), [(jackhammer, "weekdays around 07:00"), (saw, "every other night around 23:00")]
)
def test_next_windows_of_a_rhythm_come_true_far_more_often_than_chance(kind: Kind, regularity: str) -> None:
    stated, usual, came, words, held = [], [], [], [], []
    for seed in range(12):
        spans = history(seed, 44, kind, noise)
        for days in (30, 33.4):
            found = look(spans, days)
            words.append(found.regularity)
            assert found.next is not None
            assert found.tested is not None
            held.append((found.tested.windows, found.tested.hits, found.tested.expected_by_chance))
            start, end = (at.timestamp() * 1000 for at in (found.next.start, found.next.end))
            came.append(any(s.opened_ms < end and s.last_ms >= start for s in spans))
            stated.append(found.next.probability)
            usual.append(found.next.base_rate)
    assert words.count(regularity) >= 0.9 * len(words)
    assert np.mean(came) >= 0.7
    assert np.mean(usual) <= 0.15
    windows, hits, chance = np.sum(held, axis=0)
    assert hits >= 0.75 * windows
    assert chance <= 0.15 * windows
    assert np.mean(stated) == pytest.approx(np.mean(came), abs=0.15)


def test_both_at_one_place_are_foretold_and_tested_on_the_last_third() -> None:
    found = look(history(1, 30, jackhammer, saw, noise))
    assert found.tested is not None
    assert found.tested.windows > 5
    assert found.tested.hits > 0.7 * found.tested.windows
    assert found.tested.expected_by_chance < 0.2 * found.tested.windows


def test_random_noise_has_no_rhythm_and_hardly_ever_a_window() -> None:
    found = [look(history(seed, 30, lambda rng, day: noise(rng, day, 0.03))) for seed in range(30)]
    assert all(p.strength == 0.0 and p.regularity in {NO_PATTERN, SOME_HOURS} for p in found)
    assert sum(p.next is not None for p in found) <= 2


@pytest.mark.parametrize(
    ("spans", "regularity"),
    [
        (daily(8), "daily around 08:00"),
        (daily(23), "every night around 23:00"),
        (daily(0), "every night around 00:00"),
        (daily(7, which=lambda d: d % 7 < 5), "weekdays around 07:00"),
        (daily(11, which=lambda d: d % 7 >= 5), "weekends around 11:00"),
        (daily(9, which=lambda d: d % 7 in {0, 3}), "Mondays and Thursdays around 09:00"),
        (daily(9, which=lambda d: d % 7 in {0, 2, 4}), "Mondays, Wednesdays and Fridays around 09:00"),
        (daily(14, 30, which=lambda d: d % 7 == 1), "Tuesdays around 14:00"),
        (daily(12, which=lambda d: d % 2 == 0), "every other day around 12:00"),
        (daily(12, which=lambda d: d % 2 == 1), "every other day around 12:00"),
        ([s for h in range(7, 16) for s in daily(h, which=lambda d: d % 7 < 5)], "weekdays between 07:00 and 16:00"),
        ([s for h in range(24) for s in daily(h)], NO_PATTERN),
        (daily(8, which=lambda d: d in {3, 4, 17}), NO_PATTERN),
    ],
)
def test_regularity_in_words(spans: list[Interval], regularity: str) -> None:
    assert look(spans).regularity == regularity


def test_how_often_on_how_many_days_and_since_when() -> None:
    spans = [span(MONDAY + timedelta(hours=h), minutes) for h, minutes in ((1, 2), (5, 4), (47, 90))]
    found = look(spans[::-1])
    assert (found.times, found.days) == (3, 2)
    assert found.first_at == MONDAY + timedelta(hours=1)
    assert found.last_at == MONDAY + timedelta(hours=48, minutes=30)
    assert found.median_duration_s == 240


def test_the_profile_is_the_share_of_hours_observed() -> None:
    spans = daily(7, 14, which=lambda d: d == 0)
    profile = look(spans, 14).profile
    assert profile.dtype == np.float32
    assert profile.shape == (7, 24)
    assert profile[0, 7] == 0.5
    assert np.nansum(profile) == 0.5
    assert not np.isnan(profile).any()


def test_an_hour_not_observed_is_neither_active_nor_quiet() -> None:
    spans = daily(7, 14, which=lambda d: d == 0)
    now = MONDAY + timedelta(days=14)
    observed = hours(MONDAY, now)
    unheard = round((MONDAY + timedelta(days=7, hours=7)).timestamp() // 3600)
    tuesdays_noon = [round((MONDAY + timedelta(days=d, hours=12)).timestamp() // 3600) for d in (1, 8)]
    profile = summarise(spans, np.setdiff1d(observed, [unheard, *tuesdays_noon]), now, VIENNA).profile
    assert profile[0, 7] == 1.0
    assert np.isnan(profile[1, 12])
    assert np.isnan(profile).sum() == 1


def test_a_silent_sensor_does_not_dilute_a_rhythm() -> None:
    spans = daily(8)
    now = MONDAY + timedelta(days=30)
    up = [h for h in hours(MONDAY, now).tolist() if (h - 16) % 72 >= 24]
    kept = [s for s in spans if s.opened_ms // 3_600_000 in set(up)]
    found = summarise(kept, np.array(up, dtype=np.int64), now, VIENNA)
    assert found.regularity == "daily around 08:00"
    assert found.next is not None
    assert found.next.probability > 0.7


def test_seven_stays_seven_when_the_clock_is_changed() -> None:
    start = datetime(2026, 3, 2, tzinfo=VIENNA)
    spans = [span(start + timedelta(days=d, hours=7, minutes=10)) for d in range(27)]
    found = look(spans, 27, start)  # The night to the 29th of March, when the clock is put forward.
    assert found.next is not None
    assert found.next.start == datetime(2026, 3, 29, 7, tzinfo=VIENNA)
    later = look([span(start + timedelta(days=d, hours=7, minutes=10)) for d in range(40)], 40, start)
    assert later.profile[:, 7].tolist() == [1.0] * 7
    assert np.nansum(later.profile) == 7
    assert later.regularity == "daily around 07:00"
    assert later.next is not None
    assert later.next.start == datetime(2026, 4, 11, 7, tzinfo=VIENNA)


def test_a_clock_that_is_off_by_half_hours_is_read_right() -> None:
    delhi = ZoneInfo("Asia/Kolkata")
    start = datetime(2026, 4, 13, tzinfo=delhi)
    spans = [span(start + timedelta(days=d, hours=8, minutes=35), 1) for d in range(30)]
    assert look(spans, 30, start).regularity == "daily around 08:30"


def test_an_empty_history_is_described_as_empty() -> None:
    found = summarise([], np.zeros(0, dtype=np.int64), MONDAY, VIENNA)
    assert (found.times, found.days, found.first_at, found.last_at) == (0, 0, None, None)
    assert (found.regularity, found.next, found.tested) == (NO_PATTERN, None, None)
    assert np.isnan(found.profile).all()


def test_fewer_than_three_days_are_no_pattern() -> None:
    found = look(daily(8, 2), 2)
    assert (found.times, found.regularity, found.next, found.tested) == (2, NO_PATTERN, None, None)


def test_what_is_after_the_present_is_left_out() -> None:
    spans = [*daily(8), span(MONDAY + timedelta(days=10, minutes=-1), 600)]
    found = look(spans, 10)
    assert found.times == 11
    assert found.last_at == MONDAY + timedelta(days=10)


def test_a_window_begins_at_a_full_hour_to_come() -> None:
    now = MONDAY + timedelta(days=30, hours=7, minutes=59)
    found = summarise(daily(8), hours(MONDAY, now), now.astimezone(UTC), VIENNA)
    assert found.next is not None
    assert found.next.start == MONDAY + timedelta(days=30, hours=8)
    assert found.next.end == MONDAY + timedelta(days=30, hours=9)
    assert found.next.start.tzinfo is VIENNA


def test_a_present_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidError, match="time zone"):
        summarise([], np.zeros(0, dtype=np.int64), MONDAY.replace(tzinfo=None), VIENNA)


def test_an_episode_cannot_end_before_it_begins() -> None:
    with pytest.raises(InvalidError, match="before it begins"):
        Interval(2, 1)


@given(
    st.lists(st.tuples(st.integers(0, 400 * 24), st.integers(0, 40 * 60)), max_size=30),
    st.sets(st.integers(0, 400 * 24), max_size=300),
    st.sampled_from(["Europe/Vienna", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_any_history_gives_a_sane_pattern(drawn: list[tuple[int, int]], observed: set[int], zone: str) -> None:
    now = MONDAY + timedelta(days=300)
    first = int(MONDAY.timestamp()) // 3600
    spans = [span(MONDAY + timedelta(hours=at), minutes) for at, minutes in drawn]
    found = summarise(spans, np.array(sorted(observed), dtype=np.int64) + first, now, ZoneInfo(zone))
    assert found.days <= found.times <= len(spans)
    share = found.profile[~np.isnan(found.profile)]
    assert ((share >= 0) & (share <= 1)).all()
    if found.next is not None:
        assert now < found.next.start < found.next.end
        assert 0 < found.next.base_rate < found.next.probability < 1


def with_pauses(rng: np.random.Generator, day: datetime) -> list[Interval]:
    """Work of about an hour from seven, give or take twenty minutes, with pauses of two minutes."""
    if day.weekday() >= 5:
        return []
    begin = day + timedelta(hours=7, minutes=rng.uniform(-20, 20))
    return [span(begin + timedelta(minutes=5 * n), 3) for n in range(int(rng.integers(4, 13)))]


@pytest.mark.parametrize("seed", range(5))
def test_what_begins_at_seven_is_stated_to_begin_at_seven_whatever_its_pauses(seed: int) -> None:
    spans, now = history(seed, 30, with_pauses), MONDAY + timedelta(days=30)
    found = summarise(spans, hours(MONDAY, now), now, VIENNA, pause_ms=1_800_000)
    assert found.regularity == "weekdays around 07:00"
    assert found.times == len(spans)
    assert found.median_duration_s > 900
    assert summarise(spans, hours(MONDAY, now), now, VIENNA).regularity == "weekdays around 07:30"


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)), max_size=30), st.integers(0, 1_000))
def test_occurrences_lie_more_than_a_pause_apart_and_hold_every_span(
    drawn: list[tuple[int, int]], pause_ms: int
) -> None:
    spans = [Interval(at, at + length) for at, length in drawn]
    made = merged(spans, pause_ms)
    assert all(b.opened_ms - a.last_ms > pause_ms for a, b in itertools.pairwise(made))
    assert {s.opened_ms for s in made} <= {s.opened_ms for s in spans}
    assert {s.last_ms for s in made} <= {s.last_ms for s in spans}
    for one in spans:
        assert sum(s.opened_ms <= one.opened_ms and one.last_ms <= s.last_ms for s in made) == 1
    assert merged(made, pause_ms) == made


@pytest.mark.parametrize("chosen", range(1, 128))
def test_whatever_days_it_comes_on_its_regularity_fits_into_a_message(chosen: int) -> None:
    spans = [span(MONDAY + timedelta(days=day, hours=8), 7 * 60 + 30) for day in range(70) if chosen >> day % 7 & 1]
    found = look(spans, 70)
    assert len(found.regularity) <= 64
    message = recurrence_message(found, "engine", [], MONDAY)
    assert message.regularity == found.regularity


def test_many_days_are_named_in_short() -> None:
    spans = [span(MONDAY + timedelta(days=day, hours=8), 7 * 60 + 30) for day in range(70) if day % 7 != 4]
    assert look(spans, 70).regularity == "Mon, Tue, Wed, Thu, Sat and Sun between 08:00 and 16:00"

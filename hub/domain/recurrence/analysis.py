"""Recurrence of something: how often it comes back, how regularly, and when next.

Time is counted in UTC hours and read on the site's own clock, so that seven o'clock stays seven o'clock when the
clock is changed. An hour in which the sensor reported nothing is neither active nor quiet: it is not known.

Source: Schwarz 1978 (penalty per fitted rate); Rissanen 1983 (penalty per rhythm to choose from).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hub.domain.recurrence.forecast import (
    DAY,
    WEEK,
    Bools,
    Floats,
    Ints,
)
from hub.domain.recurrence.forecast_windows import BacktestResult, backtest, next_window, rolling_any
from hub.domain.recurrence.history import (
    _EPOCH_DAY,
    _HOUR_MS,
    _HOUR_S,
    History,
    Interval,
    _at,
    _shift_s,
    history_of,
    merged,
)
from shared.errors import InvalidError

FEWEST_DAYS: Final = 3
"""With fewer different days there is no pattern."""
MOST_TESTS: Final = 20
NO_PATTERN: Final = "no clear rhythm"
SOME_HOURS: Final = "more often at some hours"
"""Regularity of something with a likely window, but without days and a time that fit it."""

_BLOCK: Final = 3
"""Hours in which a rhythm is looked for."""
_LONG: Final = 4
"""Hours a day beyond which a text names both ends."""
_LEAST_EVIDENCE: Final = math.log(10)
_LEAST_ON: Final = 0.6
_MOST_OFF: Final = 0.25
_DAILY, _WEEKDAYS, _WEEKENDS = 0b1111111, 0b0011111, 0b1100000
_EVERY_OTHER: Final = 128
"""Choices of days: 1 to 127 are sets of days of the week, Monday the lowest bit; then even days, then odd ones."""
_SPELT_OUT: Final = 3
"""Number of days above which their names are short: messages have room for 64 characters."""
_NAMES: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True, slots=True)
class Window:
    """The next time at which it is likely.

    Attributes:
        start: a full hour, on the site's clock.
        end: the full hour it ends before.
        probability: P(something happens in it).
        base_rate: share of past windows as long, at any hour, in which something happened.
    """

    start: datetime
    end: datetime
    probability: float
    base_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class RecurrenceSummary:
    """Recurrence of something.

    Attributes:
        times: episodes.
        days: local dates on which one began.
        first_at: when the first began, on the site's clock; None if there was none.
        last_at: when the last one ended.
        median_duration_s: of an occurrence.
        profile: float32 [7, 24], from Monday 0:00 local: share of the observed hours in which something happened; NaN
            where none was observed. Of the last half year, like all that follows.
        regularity: in words; the rule is `_regularity`'s.
        next: the next likely window; None if none stands out.
        tested: what became of such windows in the last third of the history; None if there was none to judge.
        strength: how much more likely the history is with the named days and time than without, in nats; 0 without.
    """

    times: int
    days: int
    first_at: datetime | None
    last_at: datetime | None
    median_duration_s: float
    profile: npt.NDArray[np.float32]
    regularity: str
    next: Window | None
    tested: BacktestResult | None
    strength: float = 0.0

    @property
    def rank(self) -> tuple[float, float, int]:
        """Return the order of patterns, the greatest first: strength, gain of the next window, number."""
        gain = 0.0 if self.next is None else self.next.probability - self.next.base_rate
        return self.strength, gain, self.times


def summarise(
    spans: Sequence[Interval],
    online: Ints,
    now: datetime,
    zone: ZoneInfo,
    pause_ms: int = 0,
    *,
    tests_forecasts: bool = True,
) -> RecurrenceSummary:
    """Summarise the occurrences so far, in figures and words, and the likely next ones.

    Args:
        spans: episodes in any order; what is after `now` is left out.
        online: int64 [h], rising: hours since 1970 UTC in which the sensor reported anything.
        now: aware; windows begin at the next full hour or later.
        zone: the site's.
        pause_ms: longest pause within an occurrence: what follows a pause is no beginning.
        tests_forecasts: whether to compute `tested`, which takes most of the time.

    Raises:
        InvalidError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise InvalidError("the present moment needs a time zone")
    now_ms = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    begun = [Interval(span.opened_ms, min(span.last_ms, now_ms)) for span in spans if span.opened_ms <= now_ms]
    past = merged(begun, pause_ms)
    episodes = np.array([(span.opened_ms, span.last_ms) for span in past], dtype=np.int64).reshape(-1, 2)
    history = history_of(begun, online, now_ms // _HOUR_MS, zone)
    days = len({_at(span.opened_ms, zone).date() for span in past})
    enough = days >= FEWEST_DAYS
    following = _next(history, zone) if enough else None
    regularity, strength = _regularity(history, episodes[:, 0], zone) if enough else (NO_PATTERN, 0.0)
    if regularity == NO_PATTERN and following is not None:
        regularity = SOME_HOURS
    return RecurrenceSummary(
        times=len(begun),
        days=days,
        first_at=_at(past[0].opened_ms, zone) if past else None,
        last_at=_at(past[-1].last_ms, zone) if past else None,
        median_duration_s=float(np.median(episodes[:, 1] - episodes[:, 0]) / 1000) if past else 0.0,
        profile=_profile(history),
        regularity=regularity,
        next=following,
        tested=_tested(history, episodes[:, 1]) if enough and tests_forecasts else None,
        strength=strength,
    )


def _profile(history: History) -> npt.NDArray[np.float32]:
    """Return the share of active hours, by local hour of the week: float32 [7, 24], NaN where none was observed."""
    at = history.hour_of_week[: len(history.active)]
    hits, counts = (
        np.bincount(at[chosen], minlength=WEEK) for chosen in (history.active, history.observed | history.active)
    )
    share = np.divide(hits, counts, out=np.full(WEEK, np.nan), where=counts > 0)
    return np.asarray(share.reshape(7, DAY), dtype=np.float32)


def _next(history: History, zone: ZoneInfo) -> Window | None:
    found = next_window(history.active, history.observed, history.hour_of_week)
    if found is None:
        return None
    start = history.first + len(history.active) + found.begin
    begin, end = (_at(hour * _HOUR_MS, zone) for hour in (start, start + found.hours))
    return Window(begin, end, found.probability, found.base_rate)


def _tested(history: History, last_ms: Ints) -> BacktestResult | None:
    """Forecasts at the ends of episodes in the last third of the history, at most 20, evenly spread."""
    n = len(history.active)
    ends = np.unique(last_ms // _HOUR_MS - history.first)
    ends = ends[ends >= n - n // 3]
    if len(ends) > MOST_TESTS:
        ends = ends[np.linspace(0, len(ends) - 1, MOST_TESTS).round().astype(np.int64)]
    return backtest(history.active, history.observed, history.hour_of_week, ends.tolist())


def _regularity(history: History, opened_ms: Ints, zone: ZoneInfo) -> tuple[str, float]:
    """On which days, and when, in words; and how much likelier that makes the history, in nats.

    For each three hours of the day and each choice of days (a set of days of the week, or every other day): how much
    more probable are the observations if it happens on the chosen days at one rate, 0.6 at least, and on the others
    at another, 0.25 at most, than if all hours were alike? Each choice pays for the rates it fits and for how many
    others there are; the best is named if ten times likelier even so.

    The time is the median beginning in those three hours, to the half hour; or, if the hours about them that are half
    as often active as the best are more than four, from when to when.
    """
    active, observed, first_day = _by_local_hour(history)
    choices = _choices(first_day + np.arange(len(active) // DAY - 2))
    hits, counted = (of[DAY:-DAY].reshape(-1, DAY) for of in rolling_any(active, observed, _BLOCK))
    evidence = _evidence(choices, (hits & counted).astype(np.float64), counted.astype(np.float64))
    chosen, hour = np.unravel_index(int(evidence.argmax()), evidence.shape)
    strength = float(evidence[chosen, hour])
    if strength < _LEAST_EVIDENCE:
        return NO_PATTERN, 0.0
    begin, hours = _active_window(choices[chosen], active, observed, int(hour))
    if hours > _LONG:
        text = f"{_days(int(chosen) + 1, night=False)} between {begin:02}:00 and {(begin + hours) % DAY:02}:00"
        return text, strength
    shifts = np.array([_shift_s(at // _HOUR_MS, zone) for at in opened_ms.tolist()])
    after = ((opened_ms / 1000 + shifts) / _HOUR_S - hour) % DAY
    started = hour + np.median(after[after < _BLOCK]) if (after < _BLOCK).any() else begin
    at = round(2 * float(started)) % (2 * DAY)
    return f"{_days(int(chosen) + 1, night=not 10 <= at < 42)} around {at // 2:02}:{at % 2 * 30:02}", strength


def _by_local_hour(history: History) -> tuple[Bools, Bools, int]:
    """Active and counted hours of whole local days, an unknown day before and after; and which the first one is."""
    local = history.local[: len(history.active)]
    first_day, last_day = int(local[0]) // DAY, int(local[-1]) // DAY
    active, observed = np.zeros((2, (last_day - first_day + 3) * DAY), dtype=np.bool_)
    at = local - (first_day - 1) * DAY
    active[at[history.active]] = True
    observed[at[history.observed]] = True
    return active, observed, first_day


def _choices(days: Ints) -> Floats:
    """Return which days, since 1970, each choice contains: 0 or 1, [129, len(days)]."""
    sets = np.arange(1, _EVERY_OTHER)[:, None] >> ((days + _EPOCH_DAY) % 7) & 1
    return np.concatenate([sets, [days % 2 == 0, days % 2 == 1]]).astype(np.float64)


def _evidence(choices: Floats, hits: Floats, counted: Floats) -> Floats:
    """Return the log-likelihood gain of days and an hour over one rate for [days, 24], in nats: [129, 24]."""
    on, on_hits = choices @ counted, choices @ hits
    off, off_hits = counted.sum(axis=0) - on, hits.sum(axis=0) - on_hits
    likelihood = _likelihood(on_hits, on, np.maximum((on_hits + 0.5) / (on + 1), _LEAST_ON))
    likelihood += _likelihood(off_hits, off, np.minimum((off_hits + 0.5) / (off + 1), _MOST_OFF))
    alike = _likelihood(hits.sum(axis=0), counted.sum(axis=0), (hits.sum() + 0.5) / (counted.sum() + 1))
    price = np.full((len(choices), 1), math.log(DAY * 124) + math.log(len(hits)))
    price[[_DAILY - 1, _WEEKDAYS - 1, _WEEKENDS - 1]] += math.log(3 / 124)
    price[_EVERY_OTHER - 1 :] += math.log(2 / 124)
    price[_DAILY - 1] -= math.log(len(hits)) / 2
    return np.where(on_hits >= FEWEST_DAYS, likelihood - alike - price, -np.inf)


def _likelihood(hits: Floats, counted: Floats, rate: npt.ArrayLike) -> Floats:
    return np.asarray(hits * np.log(rate) + (counted - hits) * np.log1p(-np.asarray(rate)), dtype=np.float64)


def _active_window(chosen: Floats, active: Bools, observed: Bools, hour: int) -> tuple[int, int]:
    """Hour of day and number of the hours about a block that are half as often active as its best, on chosen days."""
    begin = DAY + hour - DAY // 2
    hits, counted = (
        chosen @ of[begin : begin + len(chosen) * DAY].reshape(-1, DAY) for of in (active & observed, observed)
    )
    rate = hits / np.maximum(counted, 1)
    low = high = DAY // 2 + int(rate[DAY // 2 : DAY // 2 + _BLOCK].argmax())
    least = rate[low] / 2
    while low > 0 and rate[low - 1] >= least:
        low -= 1
    while high < DAY - 1 and rate[high + 1] >= least:
        high += 1
    return (hour - DAY // 2 + low) % DAY, high - low + 1


def _days(chosen: int, *, night: bool) -> str:
    """Describe a choice of days."""
    plain = {_DAILY: "every night" if night else "daily", _WEEKDAYS: "weekdays", _WEEKENDS: "weekends"}
    if chosen >= _EVERY_OTHER:
        return "every other night" if night else "every other day"
    names = [name for bit, name in enumerate(_NAMES) if chosen >> bit & 1]
    if len(names) > _SPELT_OUT:
        names = [name[:3] for name in names]
    return plain.get(chosen) or " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])

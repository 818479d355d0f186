"""Forecast of the coming week's hours from past hours.

It is not known beforehand whether a noise follows the clock, the working week or every other night. So seven simple
predictors, each a table of counts, predict every past hour from what came before it; those that did well speak
louder about the hours to come. All of them lean towards the overall rate until they have seen enough.

Source: Hoeting et al. 1999 (Bayesian model averaging); Dawid 1984 (prequential forecasting); Krichevsky and
Trofimov 1981 (smoothed counts).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

DAY: Final = 24
WEEK: Final = 168

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STRENGTH: Final = 2.0
"""Hours of evidence that the overall rate is worth in each cell of a table."""
_RARE: Final = 0.05
"""The overall rate before the first observed hour; counts as one hour of evidence."""
_PLAIN_PRIOR: Final = 0.9
"""Prior probability that an hour follows nothing but the overall rate: there are many hours to be fooled by."""
_STATES: Final = 3
"""States of an earlier hour: quiet, active, unknown."""
_SHAPES: Final = (
    (1,),  # the overall rate
    (DAY,),  # hour of day
    (DAY, 2),  # hour of day x weekend
    (DAY, 7),  # hour of day x day of week
    (DAY, _STATES),  # hour of day x yesterday about that hour
    (DAY, _STATES, _STATES),  # hour of day x yesterday x the day before: catches every other night
    (DAY, _STATES),  # hour of day x a week ago at that hour
)
_SIZES: Final = np.array([np.prod(shape) for shape in _SHAPES])
_BEGIN: Final = np.cumsum(_SIZES) - _SIZES
_BEFORE: Final = WEEK + 1
"""Unknown hours put before the history, so that a week earlier always exists."""
_BLOCK: Final = DAY - 1
"""Hours foretold at once: yesterday about that hour, give or take one, lies before the block."""

_MOST_HOURS: Final = 24
_LEAST_PROBABILITY: Final = 0.3
_LEAST_ODDS_RATIO: Final = 3.0
_MOST_DOUBT: Final = 0.05
"""Limit for a window that stands out; see `next_window`."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The coming week, hour by hour.

    Attributes:
        probability: P(active), float64 [168], in (0, 1).
        doubt: P(that hour of day follows nothing but the overall rate), float64 [168]; 0.9 is no evidence.
        base_rate: the overall rate, in (0, 1).
    """

    probability: Floats
    null_probability: Floats
    base_rate: float


class ForecastWindow(NamedTuple):
    """Some hours ahead.

    Attributes:
        begin: hours from the end of the history to the window's first.
        hours: length, at least 1.
        probability: P(active in at least one of them).
        base_rate: the same of any window of that length.
    """

    begin: int
    hours: int
    probability: float
    base_rate: float


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Outcome of windows that were forecast from part of the history.

    Attributes:
        windows: how many different windows were predicted, and observed throughout.
        hits: in how many of them something happened.
        expected_by_chance: in how many it would have in as many windows taken anywhere, as long.
    """

    windows: int
    hits: int
    expected_by_chance: float


def forecast(active: Bools, observed: Bools, hour_of_week: Ints) -> Forecast:
    """P(active) of each of the next 168 hours.

    Each predictor's weight is what Bayes' rule makes of its log loss over the history, at that hour of day and the
    hours next to it; nine tenths of the prior lie on the overall rate. Beyond the first day, hours that predictors
    look back at were not observed; their probabilities stand in, as if independent.

    Yesterday is 24 hours ago, also on the two days of the year when the clock is changed.

    Args:
        active: bool [n], consecutive hours; where not `observed`, what is true is known but not counted (an hour that
            is not over), what is false is unknown.
        observed: bool [n], hours that are counted.
        hour_of_week: int64 [n + 168], local, 0 is Monday 0:00; of the history and the week after it.

    Returns:
        The coming week; without history, a low rate and no evidence.
    """
    n = len(active)
    known = np.concatenate([np.zeros(_BEFORE), active, np.zeros(WEEK + 2)])
    seen = np.concatenate([np.zeros(_BEFORE), active | observed, np.ones(WEEK + 2)])
    cells = _cells(known, seen, hour_of_week[:n])
    hits, counts = _totals(cells, active, observed)
    weights = _weights(_losses(cells, active, observed), hour_of_week[:n] % DAY)
    base_rate = float(_rate(hits[0], counts[0]))
    rates = (hits + _STRENGTH * base_rate) / (counts + _STRENGTH)
    rates[0] = base_rate
    tables = [rates[a : a + size].reshape(shape) for a, size, shape in zip(_BEGIN, _SIZES, _SHAPES, strict=True)]
    for begin in range(n, n + WEEK, _BLOCK):
        at = np.arange(begin, min(begin + _BLOCK, n + WEEK))
        each = _ahead(tables, known, seen, at, hour_of_week[at])
        known[_BEFORE + at] = (weights[:, hour_of_week[at] % DAY] * each).sum(axis=0)
    probability = known[_BEFORE + n : _BEFORE + n + WEEK]
    return Forecast(probability, weights[0, hour_of_week[n : n + WEEK] % DAY], base_rate)


def next_window(active: Bools, observed: Bools, hour_of_week: Ints) -> ForecastWindow | None:
    """Return the next hours in which something is clearly likelier than usual.

    The first run, of at most 24 hours, whose hours each have half the probability of the week's best or more. If the
    last hour of the history is active, what follows at once is the same run still, and the next one is taken. Hours
    of a run are not independent, so whether anything happens in it is predicted again, from past windows as long. It
    stands out if that is 0.3 at least, at odds three times those of any window as long, and P(nothing but the overall
    rate) at that hour of day is 5 % at most.

    Args:
        active: as `forecast`.
        observed: as `forecast`.
        hour_of_week: as `forecast`.
    """
    hourly = forecast(active, observed, hour_of_week).probability
    among = hourly >= hourly.max() / 2
    if active[-1:].any():
        among &= np.logical_or.accumulate(~among)
    likely = np.flatnonzero(among)
    if not likely.size:
        return None
    begin = int(likely[0])
    gaps = np.flatnonzero(np.diff(likely) > 1)
    hours = min(int(gaps[0]) + 1 if gaps.size else likely.size, _MOST_HOURS)
    whole = forecast(*rolling_any(active, observed, hours), hour_of_week)
    probability, base_rate = float(whole.probability[begin]), whole.base_rate
    odds_ratio = probability / (1 - probability) * (1 - base_rate) / base_rate
    clear = odds_ratio >= _LEAST_ODDS_RATIO and whole.null_probability[begin] <= _MOST_DOUBT
    return (
        ForecastWindow(begin, hours, probability, base_rate) if clear and probability >= _LEAST_PROBABILITY else None
    )


def backtest(active: Bools, observed: Bools, hour_of_week: Ints, cuts: Iterable[int]) -> BacktestResult | None:
    """Compare the windows forecast at some hours of the history, each from the hours up to it, with the outcome.

    Args:
        active: as `forecast`.
        observed: as `forecast`.
        hour_of_week: as `forecast`.
        cuts: hours of the history; each is over for what is known then, and something happened in it.

    Returns:
        None if there was no window to judge. One that is predicted twice counts once; one that was not observed
        throughout does not.
    """
    found: dict[int, tuple[bool, float]] = {}
    for n in (cut + 1 for cut in cuts):
        window = next_window(active[:n], _but_last(observed[:n]), hour_of_week[: n + WEEK])
        if window is not None:
            held = slice(n + window.begin, n + window.begin + window.hours)
            if held.stop <= len(active) and observed[held].all():
                found.setdefault(held.start, (bool(active[held].any()), window.base_rate))
    if not found:
        return None
    return BacktestResult(len(found), sum(hit for hit, _ in found.values()), sum(rate for _, rate in found.values()))


def rolling_any(active: Bools, observed: Bools, hours: int) -> tuple[Bools, Bools]:
    """Return per hour whether anything happened within a number of hours, and whether all were observed."""
    unknown = np.zeros(hours, dtype=np.bool_)
    happened, observed = (
        np.lib.stride_tricks.sliding_window_view(np.concatenate([of, unknown]), hours)[:-1]
        for of in (active, observed)
    )
    return np.asarray(happened.any(axis=1)), np.asarray(observed.all(axis=1))


def _but_last(observed: Bools) -> Bools:
    """Omit the last hour, which is not over: its occurrences are known, not counted."""
    return np.append(observed[:-1], False)


def _around(known: Floats, seen: Floats, at: Ints, reach: int) -> Floats:
    """P(quiet), P(active) and P(unknown) about hours: [3, len(at)]; `reach` hours to either side count as well."""
    quiet = np.prod([1 - known[at + step] for step in range(-reach, reach + 1)], axis=0)
    return np.stack([quiet * seen[at], 1 - quiet, quiet * (1 - seen[at])])


def _looks_back(known: Floats, seen: Floats, at: Ints) -> tuple[Floats, Floats, Floats]:
    """Yesterday, the day before and a week ago, of hours of the history or the week after it: each [3, len(at)]."""
    at = at + _BEFORE
    yesterday, before = (_around(known, seen, at - days * DAY, 1) for days in (1, 2))
    return yesterday, before, _around(known, seen, at - WEEK, 0)


def _cells(known: Floats, seen: Floats, hour_of_week: Ints) -> Ints:
    """Return the cell of each predictor's table that each past hour falls into: [7, n], in one row of all tables."""
    hour, day = hour_of_week % DAY, hour_of_week // DAY
    yesterday, before, week_ago = (
        states.argmax(axis=0) for states in _looks_back(known, seen, np.arange(len(hour_of_week)))
    )
    indices = (
        (np.zeros_like(hour),),
        (hour,),
        (hour, (day >= 5).astype(np.int64)),
        (hour, day),
        (hour, yesterday),
        (hour, yesterday, before),
        (hour, week_ago),
    )
    rows = [np.ravel_multi_index(index, shape) for index, shape in zip(indices, _SHAPES, strict=True)]
    return np.asarray(np.stack(rows) + _BEGIN[:, None], dtype=np.int64)


def _totals(cells: Ints, active: Bools, observed: Bools) -> tuple[Floats, Floats]:
    """Active and all counted hours of each cell."""
    size = int(_SIZES.sum())
    both = (np.bincount(cells[:, chosen].ravel(), minlength=size) for chosen in (active & observed, observed))
    hits, counts = (np.asarray(total, dtype=np.float64) for total in both)
    return hits, counts


def _losses(cells: Ints, active: Bools, observed: Bools) -> Floats:
    """Log loss of each predictor at each hour, from the counted hours before it: [7, n], 0 where not counted."""
    flat = cells.ravel()
    order = np.argsort(flat.astype(np.int16), kind="stable")
    lengths = np.bincount(flat)
    first = (np.cumsum(lengths) - lengths)[flat]
    hits, counts = (
        _sum_before(np.tile(counted, len(cells)), order, first).reshape(cells.shape)
        for counted in (active & observed, observed)
    )
    overall = _rate(hits[0], counts[0])
    rates = (hits + _STRENGTH * overall) / (counts + _STRENGTH)
    rates[0] = overall
    return np.asarray(-np.log(np.where(active, rates, 1 - rates)) * observed, dtype=np.float64)


def _sum_before(values: Bools, order: Ints, first: Ints) -> Floats:
    """Per element, the sum of the earlier ones in its cell; `order` sorts by cell, where it begins at `first`."""
    sums = np.concatenate([[0], np.cumsum(values[order], dtype=np.int64)])
    earlier = np.empty(len(values), dtype=np.float64)
    earlier[order] = sums[:-1]
    earlier -= sums[first]
    return earlier


def _rate(hits: npt.ArrayLike, counts: npt.ArrayLike) -> Floats:
    """Return the overall rate, in (0, 1) however little was counted."""
    return np.asarray((np.asarray(hits) + _RARE) / (np.asarray(counts) + 1), dtype=np.float64)


def _weights(losses: Floats, hour: Ints) -> Floats:
    """P(a predictor is the right one) at an hour of day: [7, 24], columns sum to 1."""
    by_hour = np.stack([np.bincount(hour, row, minlength=DAY) for row in losses])
    log_weights = -(by_hour + np.roll(by_hour, 1, axis=1) + np.roll(by_hour, -1, axis=1))
    others = (1 - _PLAIN_PRIOR) / (len(losses) - 1)
    log_weights = log_weights + np.log(np.where(np.arange(len(losses)) == 0, _PLAIN_PRIOR, others))[:, None]
    weights = np.exp(log_weights - log_weights.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)


def _ahead(tables: list[Floats], known: Floats, seen: Floats, at: Ints, hour_of_week: Ints) -> Floats:
    """P(active) by each predictor: [7, len(at)]."""
    hour, day = hour_of_week % DAY, hour_of_week // DAY
    yesterday, before, week_ago = _looks_back(known, seen, at)
    plain, daily, by_weekend, weekly, by_yesterday, by_two, by_week_ago = tables
    each = (
        plain[np.zeros_like(hour)],
        daily[hour],
        by_weekend[hour, (day >= 5).astype(np.int64)],
        weekly[hour, day],
        (yesterday * by_yesterday[hour].T).sum(axis=0),
        np.einsum("an,bn,nab->n", yesterday, before, by_two[hour]),
        (week_ago * by_week_ago[hour].T).sum(axis=0),
    )
    return np.stack(each)

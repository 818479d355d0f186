"""Forecast of the coming week's hours from past hours.

It is not known beforehand whether a noise follows the clock, the working week or every other night. So seven simple
predictors, each a table of counts, predict every past hour from what came before it; those that did well speak
louder about the hours to come. All of them lean towards the overall rate until they have seen enough.

Source: Hoeting et al. 1999 (Bayesian model averaging); Dawid 1984 (prequential forecasting); Krichevsky and
Trofimov 1981 (smoothed counts).
"""

from dataclasses import dataclass
from typing import Final

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

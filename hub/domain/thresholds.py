"""Thresholds from a false-alert budget: "at most two false alerts a day at this site".

1. Each past episode has a probability of being the same kind of sound as something before it.
2. People's verdicts show how far stated probabilities are off at this site, per category: one shift of the log-odds,
   pulled towards none while verdicts are few.
3. The episodes at or above a threshold, each with the probability that it is a false alert, are what the threshold
   would have cost; of more than get an alert, as many as do, of mean probability. Each category gets the lowest
   threshold that its share of the budget pays for; what a category leaves over goes to the others. No threshold lies
   below the one to start with, as verdicts correct it.

Source: Platt 1999, with the slope left at 1 (2.); a sum of probabilities is an expected count (3.).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MIN_THRESHOLD: Final = 0.3
"""No threshold is lower, and no episode below this is remembered for them."""
MAX_THRESHOLD: Final = 0.99
"""No threshold is higher."""
_PRIOR_SD: Final = 1.0
"""Standard deviation of the shift of log-odds before any verdict: the error of a typical network at a new site."""
_NEWTON_STEPS: Final = 20
_EDGE: Final = 1e-4
_Z90: Final = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A category's threshold at a site, and what it rests on.

    Attributes:
        value: match probability that an alert needs, in [0, 1].
        false_alerts_per_day: false alerts a day that it is expected to cost.
        low: of them, lower end of a 90 % interval.
        high: upper end.
        alerts_per_day: alerts a day above it at most, by the history.
        episodes: in the history, of a match probability of at least `MIN_THRESHOLD`.
        days: length of the history.
        verdicts: of people, that it takes into account.
        shift: of the log-odds, that these verdicts require.
    """

    value: float
    false_alerts_per_day: float = 0.0
    low: float = 0.0
    high: float = 0.0
    alerts_per_day: float = 0.0
    episodes: int = 0
    days: float = 0.0
    verdicts: int = 0
    shift: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class CategoryHistory:
    """History of a category at a site.

    Attributes:
        match_probability: of each past episode, in [0, 1].
        verdicts: of people: match probability that was stated, and whether it was right.
    """

    match_probability: Sequence[float]
    verdicts: Sequence[tuple[float, bool]] = ()


def fit_thresholds(
    records: Mapping[str, CategoryHistory],
    days: float,
    *,
    max_false_alerts_per_day: float,
    start: float,
    alerts_per_day: float = math.inf,
) -> dict[str, Threshold]:
    """Return the threshold of each category at a site.

    Args:
        records: by category.
        days: that the history covers, over 0; less than one counts as one.
        max_false_alerts_per_day: the site's budget.
        start: probability needed at least, as verdicts correct it, in [0, 1]; what holds where there is no history.
        alerts_per_day: most episodes a day that get an alert; which of them is not known here, so that each
            is taken to be as doubtful as all above the threshold are on average.

    Returns:
        By category.
    """
    days = max(days, 1.0)
    shifts = {name: fit_logit_shift(record.verdicts) for name, record in records.items()}
    sorted_ = {name: np.sort(np.clip(record.match_probability, 0.0, 1.0))[::-1] for name, record in records.items()}
    costs = {
        name: _costs(1.0 - apply_logit_shift(values, shifts[name]), days * alerts_per_day) / days
        for name, values in sorted_.items()
    }
    starts = {name: max(start, _needed(start, shifts[name])) for name in records}
    wanted = {name: _cost(costs[name], int((sorted_[name] >= starts[name]).sum())) for name in records}
    shares = _shares(wanted, max_false_alerts_per_day)
    made = {}
    for name, record in records.items():
        value = _affordable_threshold(sorted_[name], costs[name], shares[name], starts[name])
        above = int((sorted_[name] >= value).sum())
        expected = _cost(costs[name], above) * days
        low, high = poisson_interval(expected)
        made[name] = Threshold(
            value=value,
            false_alerts_per_day=expected / days,
            low=low / days,
            high=high / days,
            alerts_per_day=min(above / days, alerts_per_day),
            episodes=int((sorted_[name] >= MIN_THRESHOLD).sum()),
            days=days,
            verdicts=len(record.verdicts),
            shift=shifts[name],
        )
    return made


def fit_logit_shift(verdicts: Sequence[tuple[float, bool]]) -> float:
    """By how much stated log-odds must be moved to agree with verdicts: the maximum a posteriori."""
    if not verdicts:
        return 0.0
    stated = _logit(np.array([p for p, _ in verdicts], dtype=np.float64))
    right = np.array([truth for _, truth in verdicts], dtype=np.float64)
    shift = 0.0
    for _ in range(_NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-(stated + shift)))
        slope = (right - p).sum() - shift / _PRIOR_SD**2
        step = slope / ((p * (1.0 - p)).sum() + 1.0 / _PRIOR_SD**2)
        shift += float(np.clip(step, -1.0, 1.0))
    return shift


def apply_logit_shift(stated: Values, shift: float) -> Values:
    """Probabilities whose log-odds are moved, float64 of the same shape."""
    return np.asarray(1.0 / (1.0 + np.exp(-(_logit(stated) + shift))), dtype=np.float64)


def _needed(p: float, shift: float) -> float:
    """Return the predicted probability that becomes p once its log-odds are moved."""
    return float(apply_logit_shift(np.array([p]), -shift)[0]) if shift else p


def poisson_interval(count: float) -> tuple[float, float]:
    """Return a 90 % interval of the rate behind an expected count, by Wilson and Hilferty's approximation."""
    upper_of = count + 1.0
    high = upper_of * (1.0 - 1.0 / (9.0 * upper_of) + _Z90 / (3.0 * upper_of**0.5)) ** 3
    low = count * max(0.0, 1.0 - 1.0 / (9.0 * count) - _Z90 / (3.0 * count**0.5)) ** 3 if count > 0 else 0.0
    return low, high


def _logit(p: Values) -> Values:
    clipped = np.clip(p, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(clipped / (1.0 - clipped)), dtype=np.float64)


def _costs(false: Values, most: float) -> Values:
    """Return the false alerts that a threshold at each episode would have raised, rising.

    Args:
        false: probability of each episode that an alert about it is false, the most similar first.
        most: alerts that are raised at most.
    """
    share = np.minimum(most / np.arange(1, len(false) + 1), 1.0)
    return np.asarray(np.cumsum(false) * share, dtype=np.float64)


def _cost(costs: Values, above: int) -> float:
    """Return the false alerts that a threshold with this number of episodes above it would have raised."""
    return float(costs[above - 1]) if above else 0.0


def _shares(wanted: Mapping[str, float], budget: float) -> dict[str, float]:
    """Divide the budget into equal shares; who wants less than a share leaves the rest to the others."""
    shares = dict.fromkeys(wanted, 0.0)
    waiting, left = sorted(wanted, key=lambda name: wanted[name]), budget
    while waiting:
        share = left / len(waiting)
        name = waiting.pop(0)
        shares[name] = min(share, wanted[name]) if waiting else share
        left -= shares[name]
    return shares


def _affordable_threshold(values: Values, cost: Values, share: float, start: float) -> float:
    """Return the lowest threshold, from `start` on, whose cost a share pays for.

    Args:
        values: of the episodes, falling.
        cost: of a threshold at each of them.
        share: false alerts a day.
        start: lowest.
    """
    paid = int((cost <= share * (1.0 + 1e-9)).sum())
    if paid < len(values):
        # Above the first one that is not paid for; a hair, so that its equals are left out too.
        above = float(np.nextafter(np.float32(values[paid]), np.float32(1.0)))
        return max(start, MIN_THRESHOLD, min(above, MAX_THRESHOLD))
    return max(start, MIN_THRESHOLD)

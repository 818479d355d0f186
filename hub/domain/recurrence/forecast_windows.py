"""The hours ahead in which something is clearly likelier than usual, and a test of such forecasts on past hours."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from hub.domain.recurrence.forecast import WEEK, Bools, Ints, forecast

_MOST_HOURS: Final = 24
_LEAST_PROBABILITY: Final = 0.3
_LEAST_ODDS_RATIO: Final = 3.0
_MOST_DOUBT: Final = 0.05
"""Limit for a window that stands out; see `next_window`."""


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

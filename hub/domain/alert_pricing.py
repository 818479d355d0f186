"""Choice of the offers that raise an alert: those worth most, as many as the budget has room for.

An offer is taken or left at once, before the later ones of the day are known; one that is left is offered again while
it lasts. A place in the budget is to be filled within a period of when it was freed: a day, if the budget is one or
more a day. The price of r free places is the worth of the r-th best offer that is expected in the rest of that
period, less a fifth; an offer is taken if it is worth the price. The longer a place is free, the less is yet to be
expected, and the lower is the price; in the end it is 0.

So no more alerts than the budget lie in any period; and of offers that never cease at least half the budget is used,
for a place is filled within a period of when it was freed.

Source: Derman, Lieberman and Ross 1972, sequential stochastic assignment: the price of a resource is the expected
value of an order statistic of the offers that are yet to come. Here they come as a Poisson process. The fifth is for
foresight: the best of what comes is known only afterwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.alert_offers import DAY_MS, EDGES, Offer, Offers, worth

_FORESIGHT: Final = 0.8
"""The price, as a share of what the offers to come would be worth if all of them were foreseen."""
_SMALLEST: Final = -745.0
"""Logarithm below which a probability is 0 as a float64."""
_WIDTHS: Final = np.diff(EDGES, prepend=0.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """The alert budget of a site.

    Attributes:
        offers: what the site was offered.
        alerts_ms: times of the alerts that the budget paid for, in the order of their arrival, ms since 1970 UTC.
    """

    offers: Offers = field(default_factory=Offers)
    alerts_ms: tuple[int, ...] = ()

    def without_future(self, now_ms: int) -> "Budget":
        """Return the budget without offers that lie in the future."""
        offers = self.offers.without_future(now_ms)
        return self if offers is self.offers else Budget(offers, self.alerts_ms)


def decide_offer(
    budget: Budget, clip: Sequence[Offer], at_ms: int, alerts_per_day: float, pause_ms: int
) -> tuple[bool, Budget]:
    """Decide whether the budget pays for an alert about a clip, and count what the clip offers.

    Args:
        budget: of the site, before the clip.
        clip: what it offers, at least one offer: an alert is about all of them.
        at_ms: time of the clip, ms since 1970 UTC.
        alerts_per_day: most alerts within 24 hours, over 0; below 1, one alert in 1 / `alerts_per_day` days.
        pause_ms: longest pause between clips of one offer.

    Returns:
        Whether there is an alert, and the budget after the clip.
    """
    offers, alerts_ms = budget.offers.copy(), budget.alerts_ms
    late = at_ms // DAY_MS < offers.day
    if not late:
        offers.advance(at_ms, pause_ms)
    best = 0.0
    for offer in clip:
        value = worth(offers, offer)
        best = max(best, value)
        if not late:
            offers.note(offer, value, at_ms, pause_ms)
    if not has_budget(alerts_ms, at_ms, alerts_per_day) or best < price(offers, alerts_ms, at_ms, alerts_per_day):
        return False, Budget(offers, alerts_ms)
    if not late:
        for offer in clip:
            offers.close(offer.key)
    return True, Budget(offers, (*alerts_ms, at_ms))


def has_budget(alerts_ms: Sequence[int], at_ms: int, a_day: float) -> bool:
    """Return whether a budget has room for another alert at a time.

    Args:
        alerts_ms: times of the earlier alerts, ms.
        at_ms: time of the one that is to come.
        a_day: most alerts within 24 hours; below 1, one alert in 1 / `a_day` days.
    """
    return _free(alerts_ms, at_ms, a_day) > 0


def price(offers: Offers, alerts_ms: Sequence[int], at_ms: int, a_day: float) -> float:
    """Return what an offer must be worth, in [0, 1]; see the module's docstring.

    Args:
        offers: of the site.
        alerts_ms: times of the site's alerts that the budget paid for, ms.
        at_ms: time of the offer.
        a_day: as in `has_budget`, which must be true.
    """
    most, period_ms = _period(a_day)
    before = sorted(ms for ms in alerts_ms if ms <= at_ms)
    free_ms = before[-most] + period_ms if len(before) >= most else offers.since_ms
    left_ms = min(max(free_ms + period_ms - at_ms, 0), period_ms)
    if not offers.days or not left_ms:
        return 0.0
    expected = offers.expected(at_ms, left_ms)
    at_least = np.cumsum(expected[::-1])[::-1]
    return _FORESIGHT * float(_WIDTHS @ _as_many(max(_free(alerts_ms, at_ms, a_day), 1), at_least))


def _as_many(least: int, expected: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return P(at least `least` events) of Poisson processes: float64 [n] of their means, float64 [n].

    The terms of a Poisson distribution are summed from `least` away from the mean, where each is less than the last.

    Source: NIST Digital Library of Mathematical Functions, 8.4.10 (the terms below) and 8.7.1 (those above).
    """
    with np.errstate(divide="ignore"):
        log_p = least * np.log(expected) - expected - math.lgamma(least + 1)
    made = np.where(expected < least, 0.0, 1.0)
    near = np.flatnonzero(log_p > _SMALLEST)
    mean, p = expected[near], np.exp(log_p[near])
    steps = np.arange(1, 20 + math.ceil(9.0 * math.sqrt(least)))[:, None]  # then terms are below 1e-16 of the first
    ratios = np.where(mean < least, mean / (least + steps), np.maximum(least - steps, 0) / mean)
    sums = p * (1.0 + ratios.cumprod(axis=0).sum(axis=0))
    made[near] = np.where(mean < least, sums, 1.0 - sums * least / mean)
    return made


def _period(a_day: float) -> tuple[int, int]:
    """Return the maximum number of alerts, and the period that it applies to, ms."""
    return (int(a_day), DAY_MS) if a_day >= 1 else (1, round(DAY_MS / a_day))


def _free(alerts_ms: Sequence[int], at_ms: int, a_day: float) -> int:
    most, period_ms = _period(a_day)
    return most - sum(abs(at_ms - ms) < period_ms for ms in alerts_ms)

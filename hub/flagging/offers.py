"""Which of a day's possible alerts are told: those worth most, as many as the budget has room for.

What deserves an alert, belongs to no rhythm and has no alert yet is an *offer* to the site's budget. An offer is
taken or left at once, before the later ones of the day are known; one that is left is offered again while it lasts.

1. **Worth.** An alert that is right gains 1 and one that is wrong loses 1: a likeness of p is worth 2p - 1 on
   average. A known source counts in full, a new one a quarter. What comes often counts less: one of 1 + n, if n
   offers a day are of the same category, as new or as well known, and at least as loud.
2. **Expectation.** A site counts its offers by hour of day and worth. A count weighs half as much after a week.
3. **Price.** A place in the budget is to be filled within a period of when it was freed: a day, if the budget is one
   or more a day. The price of r free places is the worth of the r-th best offer that is expected in the rest of that
   period, less a fifth. An offer is taken if it is worth the price. The longer a place is free, the less is yet to be
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
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

from shared.taxonomy import CATEGORIES

DAY_MS: Final = 86_400_000
KNOWN: Final = 0.5
"""P(same source) from which a source counts as known."""
NEW_COUNTS: Final = 0.25
"""What an alert about a new source is worth, as a share of one about a known source."""
STEP_DB: Final = 3.0
"""Levels over the ambient one are told apart by so much."""
_LOUDEST: Final = 10
_USUAL: Final = 3.0
"""Offers a day of each sort that are expected before anything was heard; worth a day of history."""
FORGET: Final = 0.5 ** (1.0 / 7.0)
"""A day's counts weigh so much of what they weighed a day before."""
_FORESIGHT: Final = 0.8
"""The price, as a share of what the offers to come would be worth if all of them were foreseen."""
_HOURS: Final = 24
_HOUR_MS: Final = DAY_MS // _HOURS
_LEAST: Final = 0.001
_RATIO: Final = 1.25
EDGES: Final = _LEAST * _RATIO ** np.arange(math.floor(math.log(1.0 / _LEAST, _RATIO)) + 1)
"""Offers are counted by the highest of these that they are worth; below the lowest they are not counted."""
_WIDTHS: Final = np.diff(EDGES, prepend=0.0)
_MOST_OPEN: Final = 500
_TINY: Final = 0.01
"""What weighs less than this is forgotten."""

Counts = dict[str, float]


class Sort(NamedTuple):
    """What kind of offer it is: offers are counted by it.

    Attributes:
        category: position in the taxonomy.
        known: whether the source is known.
        level: over the ambient level, in steps of `STEP_DB`, in [0, 10].
    """

    category: int
    known: bool
    level: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that deserves an alert.

    Attributes:
        place: `site/sensor`.
        category: of the taxonomy.
        likeness: probability that it is the same kind of sound as a past event, in [0, 1].
        same_source: probability that it is the same source as a past event's, in [0, 1].
        above_db: its level over the ambient one; None if that is not known yet.
    """

    place: str
    category: str
    likeness: float
    same_source: float = 0.0
    above_db: float | None = None

    @property
    def key(self) -> str:
        """What is offered at one place in one category, a pause after another, is one happening."""
        return f"{self.place} {CATEGORIES.index(self.category)}"

    @property
    def sort(self) -> Sort:
        """Its sort; without an ambient level it counts as quiet."""
        level = min(max(int((self.above_db or 0.0) // STEP_DB), 0), _LOUDEST)
        return Sort(CATEGORIES.index(self.category), self.same_source >= KNOWN, level)


class Happening(NamedTuple):
    """What is offered now, clip after clip."""

    first_ms: int
    last_ms: int
    worth: float
    sort: Sort


@dataclass(slots=True)
class Offers:
    """What a site was offered.

    Attributes:
        since_ms: the first offer; -1 before it.
        day: since 1970 UTC, of `today`.
        days: of history, each with its weight.
        history: counts of the days before, by `_hour_key` and `_sort_key`.
        today: counts of this day; by hour none on the first one, when nothing is known to come often.
        open: happenings that are offered now, by `Offer.key`.
        changed: whether anything changed that is to be kept.
    """

    since_ms: int = -1
    day: int = -1
    days: float = 0.0
    history: Counts = field(default_factory=dict)
    today: Counts = field(default_factory=dict)
    open: dict[str, Happening] = field(default_factory=dict)
    changed: bool = False

    def forget_after(self, now_ms: int) -> None:
        """Drop what lies ahead of the present: a clock that was wrong told of it."""
        self.day = min(self.day, now_ms // DAY_MS)
        self.open = {key: one for key, one in self.open.items() if one.last_ms <= now_ms}

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "since": self.since_ms,
            "day": self.day,
            "days": round(self.days, 4),
            "history": {key: round(count, 3) for key, count in self.history.items()},
            "today": self.today,
            "open": {
                key: [one.first_ms, one.last_ms, round(one.worth, 4), *one.sort] for key, one in self.open.items()
            },
        }


def offers_of(document: dict[str, Any]) -> Offers:
    """Offers from `Offers.document`."""
    history, today = ({str(key): float(n) for key, n in document[name].items()} for name in ("history", "today"))
    opened = {
        str(key): Happening(int(row[0]), int(row[1]), float(row[2]), Sort(int(row[3]), bool(row[4]), int(row[5])))
        for key, row in document["open"].items()
    }
    return Offers(int(document["since"]), int(document["day"]), float(document["days"]), history, today, opened)


def taken(offers: Offers, told: list[int], clip: Sequence[Offer], at_ms: int, a_day: float, pause_ms: int) -> bool:
    """Decide whether the budget takes a clip, and count what was offered.

    Args:
        offers: of the site; changed.
        told: times of the site's alerts that the budget took, ms since 1970 UTC; added to.
        clip: what it offers, at least one offer: an alert is about all of them.
        at_ms: time of the clip.
        a_day: the budget: most alerts within 24 hours; below 1, one within so much longer.
        pause_ms: what is offered so long after the last offer of its place and category is the same happening.

    Returns:
        Whether there is an alert.
    """
    late = at_ms // DAY_MS < offers.day
    if not late:
        _advance(offers, at_ms, pause_ms)
    best = 0.0
    for offer in clip:
        value = worth(offers, offer)
        best = max(best, value)
        if not late:
            _note(offers, offer, value, at_ms)
    if not room(told, at_ms, a_day) or best < price(offers, told, at_ms, a_day):
        return False
    told.append(at_ms)
    if not late:
        for offer in clip:
            _close(offers, offer.key)
    return True


def worth(offers: Offers, offer: Offer) -> float:
    """What an alert is worth, in [0, 1]; see the module's docstring, 1."""
    gain = max(2.0 * offer.likeness - 1.0, 0.0)
    counts = NEW_COUNTS + (1.0 - NEW_COUNTS) * offer.same_source
    return gain * counts / (1.0 + _a_day(offers, offer.sort))


def room(told: Sequence[int], at_ms: int, a_day: float) -> bool:
    """Whether a budget of alerts has room for another one at a time.

    Args:
        told: times of those there were, ms.
        at_ms: time of the one that is to come.
        a_day: how many may lie within 24 hours; below 1, one within so much longer.
    """
    return _free(told, at_ms, a_day) > 0


def price(offers: Offers, told: Sequence[int], at_ms: int, a_day: float) -> float:
    """What an offer must be worth, in [0, 1]; see the module's docstring, 3.

    Args:
        offers: of the site.
        told: times of the site's alerts that the budget took, ms.
        at_ms: time of the offer.
        a_day: as of `room`, which the budget must have.
    """
    most, period_ms = _period(a_day)
    before = sorted(ms for ms in told if ms <= at_ms)
    free_ms = before[-most] + period_ms if len(before) >= most else offers.since_ms
    left_ms = min(max(free_ms + period_ms - at_ms, 0), period_ms)
    if not offers.days or not left_ms:
        return 0.0
    expected = _expected(offers, at_ms, left_ms)
    at_least = np.cumsum(expected[::-1])[::-1]
    enough = gammainc(float(max(_free(told, at_ms, a_day), 1)), at_least)  # P(as many come), of a Poisson process
    return _FORESIGHT * float(_WIDTHS @ enough)


def _period(a_day: float) -> tuple[int, int]:
    """How many alerts may lie in which time, ms."""
    return (int(a_day), DAY_MS) if a_day >= 1 else (1, round(DAY_MS / a_day))


def _free(told: Sequence[int], at_ms: int, a_day: float) -> int:
    most, period_ms = _period(a_day)
    return most - sum(abs(at_ms - ms) < period_ms for ms in told)


def _expected(offers: Offers, at_ms: int, left_ms: int) -> npt.NDArray[np.float64]:
    """How many offers of each worth are expected in the time that comes, float64 [len(EDGES)]."""
    first, last = at_ms // _HOUR_MS, (at_ms + left_ms - 1) // _HOUR_MS
    hours = np.zeros(_HOURS)
    for hour in range(first, last + 1):
        begin, end = max(hour * _HOUR_MS, at_ms), min((hour + 1) * _HOUR_MS, at_ms + left_ms)
        hours[hour % _HOURS] += (end - begin) / _HOUR_MS
    counts = np.zeros((_HOURS, len(EDGES)))
    for key, count in offers.history.items():
        if key.startswith("h"):
            hour, number = key[1:].split(".")
            counts[int(hour), int(number)] = count
    return np.asarray(hours @ counts / offers.days, dtype=np.float64)


def _a_day(offers: Offers, sort: Sort) -> float:
    """How many offers a day are of a category, as new or as well known, and at least as loud."""
    keys = [_sort_key(sort._replace(level=level)) for level in range(sort.level, _LOUDEST + 1)]
    counted = sum(offers.history.get(key, 0.0) for key in keys)
    return (counted + _USUAL) / (offers.days + 1.0)


def _advance(offers: Offers, at_ms: int, pause_ms: int) -> None:
    """Close the happenings that are over, and days."""
    if offers.since_ms < 0:
        offers.since_ms, offers.changed = at_ms, True
    for key in [key for key, one in offers.open.items() if at_ms - one.last_ms > pause_ms]:
        _close(offers, key)
    while len(offers.open) > _MOST_OPEN:
        _close(offers, next(iter(offers.open)))
    day = at_ms // DAY_MS
    gone = day - offers.day if offers.day >= 0 else 0
    if gone:
        keeps = FORGET**gone
        keys = offers.history.keys() | offers.today.keys()
        counts = {key: keeps * (offers.history.get(key, 0.0) + offers.today.get(key, 0.0)) for key in keys}
        offers.history, offers.today = {key: count for key, count in counts.items() if count >= _TINY}, {}
        offers.days = offers.days * keeps + FORGET * (1.0 - keeps) / (1.0 - FORGET)
    if day != offers.day:
        offers.day, offers.changed = day, True


def _note(offers: Offers, offer: Offer, value: float, at_ms: int) -> None:
    """Count a clip as a part of its happening, which is worth as much as its best clip."""
    known = offers.open.get(offer.key)
    if known is None:
        offers.open[offer.key], offers.changed = Happening(at_ms, at_ms, value, offer.sort), True
        return
    sort = offer.sort if value > known.worth else known.sort
    offers.open[offer.key] = Happening(known.first_ms, max(at_ms, known.last_ms), max(value, known.worth), sort)
    offers.changed = True


def _close(offers: Offers, key: str) -> None:
    """Count a happening that is over, or that has its alert."""
    one = offers.open.pop(key)
    keys = [_sort_key(one.sort)]
    if one.worth >= EDGES[0] and offers.days:
        number = int(np.searchsorted(EDGES, one.worth, side="right")) - 1
        keys.append(_hour_key(one.first_ms // _HOUR_MS % _HOURS, number))
    for name in keys:
        offers.today[name] = offers.today.get(name, 0.0) + 1.0
    offers.changed = True


def _hour_key(hour: int, number: int) -> str:
    return f"h{hour}.{number}"


def _sort_key(sort: Sort) -> str:
    return f"s{sort.category}.{int(sort.known)}.{sort.level}"

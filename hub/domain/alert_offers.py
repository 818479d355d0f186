"""Offers to a site's alert budget, and their worth.

A clip that deserves an alert, does not recur and has no alert yet is an *offer*. An alert that is right gains 1, and
one that is wrong loses 3: a match probability of p is worth 4p - 3 on average. A known source counts in full, a new
one a tenth; in between, the square of P(same source) decides. A sound that is L dB over the ambient level counts
L / (L + 5). What comes often counts less: one of 1 + n, where n is how many offers a day are of the same category, as
new or as well known, and at least as loud, and a fifth of all those of the category.

A site counts its offers by sort, and by hour of day and worth. A count weighs half as much after a week. Clips of one
episode are one offer, worth as much as the best of them.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.taxonomy import CATEGORIES

DAY_MS: Final = 86_400_000
KNOWN: Final = 0.5
"""P(same source) from which a source counts as known."""
NEW_COUNTS: Final = 0.1
"""Worth of an alert about a new source, as a share of one about a known source."""
HALF_DB: Final = 5.0
"""Level over the ambient one at which an alert counts half, as where the ambient level is not known yet."""
STEP_DB: Final = 3.0
"""Levels over the ambient level are counted in steps of this size."""
_LOUDEST: Final = 10
_ALL_COUNT: Final = 0.2
"""Weight of an offer of the same category, however loud and well known, in the count of offers that are alike."""
_USUAL: Final = 3.0
"""Expected offers a day of each sort before there is any history; counts as one day of history."""
FORGET: Final = 0.5 ** (1.0 / 7.0)
"""Factor by which the weight of a day's counts falls every day."""
HOURS: Final = 24
HOUR_MS: Final = DAY_MS // HOURS
_LEAST: Final = 0.001
_RATIO: Final = 1.25
EDGES: Final = _LEAST * _RATIO ** np.arange(math.floor(math.log(1.0 / _LEAST, _RATIO)) + 1)
"""Offers are counted by the highest of these that they are worth; below the lowest they are not counted."""
_MOST_OPEN: Final = 500
_TINY: Final = 0.01
"""Weight below which an offer is removed."""

Counts = dict[str, float]


class Sort(NamedTuple):
    """The kind of an offer; offers are counted by it.

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
        match_probability: probability that it is the same kind of sound as a past event, in [0, 1].
        same_source: how well its source is known: probability that it is that of past events, in [0, 1].
        above_db: its level over the ambient one; None if that is not known yet.
    """

    place: str
    category: str
    match_probability: float
    same_source: float = 0.0
    above_db: float | None = None

    @property
    def key(self) -> str:
        """Return the key under which offers of one place and category are counted as one."""
        return f"{self.place} {CATEGORIES.index(self.category)}"

    @property
    def sort(self) -> Sort:
        """Its sort; without an ambient level it counts as quiet."""
        level = min(max(int((self.above_db or 0.0) // STEP_DB), 0), _LOUDEST)
        return Sort(CATEGORIES.index(self.category), self.same_source >= KNOWN, level)


class OpenOffer(NamedTuple):
    """An offer that still goes on, clip after clip."""

    first_ms: int
    last_ms: int
    worth: float
    sort: Sort


@dataclass(slots=True)
class Offers:
    """The offers to a site's budget.

    The methods change this object. `hub.domain.alert_pricing` works on a copy.

    Attributes:
        since_ms: time of the first offer; -1 before it.
        day: days since 1970 UTC, of `today`.
        days: days of history, each with its weight.
        history: counts of the days before, by `_hour_key` and `_sort_key`.
        today: counts of this day.
        open: current offers, by `Offer.key`.
        changed: whether anything changed since it was read.
        over_ms: no current offer ends before this time; not stored.
    """

    since_ms: int = -1
    day: int = -1
    days: float = 0.0
    history: Counts = field(default_factory=dict)
    today: Counts = field(default_factory=dict)
    open: dict[str, OpenOffer] = field(default_factory=dict)
    changed: bool = False
    over_ms: int = -1

    def copy(self) -> "Offers":
        """Return a copy; a change of either leaves the other as it is."""
        return Offers(
            self.since_ms,
            self.day,
            self.days,
            self.history,  # replaced as a whole, never changed in place
            self.today.copy(),
            self.open.copy(),
            self.changed,
            self.over_ms,
        )

    def expected(self, at_ms: int, left_ms: int) -> npt.NDArray[np.float64]:
        """Return the expected number of coming offers of each worth: float64 [len(EDGES)], in their order.

        Args:
            at_ms: begin of that time, ms since 1970 UTC.
            left_ms: its length.
        """
        counts = np.zeros((HOURS, len(EDGES)))
        for key, count in self.history.items():
            if key.startswith("h"):
                hour_of_day, number = key[1:].split(".")
                counts[int(hour_of_day), int(number)] = count
        hours = np.zeros(HOURS)
        for hour in range(at_ms // HOUR_MS, (at_ms + left_ms - 1) // HOUR_MS + 1):
            begin, end = max(hour * HOUR_MS, at_ms), min((hour + 1) * HOUR_MS, at_ms + left_ms)
            hours[hour % HOURS] += (end - begin) / HOUR_MS
        return np.asarray(hours @ counts / max(self.days, 1e-9), dtype=np.float64)

    def without_future(self, now_ms: int) -> "Offers":
        """Return the offers without what lies in the future: a sensor's clock that was wrong reported it."""
        if self.day <= now_ms // DAY_MS and all(offer.last_ms <= now_ms for offer in self.open.values()):
            return self
        offers = self.copy()
        offers.day = min(self.day, now_ms // DAY_MS)
        offers.open = {key: offer for key, offer in self.open.items() if offer.last_ms <= now_ms}
        return offers

    def advance(self, at_ms: int, pause_ms: int) -> None:
        """Count the offers and days that ended.

        Args:
            at_ms: the present, ms since 1970 UTC.
            pause_ms: longest pause within an offer.
        """
        if self.since_ms < 0:
            self.since_ms, self.changed = at_ms, True
        if at_ms > self.over_ms:
            for key in [key for key, offer in self.open.items() if at_ms - offer.last_ms > pause_ms]:
                self.close(key)
            self.over_ms = min((offer.last_ms for offer in self.open.values()), default=at_ms) + pause_ms
        while len(self.open) > _MOST_OPEN:
            self.close(next(iter(self.open)))
        day = at_ms // DAY_MS
        gone = day - self.day if self.day >= 0 else 0
        if gone:
            keeps = FORGET**gone
            keys = self.history.keys() | self.today.keys()
            counts = {key: keeps * (self.history.get(key, 0.0) + self.today.get(key, 0.0)) for key in keys}
            self.history, self.today = {key: count for key, count in counts.items() if count >= _TINY}, {}
            self.days = self.days * keeps + FORGET * (1.0 - keeps) / (1.0 - FORGET)
        if day != self.day:
            self.day, self.changed = day, True

    def note(self, offer: "Offer", value: float, at_ms: int, pause_ms: int) -> None:
        """Count a clip as a part of its offer, which is worth as much as its best clip."""
        known = self.open.get(offer.key)
        if known is None:
            self.over_ms = min(self.over_ms, at_ms + pause_ms)
            self.open[offer.key], self.changed = OpenOffer(at_ms, at_ms, value, offer.sort), True
            return
        sort = offer.sort if value > known.worth else known.sort
        self.open[offer.key] = OpenOffer(known.first_ms, max(at_ms, known.last_ms), max(value, known.worth), sort)
        self.changed = True

    def close(self, key: str) -> None:
        """Count an offer that ended, or that has its alert."""
        offer = self.open.pop(key)
        keys = [_sort_key(offer.sort)]
        if offer.worth >= EDGES[0]:
            number = int(np.searchsorted(EDGES, offer.worth, side="right")) - 1
            keys.append(_hour_key(offer.first_ms // HOUR_MS % HOURS, number))
        for name in keys:
            self.today[name] = self.today.get(name, 0.0) + 1.0
        self.changed = True


def worth(offers: Offers, offer: Offer) -> float:
    """Return the worth of an alert, in [0, 1]; see the module's docstring."""
    gain = 4.0 * offer.match_probability - 3.0
    if gain <= 0.0:
        return 0.0
    counts = NEW_COUNTS + (1.0 - NEW_COUNTS) * offer.same_source**2
    above_db = HALF_DB if offer.above_db is None else max(offer.above_db, 0.0)
    return gain * counts * above_db / (above_db + HALF_DB) / (1.0 + _a_day(offers, offer.sort))


def _a_day(offers: Offers, sort: Sort) -> float:
    """Return the number of offers per day of one's category, as new or as well known, and at least as loud."""
    counted = 0.0
    for other, key in _sorts(sort.category):
        alike = other.known == sort.known and other.level >= sort.level
        counted += offers.history.get(key, 0.0) * (_ALL_COUNT + alike)
    return (counted + _USUAL) / (offers.days + 1.0)


def _hour_key(hour: int, number: int) -> str:
    return f"h{hour}.{number}"


@cache
def _sorts(category: int) -> list[tuple[Sort, str]]:
    """Return all sorts of a category, each with its key."""
    sorts = [Sort(category, known, level) for known in (False, True) for level in range(_LOUDEST + 1)]
    return [(sort, _sort_key(sort)) for sort in sorts]


def _sort_key(sort: Sort) -> str:
    return f"s{sort.category}.{int(sort.known)}.{sort.level}"

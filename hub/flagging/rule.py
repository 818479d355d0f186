"""The first flagging rule: which matches are worth an alert.

The level of similarity counts shared silence as agreement (paper, section 3.1), so a quiet clip resembles every
other quiet clip. A match therefore also needs shared *presence*: a category that both events likely contain.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from hub.model.presence import BOTH
from hub.search.match import Match
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class FlagRule:
    """What a match needs.

    Attributes:
        min_level: lowest level of similarity, in [0, 8].
        min_shared: lowest P(both) of the likeliest shared category, in [0, 1].
        own_recent_s: clips of the same sensor within so many seconds are not matches (kept out by the search).
        max_matches: most matches in one alert.
    """

    min_level: float = 6.0
    min_shared: float = 0.5
    own_recent_s: float = 120.0
    max_matches: int = 5


def shared_presence(match: Match, threshold: float) -> dict[str, float]:
    """Categories that both events likely contain, with P(both), likeliest first."""
    both = match.matrix[:, BOTH].tolist()
    found = {name: p for name, p in zip(CATEGORIES, both, strict=True) if p >= threshold}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def flag(rule: FlagRule, matches: Iterable[Match]) -> list[Match]:
    """The matches worth an alert, in the order given; none means no alert."""
    worth = (m for m in matches if m.level >= rule.min_level and m.matrix[:, BOTH].max() >= rule.min_shared)
    return list(itertools.islice(worth, rule.max_matches))

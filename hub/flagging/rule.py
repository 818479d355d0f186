"""The flagging rule: which clip is worth an alert, and what it is about.

A clip is flagged for a category if it and a similar past event both likely contain it (shared silence is no
resemblance: the level of similarity counts it; the paper, section 3.1), if their likeness reaches the site's
threshold for the category, and if it is loud enough over the ambient level. One alert per episode; and for a while
after an episode with an alert, what follows at that place belongs to the same alert.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hub.flagging.episode import Call, Episode, Heard, Recent
from hub.model.likeness import Likeness
from hub.model.presence import BOTH
from hub.search.match import Match
from shared.taxonomy import CATEGORIES


@dataclass(frozen=True, slots=True)
class FlagRule:
    """What an alert needs.

    Attributes:
        min_presence: probability from which a category counts as heard, in [0, 1].
        min_shared: lowest P(both) of the category in a match, in [0, 1].
        threshold: lowest likeness where a site has not learnt its own threshold yet, in [0, 1].
        min_above_ambient_db: least excess of LAeq over the ambient level, once that is known.
        own_recent_s: clips of the same sensor within so many seconds are not matches (kept out by the search).
        max_matches: most matches in one alert.
        gap_s: longest silence within an episode.
        cooldown_s: so long after an episode with an alert, what is heard of its category belongs to that alert.
    """

    min_presence: float = 0.5
    min_shared: float = 0.5
    threshold: float = 0.6
    min_above_ambient_db: float = 0.0
    own_recent_s: float = 120.0
    max_matches: int = 5
    gap_s: float = 60.0
    cooldown_s: float = 1_800.0

    @property
    def gap_ms(self) -> int:
        """`gap_s` in ms."""
        return round(self.gap_s * 1000)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found for a clip.

    Attributes:
        matches: the best first.
        likeness: of each in each category, float32 [n, 8]; 0 where P(both) is too low to count as shared.
    """

    matches: Sequence[Match]
    likeness: Likeness


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What came of a clip.

    Attributes:
        episodes: it belongs to, as they are now.
        flagged: categories that the alert is about, with their likeness, the surest first; none: no alert.
        matches: the flagged matches, each with its highest likeness in a flagged category.
        above_ambient_db: its level over the ambient one; None if not known yet.
    """

    episodes: Sequence[Episode]
    flagged: Mapping[str, float]
    matches: Sequence[tuple[Match, float]]
    above_ambient_db: float | None


def shared_presence(match: Match, threshold: float) -> dict[str, float]:
    """Categories that both events likely contain, with P(both), likeliest first."""
    both = match.matrix[:, BOTH].tolist()
    shared = {name: p for name, p in zip(CATEGORIES, both, strict=True) if p >= threshold}
    return dict(sorted(shared.items(), key=lambda item: -item[1]))


def judge(
    rule: FlagRule,
    heard: Heard,
    recent: Recent,
    similar: Found,
    thresholds: Mapping[str, float],
    nearby_alert: Callable[[Episode], str] = lambda _: "",
) -> Judged:
    """Take a clip into its sensor's episodes, and decide whether it is worth an alert.

    Args:
        rule: what is asked.
        heard: the clip.
        recent: of its sensor; changed.
        similar: what was found for it.
        thresholds: of its site, by category; the rule's own where there is none.
        nearby_alert: the alert of a simultaneous episode of a nearby sensor, or "".
    """
    above = recent.above_ambient_db(heard.laeq)
    taken = recent.take(heard, rule.min_presence, rule.gap_ms)
    best = dict(zip(CATEGORIES, similar.likeness.max(axis=0).tolist(), strict=True)) if similar.matches else {}
    loud = above is None or above >= rule.min_above_ambient_db
    flagged: dict[str, float] = {}
    episodes = []
    for episode in taken:
        likeness = best.get(episode.category, 0.0)
        if likeness > episode.best:
            episode = recent.put(replace(episode, best=likeness))  # noqa: PLW2901
        alert = episode.alert or _called(recent, episode, heard)
        if not alert and loud and 0.0 < likeness >= thresholds.get(episode.category, rule.threshold):
            alert = nearby_alert(episode)
            if not alert:
                flagged[episode.category] = likeness
                alert = heard.event
        episodes.append(_belonging(rule, recent, episode, heard, alert) if alert else episode)
    flagged = dict(sorted(flagged.items(), key=lambda item: -item[1]))
    return Judged(episodes, flagged, _flagged_matches(rule, similar, flagged, thresholds), above)


def _called(recent: Recent, episode: Episode, heard: Heard) -> str:
    call = recent.calls.get(episode.category)
    return call.alert if call is not None and call.from_ms <= heard.start_ms < call.until_ms else ""


def _belonging(rule: FlagRule, recent: Recent, episode: Episode, heard: Heard, alert: str) -> Episode:
    """The episode as one of this alert, which lasts for as long as it goes on, and a while longer."""
    cooldown_ms = round(rule.cooldown_s * 1000)
    call = recent.calls.get(episode.category, Call("", heard.start_ms, 0))
    if call.alert == alert or heard.end_ms + cooldown_ms > call.until_ms:
        until_ms = max(heard.end_ms + cooldown_ms, call.until_ms if call.alert == alert else 0)
        from_ms = min(heard.start_ms, call.from_ms) if call.alert == alert else heard.start_ms
        recent.calls[episode.category] = Call(alert, from_ms, until_ms)
    return episode if episode.alert == alert else recent.put(replace(episode, alert=alert))


def _flagged_matches(
    rule: FlagRule, similar: Found, flagged: Mapping[str, float], thresholds: Mapping[str, float]
) -> list[tuple[Match, float]]:
    if not flagged:
        return []
    columns = [CATEGORIES.index(name) for name in flagged]
    needed = np.array([thresholds.get(name, rule.threshold) for name in flagged])
    own = similar.likeness[:, columns]
    rows = np.flatnonzero((own >= needed).any(axis=1) & (own > 0.0).any(axis=1))
    order = rows[np.argsort(-own[rows].max(axis=1), kind="stable")][: rule.max_matches]
    return [(similar.matches[row], float(own[row].max())) for row in order]

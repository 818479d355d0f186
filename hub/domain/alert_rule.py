"""The flagging rule: which clip is worth an alert, and what it is about.

A clip is flagged for a category if it and a similar past event both likely contain it (shared silence is no
resemblance: the level of similarity counts it; the paper, section 3.1), if their likeness reaches the site's
threshold for the category, and if it is loud enough over the ambient level. One alert per episode; and for a while
after an episode with an alert, what follows at that place belongs to the same alert.

What belongs to a rhythm is always told. Of the rest, which is as a rule nothing that comes again, those are told that
are worth most, at most as many a day as the site's budget of false alerts allows: see `hub.domain.alert_pricing`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.alert_offers import Offer, Offers
from hub.domain.alert_pricing import taken
from hub.domain.episodes import ActiveAlert, Episode, Observation, SensorState
from hub.domain.match import Likeness, Match
from hub.domain.named_sounds import Likely
from hub.domain.presence_matrix import BOTH
from hub.domain.sensor_history import History, alert_nearby, note_doubts, spread, take
from shared.taxonomy import CATEGORIES

_KNOWN_BY: Final = 5
"""Matches that say how well a source is known."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What an alert needs.

    Attributes:
        min_presence: probability from which a category counts as heard, in [0, 1].
        min_shared: lowest P(both) of the category in a match, in [0, 1].
        threshold: lowest likeness where a site has not learnt its own threshold yet, in [0, 1].
        min_above_ambient_db: least excess of LAeq over the ambient level, once that is known.
        exclude_same_sensor_s: clips of the same sensor within so many seconds are no matches (the search drops them).
        max_matches: most matches in one alert.
        gap_s: longest silence within an episode.
        cooldown_s: so long after an episode with an alert, what is heard of its category belongs to that alert.
        rhythm: probability of belonging to a rhythm from which something is told in any case, in [0, 1].
        others_per_day: most alerts a day and site about what belongs to no rhythm, over 0; 0.5 is one in two days.
    """

    min_presence: float = 0.5
    min_shared: float = 0.5
    threshold: float = 0.6
    min_above_ambient_db: float = 0.0
    exclude_same_sensor_s: float = 120.0
    max_matches: int = 5
    gap_s: float = 60.0
    cooldown_s: float = 1_800.0
    rhythm: float = 0.6
    others_per_day: float = 2.0

    @property
    def gap_ms(self) -> int:
        """`gap_s` in ms."""
        return round(self.gap_s * 1000)

    @property
    def cooldown_ms(self) -> int:
        """`cooldown_s` in ms."""
        return round(self.cooldown_s * 1000)


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """What a search found for a clip.

    Attributes:
        matches: the best first.
        match_probability: of each in each category, float32 [n, 8]; 0 where P(both) is too low to count as shared.
        same_source: P(same source) of each, float32 [n]; float32 [0] if the checkpoint has no identity.
        names: named sounds that the clip may be, the likeliest first.
    """

    matches: Sequence[Match]
    match_probability: Likeness
    same_source: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    names: Sequence[Likely] = ()

    def source_of(self) -> dict[str, float]:
        """P(same source) by the match's event; nothing if the checkpoint has no identity."""
        return {match.event: float(p) for match, p in zip(self.matches, self.same_source, strict=False)}

    @property
    def sources(self) -> npt.NDArray[np.float32]:
        """P(same source) of each, 0 if the checkpoint has no identity."""
        return self.same_source if len(self.same_source) else np.zeros(len(self.matches), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What came of a clip.

    Attributes:
        episodes: it belongs to, as they are now.
        flagged: categories that the alert is about, with their likeness: those that belong to a rhythm first, and of
            these and of the others the surest; none: no alert.
        matches: the flagged matches, each with its highest likeness in a flagged category.
        recurring: whether the alert is about something that belongs to a rhythm.
        above_ambient_db: its level over the ambient one; None if not known yet.
    """

    episodes: Sequence[Episode]
    flagged: Mapping[str, float]
    matches: Sequence[tuple[Match, float]]
    above_ambient_db: float | None
    recurring: bool


@dataclass(frozen=True, slots=True, eq=False)
class SiteContext:
    """What a clip is judged by beside its own sensor.

    Attributes:
        thresholds: of its site, by category; the rule's own where there is none.
        others: when the site had its latest alerts about what belongs to no rhythm, ms since 1970 UTC; added to.
        offers: what else its budget was offered; changed.
        nearby_alert: the alert of a simultaneous episode of a nearby sensor, or "".
        belonging: probability that an episode belongs to a rhythm.
        history: of episodes, for clips that come late; changed.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)
    offers: Offers = field(default_factory=Offers)
    nearby_alert: Callable[[Episode], str] = lambda _: ""
    belonging: Callable[[Episode], float] = lambda _: 0.0
    history: History = field(default_factory=History)


def shared_presence(match: Match, threshold: float) -> dict[str, float]:
    """Categories that both events likely contain, with P(both), likeliest first."""
    both = match.matrix[:, BOTH].tolist()
    shared = {name: p for name, p in zip(CATEGORIES, both, strict=True) if p >= threshold}
    return dict(sorted(shared.items(), key=lambda item: -item[1]))


def evaluate(
    rule: AlertRule, heard: Observation, recent: SensorState, similar: SearchResult, around: SiteContext
) -> Evaluation:
    """Take a clip into its sensor's episodes, and decide whether it is worth an alert.

    Args:
        rule: what is asked.
        heard: the clip.
        recent: of its sensor; changed.
        similar: what was found for it.
        around: what else is known.
    """
    above, late = recent.above_ambient_db(heard.laeq), heard.start_ms <= recent.newest_ms
    loud = above is None or above >= rule.min_above_ambient_db
    episodes = {e.id: e for e in take(recent, heard, rule.min_presence, rule.gap_ms, around.history)}
    own = of_others(similar, heard.place, episodes.values())
    best = dict(zip(CATEGORIES, own.max(axis=0).tolist(), strict=True)) if similar.matches else {}
    note_doubts(around.history, heard, rule.min_presence, {e.category for e in episodes.values()}, best)
    worthy: dict[str, float] = {}
    for episode in list(episodes.values()):
        match_probability = best.get(episode.category, 0.0)
        if match_probability > episode.max_match_probability:
            episodes[episode.id] = episode = recent.upsert(replace(episode, max_match_probability=match_probability))  # noqa: PLW2901
        worth = loud and 0.0 < match_probability >= around.thresholds.get(episode.category, rule.threshold)
        alert = _known_alert(rule, heard, recent, episode, around, worth=worth, late=late)
        if alert:
            episodes[episode.id] = _attach_to_alert(rule, recent, episode, heard, alert)
        elif worth:
            worthy[episode.id] = match_probability
    rhythmic = {name for name in worthy if around.belonging(episodes[name]) >= rule.rhythm}
    recurring = bool(rhythmic)
    if worthy and not recurring:
        found = replace(similar, match_probability=own)
        clip = [_offer(rule, episodes[name], found, around.thresholds, above) for name in worthy]
        if not taken(around.offers, around.others, clip, heard.start_ms, rule.others_per_day, rule.cooldown_ms):
            worthy = {}
    for name in worthy:
        episodes[name] = _attach_to_alert(rule, recent, episodes[name], heard, heard.event)
    for episode in episodes.values():
        around.history.keep(episode)
        if late and episode.alert:
            _spread(rule, recent, episode, around.history)
    surest = sorted(worthy.items(), key=lambda item: (item[0] not in rhythmic, -item[1]))
    flagged = {episodes[name].category: match_probability for name, match_probability in surest}
    matches = _flagged_matches(rule, replace(similar, match_probability=own), flagged, around.thresholds)
    return Evaluation(list(episodes.values()), flagged, matches, above, recurring)


def of_others(similar: SearchResult, place: str, episodes: Iterable[Episode]) -> Likeness:
    """The likeness of matches, 0 in a category whose episode the clip and the match are both a part of.

    Args:
        similar: what was found for a clip.
        place: of the clip.
        episodes: that the clip belongs to.

    Returns:
        float32 [n, 8].
    """
    match_probability = similar.match_probability
    if all(match.place != place for match in similar.matches):
        return match_probability
    match_probability = match_probability.copy()
    for episode in episodes:
        own = [
            match.place == place and episode.opened_ms <= match.captured_ms <= episode.last_ms
            for match in similar.matches
        ]
        match_probability[own, CATEGORIES.index(episode.category)] = 0.0
    return match_probability


def belonging(recent: SensorState, episodes: Sequence[Episode], alert: str, history: History) -> list[Episode]:
    """Return the episodes of a clip, those without an alert as ones of this alert.

    Args:
        recent: of their sensor; changed.
        episodes: of the clip.
        alert: that a watched sound raised.
        history: of episodes; changed.
    """
    return [e if e.alert else history.keep(recent.upsert(replace(e, alert=alert))) for e in episodes]


def _known_alert(
    rule: AlertRule,
    heard: Observation,
    recent: SensorState,
    episode: Episode,
    around: SiteContext,
    *,
    worth: bool,
    late: bool,
) -> str:
    """The alert that an episode belongs to already, by itself, the cool-down, or a nearby sensor; "" if none."""
    alert = episode.alert or _active_alert(recent, episode, heard)
    if late and not alert:
        alert = alert_nearby(around.history, recent, episode, rule.cooldown_ms, worthy=worth)
    return alert or (around.nearby_alert(episode) if worth else "")


def _active_alert(recent: SensorState, episode: Episode, heard: Observation) -> str:
    call = recent.calls.get(episode.category)
    return call.alert if call is not None and call.from_ms <= heard.start_ms < call.until_ms else ""


def _attach_to_alert(
    rule: AlertRule, recent: SensorState, episode: Episode, heard: Observation, alert: str
) -> Episode:
    """The episode as one of this alert, which lasts for as long as it goes on, and a while longer."""
    call = recent.calls.get(episode.category, ActiveAlert("", heard.start_ms, 0))
    if call.alert == alert or heard.end_ms + rule.cooldown_ms > call.until_ms:
        until_ms = max(heard.end_ms + rule.cooldown_ms, call.until_ms if call.alert == alert else 0)
        from_ms = min(heard.start_ms, call.from_ms) if call.alert == alert else heard.start_ms
        recent.calls[episode.category] = ActiveAlert(alert, from_ms, until_ms)
    return episode if episode.alert == alert else recent.upsert(replace(episode, alert=alert))


def _spread(rule: AlertRule, recent: SensorState, episode: Episode, history: History) -> None:
    for belonging in spread(history, recent, episode, rule.cooldown_ms):
        _call(rule, recent, belonging)


def _call(rule: AlertRule, recent: SensorState, episode: Episode) -> None:
    """Have the alert of an episode last for the cool-down after it, if it is the latest."""
    call, until_ms = recent.calls.get(episode.category), episode.last_ms + rule.cooldown_ms
    if call is None or until_ms > call.until_ms:
        from_ms = episode.opened_ms if call is None or call.alert != episode.alert else call.from_ms
        recent.calls[episode.category] = ActiveAlert(episode.alert, min(from_ms, episode.opened_ms), until_ms)


def _offer(
    rule: AlertRule, episode: Episode, similar: SearchResult, thresholds: Mapping[str, float], above_db: float | None
) -> Offer:
    """What an alert about an episode offers.

    How well its source is known is P(same source) of the five best flagged matches, on average; where there are
    fewer, the others count 0. The best one alone is often another source that happens to be close.
    """
    match_probability = similar.match_probability[:, CATEGORIES.index(episode.category)]
    flagged = (match_probability > 0.0) & (match_probability >= thresholds.get(episode.category, rule.threshold))
    sources = np.sort(similar.sources[flagged])[::-1][:_KNOWN_BY]
    same_source = float(sources.sum()) / _KNOWN_BY
    return Offer(episode.place, episode.category, float(match_probability.max()), same_source, above_db)


def _flagged_matches(
    rule: AlertRule, similar: SearchResult, flagged: Mapping[str, float], thresholds: Mapping[str, float]
) -> list[tuple[Match, float]]:
    """The matches that an alert rests on, each with its highest likeness in a flagged category.

    Those come first of which it is likeliest that they are both the same kind of sound and the same source: by the
    sum of the two probabilities.
    """
    if not flagged:
        return []
    columns = [CATEGORIES.index(name) for name in flagged]
    needed = np.array([thresholds.get(name, rule.threshold) for name in flagged])
    own = similar.match_probability[:, columns]
    rows = np.flatnonzero((own >= needed).any(axis=1) & (own > 0.0).any(axis=1))
    match_probability = own[rows].max(axis=1)
    order = np.argsort(-(match_probability + similar.sources[rows]), kind="stable")[: rule.max_matches]
    return [(similar.matches[rows[i]], float(match_probability[i])) for i in order]

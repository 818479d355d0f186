"""The alert rule: which clip is worth an alert, and what the alert is about.

A clip is flagged for a category if it and a similar past event both likely contain it (shared silence is no
resemblance: the level of similarity counts it; the paper, section 3.1), if their match probability reaches the site's
threshold for the category, and if it is loud enough over the ambient level. An episode has one alert. Episodes of the
same category and place that open within the cool-down after it belong to the same alert.

What recurs always raises an alert. Of the rest, the clips that are worth most raise one, at most as many a day as the
site's alert budget allows: see `hub.domain.alert_pricing`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.domain.alert_offers import HOUR_MS, Offer
from hub.domain.alert_pricing import Budget, decide_offer
from hub.domain.alert_state import AlertState, Needs, RecurrenceKey
from hub.domain.episode_draft import EpisodeDraft
from hub.domain.episodes import Episode, Observation, SensorState, overlapping_elsewhere
from hub.domain.match import Match, MatchProbabilities
from hub.domain.named_sounds import Likely
from hub.domain.presence_matrix import BOTH
from hub.domain.sensor_history import History
from shared.taxonomy import CATEGORIES

NOTHING_NEEDED: Final = Needs()
_KNOWN_BY: Final = 5
"""Matches that show how well a source is known."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The conditions of an alert.

    Attributes:
        min_presence: least probability of a category that opens an episode, in [0, 1].
        min_shared: lowest P(both) of the category in a match, in [0, 1].
        threshold: least match probability where a site has no threshold of its own yet, in [0, 1].
        min_above_ambient_db: least excess of LAeq over the ambient level, once that is known.
        exclude_same_sensor_s: the search drops clips of the same sensor within this time, in seconds.
        max_matches: most matches in one alert.
        gap_s: longest silence within an episode.
        cooldown_s: episodes of the category within this time after an alert belong to it, in seconds.
        rhythm: probability of recurrence from which there is an alert in any case, in [0, 1].
        others_per_day: most alerts a day and site about what does not recur, over 0; 0.5 is one in two days.
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
    """The result of the search for a clip.

    Attributes:
        matches: the best first.
        match_probability: of each in each category, float32 [n, 8]; 0 where P(both) is too low to count as shared.
        same_source: P(same source) of each, float32 [n]; float32 [0] if the checkpoint has no identity.
        names: named sounds that the clip may be, the most probable first.
    """

    matches: Sequence[Match]
    match_probability: MatchProbabilities
    same_source: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    names: Sequence[Likely] = ()

    def source_of(self) -> dict[str, float]:
        """Return P(same source) by the match's event; empty if the checkpoint has no identity."""
        return {match.event: float(p) for match, p in zip(self.matches, self.same_source, strict=False)}

    @property
    def sources(self) -> npt.NDArray[np.float32]:
        """Return P(same source) of each match, 0 if the checkpoint has no identity."""
        return self.same_source if len(self.same_source) else np.zeros(len(self.matches), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The decision about a clip.

    Attributes:
        episodes: that the clip belongs to, as they are now.
        flagged: categories that the alert is about, with their match probability: those that recur first, and of
            these and of the others the most probable first. Empty: no alert.
        matches: the flagged matches, each with its highest match probability in a flagged category.
        above_ambient_db: level of the clip over the ambient level; None while that is not known.
        recurring: whether the alert is about something that recurs.
        state: after the clip.
        needs: missing values. If there are any, the decision is provisional: load them, and evaluate again.
    """

    episodes: Sequence[Episode]
    flagged: Mapping[str, float]
    matches: Sequence[tuple[Match, float]]
    above_ambient_db: float | None
    recurring: bool
    state: AlertState = field(default_factory=AlertState)
    needs: Needs = NOTHING_NEEDED


def shared_presence(match: Match, threshold: float) -> dict[str, float]:
    """Return the categories that both events likely contain, with P(both), the most probable first."""
    both = match.matrix[:, BOTH].tolist()
    shared = {name: p for name, p in zip(CATEGORIES, both, strict=True) if p >= threshold}
    return dict(sorted(shared.items(), key=lambda item: -item[1]))


def evaluate(
    rule: AlertRule,
    observation: Observation,
    results: SearchResult,
    state: AlertState,
    neighbours: Sequence[str] = (),
) -> Evaluation:
    """Take a clip into its sensor's episodes, and decide whether it is worth an alert.

    Args:
        rule: what an alert needs.
        observation: the clip.
        results: what the search found for the clip.
        state: before the clip; it stays as it is.
        neighbours: places of the sensors near the clip's one.
    """
    place, site = observation.place, observation.place.partition("/")[0]
    sensor, budget = state.sensors.get(place) or SensorState(), state.budgets.get(site) or Budget()
    thresholds = state.thresholds.get(site, {})
    above, late = sensor.above_ambient_db(observation.laeq), observation.start_ms <= sensor.newest_ms
    draft = EpisodeDraft(sensor, state.history, rule.gap_ms, rule.cooldown_ms)
    episodes = {e.id: e for e in draft.take(observation, rule.min_presence)}
    match_probability = of_others(results, place, episodes.values())
    best = dict(zip(CATEGORIES, match_probability.max(axis=0).tolist(), strict=True)) if results.matches else {}
    draft.note_doubts(observation, rule.min_presence, {e.category for e in episodes.values()}, best)
    worthy: dict[str, float] = {}
    unknown_sensors = set[str]()
    for episode in list(episodes.values()):
        probability = best.get(episode.category, 0.0)
        if probability > episode.max_match_probability:
            episode = draft.sensor.upsert(replace(episode, max_match_probability=probability))  # noqa: PLW2901
        worth = 0.0 < probability >= thresholds.get(episode.category, rule.threshold)
        worth = worth and (above is None or above >= rule.min_above_ambient_db)
        alert = _known_alert(draft, observation, episode, worth=worth, late=late)
        if worth and not alert and neighbours:
            alert, unknown = _nearby_alert(rule, observation, episode, state, draft.history, neighbours)
            unknown_sensors |= unknown
        episodes[episode.id] = draft.attach(episode, observation, alert) if alert else episode
        if worth and not alert:
            worthy[episode.id] = probability
    recurrence = {name: (place, episodes[name].category, observation.start_ms // HOUR_MS) for name in worthy}
    recurring = {name for name, key in recurrence.items() if state.recurrence.get(key, 0.0) >= rule.rhythm}
    if worthy and not recurring:
        sources = results.sources
        offers = [_offer(rule, episodes[name], match_probability, sources, thresholds, above) for name in worthy]
        taken, budget = decide_offer(budget, offers, observation.start_ms, rule.others_per_day, rule.cooldown_ms)
        worthy = worthy if taken else {}
    for name in worthy:
        episodes[name] = draft.attach(episodes[name], observation, observation.event)
    draft.keep(episodes.values(), late=late)
    ordered = sorted(worthy.items(), key=lambda item: (item[0] not in recurring, -item[1]))
    flagged = {episodes[name].category: probability for name, probability in ordered}
    return Evaluation(
        list(episodes.values()),
        flagged,
        _flagged_matches(rule, results, match_probability, flagged, thresholds),
        above,
        bool(recurring),
        state.after(place, draft.sensor, site, budget, draft.history),
        _needs(state, unknown_sensors, draft.history, recurrence.values()),
    )


def _known_alert(draft: EpisodeDraft, observation: Observation, episode: Episode, *, worth: bool, late: bool) -> str:
    """Return the alert that an episode belongs to already, by itself or by the cool-down; "" if there is none."""
    alert = episode.alert or draft.sensor.active_alert(episode.category, observation.start_ms)
    return draft.alert_in_cooldown(episode, worthy=worth) if late and not alert else alert


def _needs(
    state: AlertState, sensors: Collection[str], history: History, recurrence: Iterable[RecurrenceKey]
) -> Needs:
    unknown = [key for key in recurrence if key not in state.recurrence]
    if not (sensors or history.missing or unknown):
        return NOTHING_NEEDED
    return Needs(frozenset(sensors), history.missing, frozenset(unknown))


def _nearby_alert(
    rule: AlertRule,
    observation: Observation,
    episode: Episode,
    state: AlertState,
    history: History,
    neighbours: Sequence[str],
) -> tuple[str, set[str]]:
    """Return the alert of a simultaneous episode of a nearby sensor, or "", and the sensors that are not loaded."""
    unknown = set[str]()
    gap_ms, until_ms = rule.gap_ms, observation.end_ms + rule.cooldown_ms
    for place in neighbours:
        sensor = state.sensors.get(place)
        if sensor is None:
            unknown.add(place)
            sensor = SensorState()
        span = (episode.opened_ms - gap_ms, episode.last_ms + gap_ms)
        theirs = history.episodes((place, episode.category), *span, sensor.episodes.get(episode.category, ()))
        for other in overlapping_elsewhere(episode, theirs, gap_ms):
            if other.alert:
                return other.alert, unknown
        # After a pause any of the sensors may be the first to detect the sound again. A call that lasts longer than
        # a cool-down is a person's "ignore", which holds for that place alone.
        call = sensor.calls.get(episode.category)
        if call and call.from_ms <= observation.start_ms < call.until_ms <= until_ms:
            return call.alert, unknown
    return "", unknown


def of_others(similar: SearchResult, place: str, episodes: Iterable[Episode]) -> MatchProbabilities:
    """Return the match probabilities, 0 in a category in which clip and match belong to the same episode.

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


def _offer(
    rule: AlertRule,
    episode: Episode,
    match_probability: MatchProbabilities,
    same_source: npt.NDArray[np.float32],
    thresholds: Mapping[str, float],
    above_db: float | None,
) -> Offer:
    """Return what an alert about an episode offers.

    How well its source is known is the mean P(same source) of the five best flagged matches; missing ones count 0.
    The best match alone is often another source that happens to be similar.
    """
    column = match_probability[:, CATEGORIES.index(episode.category)]
    flagged = (column > 0.0) & (column >= thresholds.get(episode.category, rule.threshold))
    best = np.sort(same_source[flagged])[::-1][:_KNOWN_BY]
    return Offer(episode.place, episode.category, float(column.max()), float(best.sum()) / _KNOWN_BY, above_db)


def _flagged_matches(
    rule: AlertRule,
    results: SearchResult,
    match_probability: MatchProbabilities,
    flagged: Mapping[str, float],
    thresholds: Mapping[str, float],
) -> list[tuple[Match, float]]:
    """Return the matches that an alert rests on, each with its highest match probability in a flagged category.

    The order is that of the sum of two probabilities: the same kind of sound, and the same source.
    """
    if not flagged:
        return []
    columns = [CATEGORIES.index(name) for name in flagged]
    needed = np.array([thresholds.get(name, rule.threshold) for name in flagged])
    values = match_probability[:, columns]
    rows = np.flatnonzero((values >= needed).any(axis=1) & (values > 0.0).any(axis=1))
    highest = values[rows].max(axis=1)
    order = np.argsort(-(highest + results.sources[rows]), kind="stable")[: rule.max_matches]
    return [(results.matches[rows[i]], float(highest[i])) for i in order]

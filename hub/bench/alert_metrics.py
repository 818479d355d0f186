"""Precision, recall and calibration of alerts, compared with the ground truth of a scenario.

An alert is *right by kind*, which its match probability promises, if its clip and a flagged match both contain its
first category, and the two clips agree on at least seven of the eight categories. It is right *by its best match* if
this holds for the match with the highest probability, which the alert states. It is *right by source* if its clip
contains a planted source of its first category and its best match contains the same source.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hub.bench.scenario import KINDS, Clip, ScenarioEvent
from hub.domain.episodes import Episode
from hub.model.match_probability import AGREE
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES, COUNT

RIGHT: Final = "right"


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The sound events and clips of a scenario, and the alerts and episodes that the hub made of them.

    Attributes:
        start_ms: the first midnight, ms since 1970 UTC.
        places: `site/sensor` of each sensor, by number.
        sound_events: sound events by name.
        clips: clips by event id.
        alerts: completed alerts in order.
        episodes: all episodes.
    """

    start_ms: int
    places: Sequence[str]
    sound_events: Mapping[str, ScenarioEvent]
    clips: Mapping[str, Clip]
    alerts: Sequence[AlertMessage]
    episodes: Sequence[Episode]

    def at_s(self, alert: AlertMessage) -> float:
        """Return the time of an alert, s from the first midnight."""
        return alert.captured_at.timestamp() - self.start_ms / 1000

    def of(self, event: str, category: str | None = None) -> list[ScenarioEvent]:
        """Return the sound events in a clip, of one category or of all."""
        sounding = [self.sound_events[name] for name in self.clips[event].sound_events]
        return [one for one in sounding if category in {None, one.category}]

    def planted(self, event: str, category: str) -> str:
        """Return the planted source of a category that sounds in a clip; "" if there is none."""
        return next((one.planted for one in self.of(event, category) if one.planted), "")


def same_kind(first: frozenset[str], second: frozenset[str], category: str) -> bool:
    """Return whether clips with these categories are the same kind of sound, as the match probability defines it."""
    return category in first and category in second and len(first ^ second) <= COUNT - AGREE


def category_error(truth: GroundTruth, alert: AlertMessage, *, best: bool = False) -> str:
    """Return `RIGHT`, or the reason why an alert is wrong by kind.

    Args:
        truth: ground truth of the replay.
        alert: the alert to judge.
        best: whether only its best match counts.
    """
    category, own = alert.categories[0], truth.clips[alert.event].labels
    if category not in own:
        return "category not in the clip"
    others = [truth.clips[match.event].labels for match in (alert.matches[:1] if best else alert.matches)]
    if not any(category in other for other in others):
        return "category not in the match"
    return RIGHT if any(same_kind(own, other, category) for other in others) else "other sounds differ"


def right_by_kind(truth: GroundTruth, alert: AlertMessage, *, best: bool = False) -> bool:
    """Return whether an alert is right by kind, or by its best match."""
    return category_error(truth, alert, best=best) == RIGHT


def right_by_source(truth: GroundTruth, alert: AlertMessage) -> bool:
    """Return whether an alert is about a planted source and its best match contains the same source."""
    category = alert.categories[0]
    source = truth.planted(alert.event, category)
    return source != "" and truth.planted(alert.matches[0].event, category) == source


def same_source(truth: GroundTruth, alert: AlertMessage) -> bool:
    """Return whether an alert is about a planted source and any of its matches contains the same source."""
    category = alert.categories[0]
    source = truth.planted(alert.event, category)
    return source != "" and any(truth.planted(match.event, category) == source for match in alert.matches)


def about(truth: GroundTruth, alert: AlertMessage) -> list[ScenarioEvent]:
    """Return the sound events of an alert: those in its clip that belong to its categories."""
    return [one for name in alert.categories for one in truth.of(alert.event, name)]


def duplicates(truth: GroundTruth) -> int:
    """Count the alerts beyond one per sound event; an alert about several sound events counts for each."""
    alerts = Counter(one.name for alert in truth.alerts for one in about(truth, alert))
    return sum(count - 1 for count in alerts.values())


def most_a_day(times: Iterable[datetime]) -> int:
    """Return the largest number of these times, rising, within 24 hours; 0 if there are none."""
    rising, begin, most = list(times), 0, 0
    for number, at in enumerate(rising):
        while at - rising[begin] >= timedelta(days=1):
            begin += 1
        most = max(most, number + 1 - begin)
    return most


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall of the occurrences of planted sources, without the first occurrence of each source.

    Attributes:
        occurrences: number of occurrences.
        alerted: occurrences with an alert of their own.
        joined: occurrences without one, whose episodes belong to the alert of another sound event.
        missed: occurrences with neither.
        by_kind: share with an alert, their own or a joined one.
        by_source: share with an alert that is right by source.
        at_two_sensors: occurrences of which two sensors have episodes.
        alerted_once: occurrences at two sensors with exactly one alert.
    """

    occurrences: int
    alerted: int
    joined: int
    missed: int
    by_kind: float
    by_source: float
    at_two_sensors: int
    alerted_once: int


def recall(truth: GroundTruth, since_s: float = 0.0) -> Recall:
    """Compute the recall of planted occurrences.

    Args:
        truth: ground truth of the replay.
        since_s: occurrences that began before this are left out, s from the first midnight.
    """
    alerts_of: dict[str, list[AlertMessage]] = {}
    for alert in truth.alerts:
        for one in about(truth, alert):
            alerts_of.setdefault(one.name, []).append(alert)
    occurrences = [one for source in KINDS for one in _planted(truth, source)[1:] if one.begin_s >= since_s]
    alerted = joined = right = twice = once = 0
    for one in occurrences:
        alerts, episodes = alerts_of.get(one.name, []), list(_episodes(truth, one))
        alerted += bool(alerts)
        joined += not alerts and any(episode.alert for episode in episodes)
        right += any(right_by_source(truth, alert) for alert in alerts)
        if len({episode.place for episode in episodes}) > 1:
            twice += 1
            once += len(alerts) == 1
    n = max(len(occurrences), 1)
    missed = len(occurrences) - alerted - joined
    return Recall(len(occurrences), alerted, joined, missed, (alerted + joined) / n, right / n, twice, once)


def _planted(truth: GroundTruth, source: str) -> list[ScenarioEvent]:
    occurrences = [one for one in truth.sound_events.values() if one.planted == source]
    return sorted(occurrences, key=lambda one: one.begin_s)


def _episodes(truth: GroundTruth, one: ScenarioEvent) -> Iterable[Episode]:
    """Yield the episodes of a sound event: of its category, at its sensors, overlapping it in time."""
    places = {truth.places[sensor] for sensor, _ in one.sources}
    begin_ms, end_ms = (truth.start_ms + round(1000 * at) for at in (one.begin_s, one.end_s))
    for episode in truth.episodes:
        if episode.category == one.category and episode.place in places and episode.overlaps(begin_ms, end_ms, 0):
            yield episode


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """Accuracy of the expected windows that alerts state.

    Attributes:
        alerts: number of alerts.
        stating: alerts that state a window.
        judged: stated windows that ended before the replay did.
        came_true: share of the judged windows in which the category truly sounded at the sensor.
        with_episode: share of the judged windows in which the hub has an episode of the category at the sensor.
        stated: mean stated probability.
        base_stated: mean stated base rate.
        by_chance: share of windows of equal length, at any hour of the same days, that would have come true.
    """

    alerts: int
    stating: int
    judged: int
    came_true: float
    with_episode: float
    stated: float
    base_stated: float
    by_chance: float


def windows(truth: GroundTruth, alerts: Sequence[AlertMessage], since_s: float, until_s: float) -> ForecastScore:
    """Judge the windows of alerts.

    Args:
        truth: ground truth of the replay.
        alerts: the alerts to judge.
        since_s: begin of the windows by chance, s from the first midnight.
        until_s: end of the replay, s from the first midnight.
    """
    stating = [(alert, alert.recurrence.next) for alert in alerts if alert.recurrence and alert.recurrence.next]
    hits, episodes, chances, stated, base = [], [], [], [], []
    for alert, window in stating:
        begin, end = (at.timestamp() - truth.start_ms / 1000 for at in (window.start, window.end))
        if end > until_s:
            continue
        place, category = f"{alert.site}/{alert.sensor}", alert.categories[0]
        bouts = [bout for one in truth.sound_events.values() for bout in _bouts(truth, one, place, category)]
        length = end - begin
        starts = [since_s + 3_600.0 * n for n in range(int((until_s - since_s - length) // 3_600) + 1)]
        hits.append(_sounds(bouts, begin, end))
        episodes.append(_sounds(_spans(truth, place, category), begin, end))
        chances.append(sum(_sounds(bouts, at, at + length) for at in starts) / max(len(starts), 1))
        stated.append(window.probability)
        base.append(window.base_rate)

    return ForecastScore(
        len(alerts), len(stating), len(hits), *(_mean(values) for values in (hits, episodes, stated, base, chances))
    )


def _mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of no values."""
    return sum(values) / max(len(values), 1)


def _bouts(truth: GroundTruth, one: ScenarioEvent, place: str, category: str) -> Sequence[tuple[float, float]]:
    sounds = one.category == category and any(truth.places[sensor] == place for sensor, _ in one.sources)
    return one.bouts if sounds else ()


def _spans(truth: GroundTruth, place: str, category: str) -> Iterable[tuple[float, float]]:
    """Yield begin and end of the episodes of a category at a sensor, s from the first midnight."""
    for episode in truth.episodes:
        if (episode.place, episode.category) == (place, category):
            yield (episode.opened_ms - truth.start_ms) / 1000, (episode.last_ms - truth.start_ms) / 1000


def _sounds(bouts: Iterable[tuple[float, float]], begin_s: float, end_s: float) -> bool:
    return any(begin < end_s and begin_s < end for begin, end in bouts)


@dataclass(frozen=True, slots=True)
class ThresholdPromise:
    """A category's threshold with its estimated and actual false alerts.

    Attributes:
        category: name of the category.
        threshold: threshold at the beginning of the evaluated days.
        false_a_day: estimated false alerts per day.
        low: lower end of the 90 % interval of the estimate.
        high: upper end of that interval.
        actual_a_day: alerts per day that are wrong by kind, by their best match.
        alerts_a_day: all alerts per day.
        last: threshold at the end.
    """

    category: str
    threshold: float
    false_a_day: float
    low: float
    high: float
    actual_a_day: float
    alerts_a_day: float
    last: float


def kept(
    truth: GroundTruth,
    before: Mapping[str, Mapping[str, float]],
    last: Mapping[str, float],
    since_s: float,
    days: float,
) -> list[ThresholdPromise]:
    """Compare the estimated false alerts of thresholds with the actual ones.

    Args:
        truth: ground truth of the replay.
        before: documents of thresholds, by category, at the beginning of the evaluated days.
        last: thresholds at the end, by category.
        since_s: begin of the evaluated days, s from the first midnight.
        days: number of evaluated days.
    """
    alerts = [alert for alert in truth.alerts if truth.at_s(alert) >= since_s]
    promises = []
    for name in CATEGORIES:
        raised = [alert for alert in alerts if alert.categories[0] == name]
        wrong = [alert for alert in raised if not right_by_kind(truth, alert, best=True)]
        was = before.get(name, {})
        promises.append(
            ThresholdPromise(
                category=name,
                threshold=was.get("value", 0.0),
                false_a_day=was.get("false_alerts_per_day", 0.0),
                low=was.get("low", 0.0),
                high=was.get("high", 0.0),
                actual_a_day=len(wrong) / days,
                alerts_a_day=len(raised) / days,
                last=last.get(name, 0.0),
            )
        )
    return promises

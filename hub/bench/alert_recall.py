"""Recall of alerts: which occurrences of a scenario's planted sources got an alert."""

from collections.abc import Iterable
from dataclasses import dataclass

from hub.bench.alert_metrics import GroundTruth, about, right_by_source
from hub.bench.scenario import KINDS, ScenarioEvent
from hub.domain.episodes import Episode
from shared.messages.alert import AlertMessage


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

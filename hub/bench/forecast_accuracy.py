"""Accuracy of the expected windows that alerts state, compared with the ground truth of a scenario."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.bench.alert_metrics import GroundTruth
from hub.bench.scenario import ScenarioEvent
from shared.messages.alert import AlertMessage


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


def score_forecasts(
    truth: GroundTruth, alerts: Sequence[AlertMessage], since_s: float, until_s: float
) -> ForecastScore:
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

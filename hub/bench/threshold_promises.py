"""The estimated false alerts of thresholds, compared with the actual ones."""

from collections.abc import Mapping
from dataclasses import dataclass

from hub.bench.alert_metrics import GroundTruth, right_by_kind
from shared.taxonomy import CATEGORIES


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


def compare_thresholds(
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

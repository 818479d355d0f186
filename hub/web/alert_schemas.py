"""API representations of alerts, verdicts and thresholds. Times are UTC; levels are in dB."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from hub.domain.thresholds import Threshold
from hub.domain.verdicts import Verdict
from shared.messages.alert import AlertMessage
from shared.messages.fields import CategoryName


class AlertView(AlertMessage):
    """An alert, with the categories that a verdict `wrong-category` states, if there is one."""

    detected_categories: list[CategoryName] = Field(
        default_factory=list, description="categories that the hub detected; empty unless a verdict corrects them"
    )


class AlertList(BaseModel):
    """Alerts, newest first. For older ones repeat the request with `after` = `next`; null at the end."""

    alerts: list[AlertView]
    next: str | None


class VerdictList(BaseModel):
    """Verdicts, newest first. For older ones repeat the request with `after` = `next`; null at the end."""

    feedback: list[Verdict]
    next: str | None


class ThresholdView(BaseModel):
    """Match probability from which a category raises alerts at a site, and the expected alerts per day."""

    category: str
    value: float
    tuned: bool = Field(description="whether the hub tuned it for the site; false: the setting applies")
    false_alerts_per_day: float
    low: float = Field(description="lower end of a 90 % interval of false alerts per day")
    high: float
    alerts_per_day: float
    episodes: int
    days: float
    verdicts: int


class ThresholdList(BaseModel):
    """Thresholds of a site."""

    site: str
    thresholds: list[ThresholdView]


class VerdictResult(BaseModel):
    """A stored verdict, and the threshold of its category before and after it."""

    verdict: Verdict
    threshold_before: float
    threshold_after: float


def alert_view(alert: AlertMessage, corrected: Sequence[str] = ()) -> AlertView:
    """Return an alert with its right categories; the hub's if no verdict corrects them."""
    detected = alert.categories if corrected else []
    categories = list(corrected) or alert.categories
    return AlertView(**{**dict(alert), "categories": categories, "detected_categories": detected})


def threshold_view(category: str, tuned: Threshold | None, default: float) -> ThresholdView:
    """Return the API representation of a threshold; the default applies if none is tuned."""
    threshold = tuned or Threshold(default)
    return ThresholdView(
        category=category,
        value=threshold.value,
        tuned=tuned is not None,
        false_alerts_per_day=threshold.false_alerts_per_day,
        low=threshold.low,
        high=threshold.high,
        alerts_per_day=threshold.alerts_per_day,
        episodes=int(threshold.episodes),
        days=threshold.days,
        verdicts=int(threshold.verdicts),
    )

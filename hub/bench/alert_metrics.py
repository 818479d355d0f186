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

from hub.bench.scenario import Clip, ScenarioEvent
from hub.domain.episodes import Episode
from hub.model.match_probability import AGREE
from shared.messages.alert import AlertMessage
from shared.taxonomy import COUNT

RIGHT: Final = "right"


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The sound events and clips of a scenario, and the alerts and episodes that the hub made of them.

    Attributes:
        start_ms: the first midnight, ms since 1970 UTC.
        places: `site/sensor` of each sensor, by number.
        sound_events: sound events by name.
        clips: clips by event id.
        alerts: enriched alerts in order.
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

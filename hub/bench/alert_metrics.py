"""What alerts were worth, measured against what truly happened.

An alert is *right by kind*, which is what its likeness promises, if its first category truly sounds in its clip and
in a flagged match, and the two clips truly agree on at least seven of the eight categories; *by its best match* if
that holds of the match with the highest likeness, of which the stated probability is. It is *right by happening* if a
planted source sounds in its clip, its first category is that source's, and its best match is of the same source.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hub.bench.scenario import KINDS, Clip, ScenarioEvent
from hub.domain.episodes import Episode
from hub.model.match_probability import AGREE
from shared.messages import AlertMessage
from shared.taxonomy import CATEGORIES, COUNT

RIGHT: Final = "right"


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """What truly happened, and what the hub said of it.

    Attributes:
        start_ms: the first midnight, ms since 1970 UTC.
        places: `site/sensor` of each sensor, by number.
        happenings: by name.
        clips: by event.
        alerts: completed, in order.
        episodes: all.
    """

    start_ms: int
    places: Sequence[str]
    happenings: Mapping[str, ScenarioEvent]
    clips: Mapping[str, Clip]
    alerts: Sequence[AlertMessage]
    episodes: Sequence[Episode]

    def at_s(self, alert: AlertMessage) -> float:
        """When an alert was, s from the first midnight."""
        return alert.captured_at.timestamp() - self.start_ms / 1000

    def of(self, event: str, category: str | None = None) -> list[ScenarioEvent]:
        """What happens in a clip, of one category or of all."""
        those = [self.happenings[name] for name in self.clips[event].happenings]
        return [one for one in those if category in {None, one.category}]

    def planted(self, event: str, category: str) -> str:
        """The planted source of a category that sounds in a clip; "" if none."""
        return next((one.planted for one in self.of(event, category) if one.planted), "")


def same_kind(first: frozenset[str], second: frozenset[str], category: str) -> bool:
    """Whether two clips with these categories are the same kind of sound, as likeness has it."""
    return category in first and category in second and len(first ^ second) <= COUNT - AGREE


def category_error(truth: GroundTruth, alert: AlertMessage, *, best: bool = False) -> str:
    """`RIGHT`, or why an alert is wrong by kind.

    Args:
        truth: of the replay.
        alert: it is about.
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
    """Whether an alert is right by kind, or by its best match."""
    return category_error(truth, alert, best=best) == RIGHT


def right_by_happening(truth: GroundTruth, alert: AlertMessage) -> bool:
    """Whether an alert is about a planted source and its best match is of the same."""
    category = alert.categories[0]
    source = truth.planted(alert.event, category)
    return source != "" and truth.planted(alert.matches[0].event, category) == source


def same_source(truth: GroundTruth, alert: AlertMessage) -> bool:
    """Whether an alert is about a planted source, and any of its matches is of the same."""
    category = alert.categories[0]
    source = truth.planted(alert.event, category)
    return source != "" and any(truth.planted(match.event, category) == source for match in alert.matches)


def about(truth: GroundTruth, alert: AlertMessage) -> list[ScenarioEvent]:
    """The happenings an alert is about: those in its clip, of its categories."""
    return [one for name in alert.categories for one in truth.of(alert.event, name)]


def duplicates(truth: GroundTruth) -> int:
    """Alerts beyond one per happening; one about several counts for each."""
    told = Counter(one.name for alert in truth.alerts for one in about(truth, alert))
    return sum(count - 1 for count in told.values())


def most_a_day(times: Iterable[datetime]) -> int:
    """The most of these times, rising, that lie within 24 hours; 0 of none."""
    rising, begin, most = list(times), 0, 0
    for number, at in enumerate(rising):
        while at - rising[begin] >= timedelta(days=1):
            begin += 1
        most = max(most, number + 1 - begin)
    return most


@dataclass(frozen=True, slots=True)
class Recall:
    """What became of the occurrences of planted sources, but for the first of each.

    Attributes:
        occurrences: how many.
        told: with an alert of their own.
        joined: with none of their own, whose episodes belong to the alert of something else.
        missed: neither.
        by_kind: share that got an alert, their own or one they belong to.
        by_happening: share with an alert that is right by happening.
        heard_twice: occurrences that two sensors have episodes of.
        told_once: of these, with exactly one alert.
    """

    occurrences: int
    told: int
    joined: int
    missed: int
    by_kind: float
    by_happening: float
    heard_twice: int
    told_once: int


def recall(truth: GroundTruth, since_s: float = 0.0) -> Recall:
    """Count what became of planted occurrences.

    Args:
        truth: of the replay.
        since_s: those that began before this are left out, s from the first midnight.
    """
    told: dict[str, list[AlertMessage]] = {}
    for alert in truth.alerts:
        for one in about(truth, alert):
            told.setdefault(one.name, []).append(alert)
    occurrences = [one for source in KINDS for one in _planted(truth, source)[1:] if one.begin_s >= since_s]
    own = joined = right = twice = once = 0
    for one in occurrences:
        alerts, theirs = told.get(one.name, []), list(_episodes(truth, one))
        own += bool(alerts)
        joined += not alerts and any(episode.alert for episode in theirs)
        right += any(right_by_happening(truth, alert) for alert in alerts)
        if len({episode.place for episode in theirs}) > 1:
            twice += 1
            once += len(alerts) == 1
    n = max(len(occurrences), 1)
    missed = len(occurrences) - own - joined
    return Recall(len(occurrences), own, joined, missed, (own + joined) / n, right / n, twice, once)


def _planted(truth: GroundTruth, source: str) -> list[ScenarioEvent]:
    own = [one for one in truth.happenings.values() if one.planted == source]
    return sorted(own, key=lambda one: one.begin_s)


def _episodes(truth: GroundTruth, one: ScenarioEvent) -> Iterable[Episode]:
    """Those of its category at its sensors that overlap it."""
    places = {truth.places[sensor] for sensor, _ in one.heard}
    begin_ms, end_ms = (truth.start_ms + round(1000 * at) for at in (one.begin_s, one.end_s))
    for episode in truth.episodes:
        if episode.category == one.category and episode.place in places and episode.overlaps(begin_ms, end_ms, 0):
            yield episode


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """How the next likely windows turned out that alerts told.

    Attributes:
        alerts: looked at.
        told: with a window.
        judged: of these, whose window was over before the replay was.
        came_true: share of the judged in which the category truly sounded there.
        heard: share of the judged in which the hub has an episode of it there, whatever that was.
        stated: mean probability that they stated.
        base_stated: mean base rate that they stated.
        by_chance: share of windows as long at any hour of the same days that would have come true.
    """

    alerts: int
    told: int
    judged: int
    came_true: float
    heard: float
    stated: float
    base_stated: float
    by_chance: float


def windows(truth: GroundTruth, alerts: Sequence[AlertMessage], since_s: float, until_s: float) -> ForecastScore:
    """Judge the windows of some alerts.

    Args:
        truth: of the replay.
        alerts: any.
        since_s: where windows by chance begin, s from the first midnight.
        until_s: the replay's end.
    """
    told = [(alert, alert.recurrence.next) for alert in alerts if alert.recurrence and alert.recurrence.next]
    hits, heard, chances, stated, base = [], [], [], [], []
    for alert, window in told:
        begin, end = (at.timestamp() - truth.start_ms / 1000 for at in (window.start, window.end))
        if end > until_s:
            continue
        place, category = f"{alert.site}/{alert.sensor}", alert.categories[0]
        bouts = [bout for one in truth.happenings.values() for bout in _bouts(truth, one, place, category)]
        length = end - begin
        starts = [since_s + 3_600.0 * n for n in range(int((until_s - since_s - length) // 3_600) + 1)]
        hits.append(_sounds(bouts, begin, end))
        heard.append(_sounds(_spans(truth, place, category), begin, end))
        chances.append(sum(_sounds(bouts, at, at + length) for at in starts) / max(len(starts), 1))
        stated.append(window.probability)
        base.append(window.base_rate)

    return ForecastScore(
        len(alerts), len(told), len(hits), *(_mean(values) for values in (hits, heard, stated, base, chances))
    )


def _mean(values: Sequence[float]) -> float:
    """0 of none."""
    return sum(values) / max(len(values), 1)


def _bouts(truth: GroundTruth, one: ScenarioEvent, place: str, category: str) -> Sequence[tuple[float, float]]:
    heard = one.category == category and any(truth.places[sensor] == place for sensor, _ in one.heard)
    return one.bouts if heard else ()


def _spans(truth: GroundTruth, place: str, category: str) -> Iterable[tuple[float, float]]:
    """Begin and end of episodes, s from the first midnight."""
    for episode in truth.episodes:
        if (episode.place, episode.category) == (place, category):
            yield (episode.opened_ms - truth.start_ms) / 1000, (episode.last_ms - truth.start_ms) / 1000


def _sounds(bouts: Iterable[tuple[float, float]], begin_s: float, end_s: float) -> bool:
    return any(begin < end_s and begin_s < end for begin, end in bouts)


@dataclass(frozen=True, slots=True)
class ThresholdPromise:
    """A category's threshold, and whether what it promised was kept in the days after.

    Attributes:
        category: it is of.
        threshold: at the beginning of those days.
        false_a_day: it said it would cost.
        low: of its 90 % interval.
        high: likewise.
        actual_a_day: alerts wrong by kind, by their best match.
        alerts_a_day: all.
        last: the threshold at the end.
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
    """Compare what thresholds promised with what came.

    Args:
        truth: of the replay.
        before: documents of thresholds, by category, at the beginning of the days looked at.
        last: thresholds at the end.
        since_s: that beginning, s from the first midnight.
        days: looked at.
    """
    alerts = [alert for alert in truth.alerts if truth.at_s(alert) >= since_s]
    made = []
    for name in CATEGORIES:
        own = [alert for alert in alerts if alert.categories[0] == name]
        wrong = [alert for alert in own if not right_by_kind(truth, alert, best=True)]
        was = before.get(name, {})
        made.append(
            ThresholdPromise(
                category=name,
                threshold=was.get("value", 0.0),
                false_a_day=was.get("false_alerts_per_day", 0.0),
                low=was.get("low", 0.0),
                high=was.get("high", 0.0),
                actual_a_day=len(wrong) / days,
                alerts_a_day=len(own) / days,
                last=last.get(name, 0.0),
            )
        )
    return made

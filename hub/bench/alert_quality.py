"""How good alerts are: days in a street, replayed through a hub, and what it said measured against what happened."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import and_
from typing import Any, Final

import numpy as np

from hub.bench import alert_metrics as measure
from hub.bench.alert_metrics import ForecastScore, GroundTruth, Recall, ThresholdPromise
from hub.bench.replay import ReplayHub, Verdict, replay_hub
from hub.bench.scenario import DAY_S, KINDS, PERFORMANCES, Clip, ScenarioEvent, clips, generate_scenario
from hub.bench.synthetic_clips import EmbeddedClips, embed_scenario
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.events import CLIP_S, Embedding, Event, EventId
from shared.feature_space import EARWITNESS_SMALL
from shared.messages import AlertMessage

SITE: Final = "bench"
START: Final = datetime(2026, 6, 1, tzinfo=UTC)
"""A Monday."""
BATCH_S: Final = 120.0
"""Simulated time whose events are handled together."""
_BOOT: Final = "replay"
_POSITIONS: Final = (50.0, 8.0)
_APART_DEGREES: Final = 0.001
"""Between the first two sensors, some 110 m; the others are ten times as far from each other."""

ProgressFn = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class AlertQualityReport:
    """What `bench alerts` prints.

    Attributes:
        days: replayed.
        seed: of the street.
        sensors: in it.
        feedback: whether somebody answered every alert.
        events: sent.
        episodes: that they made.
        alerts: raised.
        alerts_a_day: mean.
        most_alerts_a_day: of any day.
        budget: of false alerts a day.
        most_without_rhythm: alerts that belong to no rhythm in any 24 hours: within the budget.
        false_alerts_a_day: wrong by kind, mean of all days.
        false_alerts_a_day_later: of the last third of the days.
        precision_by_kind: share of alerts that are right by kind.
        precision_by_best_match: by their best match.
        stated: mean probability that alerts stated.
        precision_by_happening: share right by happening, of all alerts.
        precision_by_happening_planted: of those about a planted happening.
        same_source_planted: share of these with the same source among their matches.
        recall: of planted occurrences.
        recall_later: of those in the last third of the days.
        duplicates: alerts beyond one per happening.
        wrong: why alerts are wrong by kind: counts by category and reason.
        alerts_of: counts by category.
        thresholds: what they promised for the last third of the days, and what came.
        next_planted: windows told by alerts about planted happenings in the last third.
        next_noise: by all other alerts in it.
        said: regularity of the last alert about each planted source.
        escalated: share of alerts that are recurring or urgent.
        escalated_planted: share of those about planted happenings that are.
        planted_escalated: share of the recurring or urgent that are about planted happenings.
        completing_ms: median time for completing an alert.
        completing_p95_ms: 95th percentile.
        seconds: for the replay.
    """

    days: int
    seed: int
    sensors: int
    feedback: bool
    events: int
    episodes: int
    alerts: int
    alerts_a_day: float
    most_alerts_a_day: int
    budget: float
    most_without_rhythm: int
    false_alerts_a_day: float
    false_alerts_a_day_later: float
    precision_by_kind: float
    precision_by_best_match: float
    stated: float
    precision_by_happening: float
    precision_by_happening_planted: float
    same_source_planted: float
    recall: Recall
    recall_later: Recall
    duplicates: int
    wrong: dict[str, int]
    alerts_of: dict[str, int]
    thresholds: list[ThresholdPromise]
    next_planted: ForecastScore
    next_noise: ForecastScore
    said: dict[str, str]
    escalated: float
    escalated_planted: float
    planted_escalated: float
    completing_ms: float
    completing_p95_ms: float
    seconds: float

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """A street's days, as the hub gets them.

    Attributes:
        days: how many.
        seed: they were drawn from.
        sensors: that listen.
        happenings: all.
        clips: in the order of their times.
        heard: the same.
    """

    days: int
    seed: int
    sensors: int
    happenings: Sequence[ScenarioEvent]
    clips: Sequence[Clip]
    heard: EmbeddedClips

    def events(self) -> Iterator[Event]:
        """Of all clips, in order."""
        counted: Counter[int] = Counter()
        for number, clip in enumerate(self.clips):
            yield Event(
                id=EventId(SITE, _sensor(clip.sensor), _BOOT, counted[clip.sensor]),
                captured_at=START + timedelta(milliseconds=round(1000 * clip.at_s)),
                duration_s=CLIP_S,
                rate_hz=16_000,
                levels=self.heard.levels(number),
                body=Embedding(EARWITNESS_SMALL.id, self.heard.features[number]),
            )
            counted[clip.sensor] += 1


def generate_days(
    days: int, seed: int, sensors: int, performances: int = PERFORMANCES, told: ProgressFn = lambda *_: None
) -> Days:
    """Draw a street's days and hear them.

    Args:
        days: from 1.
        seed: of everything random.
        sensors: from 1.
        performances: different clips that are made of each mixture at most.
        told: progress.
    """
    rng = np.random.default_rng(seed)
    happenings = generate_scenario(days, sensors, rng)
    sent = clips(happenings, days, sensors, rng)
    heard = embed_scenario(sent, seed, performances, lambda share: told("hearing", share))
    return Days(days, seed, sensors, happenings, sent, heard)


def alert_figures(
    drawn: Days, settings: HubSettings, *, feedback: bool = False, told: ProgressFn = lambda *_: None
) -> tuple[AlertQualityReport, GroundTruth]:
    """Replay days and measure the alerts.

    Args:
        drawn: the days.
        settings: the hub's; positions are the bench's own.
        feedback: whether somebody says of every alert at once whether it is right by kind.
        told: progress.

    Raises:
        Invalid: settings or a checkpoint that cannot be used.
    """
    positions = {
        f"{SITE}/{_sensor(n)}": (_POSITIONS[0] + _APART_DEGREES * (n if n < 2 else 10 * n), _POSITIONS[1])
        for n in range(drawn.sensors)
    }
    settings = settings.model_copy(
        update={"sites": settings.sites.model_copy(update={"sensor_positions": positions})}
    )
    events = list(drawn.events())
    by_event = {str(event.id): clip for event, clip in zip(events, drawn.clips, strict=True)}
    by_name = {one.name: one for one in drawn.happenings}

    def truth(alerts: Sequence[AlertMessage], replay: ReplayHub | None = None) -> GroundTruth:
        episodes = replay.episode_store.episodes(limit=10_000_000) if replay else ()
        return GroundTruth(round(START.timestamp() * 1000), list(positions), by_name, by_event, alerts, episodes)

    verdict: Verdict | None = None
    if feedback:
        known = truth(())
        verdict = lambda alert: measure.right_by_kind(known, alert)  # noqa: E731 - it is two lines long
    with replay_hub(settings, verdict) as replay:
        seconds = replay.process_all(_batches(events), lambda count: told("replaying", count / len(events)))
        found = truth(replay.alerts, replay)
        return _figures(found, replay, drawn, settings, seconds), found


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events that belong to the same two minutes."""
    for _, those in groupby(events, lambda event: event.captured_at.timestamp() // BATCH_S):
        yield list(those)


def _figures(
    truth: GroundTruth, replay: ReplayHub, drawn: Days, settings: HubSettings, seconds: float
) -> AlertQualityReport:
    alerts, days = truth.alerts, drawn.days
    if not alerts:
        raise InvalidError("no alert was raised: there is nothing to measure")
    last = max(days // 3, 1)
    since_s, until_s = (days - last) * DAY_S, days * DAY_S
    late = [alert for alert in alerts if truth.at_s(alert) >= since_s]
    planted = [any(one.planted for one in measure.about(truth, alert)) for alert in alerts]
    own = [alert for alert, one in zip(alerts, planted, strict=True) if one]
    others = [alert for alert, one in zip(alerts, planted, strict=True) if not one]
    faults = [measure.category_error(truth, alert) for alert in alerts]
    right = [measure.right_by_happening(truth, alert) for alert in alerts]
    wrong = [alert for alert, fault in zip(alerts, faults, strict=True) if fault != measure.RIGHT]
    urgent = [alert.severity != "notice" for alert in alerts]
    daily = Counter(int(truth.at_s(alert) // DAY_S) for alert in alerts)
    before = {name: one.to_json() for name, one in replay.thresholds[days - last - 1].items()} if days > 1 else {}
    now = {name: one.value for name, one in replay.episode_store.thresholds.of(SITE).items()}
    return AlertQualityReport(
        days=days,
        seed=drawn.seed,
        sensors=drawn.sensors,
        feedback=replay.verdict is not None,
        events=len(truth.clips),
        episodes=len(truth.episodes),
        alerts=len(alerts),
        alerts_a_day=len(alerts) / days,
        most_alerts_a_day=max(daily.values()),
        budget=settings.alerts.max_false_alerts_per_day,
        most_without_rhythm=measure.most_a_day([alert.captured_at for alert in alerts if alert.severity == "notice"]),
        false_alerts_a_day=len(wrong) / days,
        false_alerts_a_day_later=sum(truth.at_s(alert) >= since_s for alert in wrong) / last,
        precision_by_kind=1 - len(wrong) / len(alerts),
        precision_by_best_match=float(np.mean([measure.right_by_kind(truth, one, best=True) for one in alerts])),
        stated=float(np.mean([alert.match_probability or 0.0 for alert in alerts])),
        precision_by_happening=float(np.mean(right)),
        precision_by_happening_planted=sum(right) / max(len(own), 1),
        same_source_planted=sum(measure.same_source(truth, alert) for alert in own) / max(len(own), 1),
        recall=measure.recall(truth),
        recall_later=measure.recall(truth, since_s),
        duplicates=measure.duplicates(truth),
        wrong=dict(
            Counter(f"{alert.categories[0]}: {f}" for alert, f in zip(alerts, faults, strict=True) if f != "right")
        ),
        alerts_of=dict(Counter(alert.categories[0] for alert in alerts)),
        thresholds=measure.kept(truth, before, now, since_s, last),
        next_planted=measure.windows(truth, [one for one in own if one in late], since_s, until_s),
        next_noise=measure.windows(truth, [one for one in others if one in late], since_s, until_s),
        said={source: _said(truth, own, source) for source in KINDS},
        escalated=sum(urgent) / len(alerts),
        escalated_planted=sum(map(and_, urgent, planted)) / max(sum(planted), 1),
        planted_escalated=sum(map(and_, urgent, planted)) / max(sum(urgent), 1),
        completing_ms=float(np.median(replay.completing_ms)),
        completing_p95_ms=float(np.quantile(replay.completing_ms, 0.95)),
        seconds=seconds,
    )


def _said(truth: GroundTruth, alerts: Sequence[AlertMessage], source: str) -> str:
    """The regularity that the last alert about a source told."""
    own = [one for one in alerts if truth.planted(one.event, one.categories[0]) == source and one.recurrence]
    return own[-1].recurrence.regularity if own and own[-1].recurrence else ""


def _sensor(number: int) -> str:
    return f"street-{number + 1}"

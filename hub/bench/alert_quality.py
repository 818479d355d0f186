"""Alert quality: replay the days of a synthetic street through a hub and compare its alerts with the ground truth."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import and_
from typing import Any, Final

import numpy as np

from hub.bench import alert_metrics as measure
from hub.bench.alert_metrics import GroundTruth
from hub.bench.alert_recall import Recall, recall
from hub.bench.forecast_accuracy import ForecastScore, score_forecasts
from hub.bench.replay import ReplayHub, Verdict, replay_hub
from hub.bench.scenario import DAY_S, KINDS, PERFORMANCES, Clip, ScenarioEvent, clips, generate_scenario
from hub.bench.synthetic_clips import EmbeddedClips, embed_scenario
from hub.bench.threshold_promises import ThresholdPromise, compare_thresholds
from hub.settings import HubSettings
from shared.errors import InvalidError
from shared.events import CLIP_S, Embedding, Event, EventId
from shared.feature_space import EARWITNESS_SMALL
from shared.messages.alert import AlertMessage

SITE: Final = "bench"
START: Final = datetime(2026, 6, 1, tzinfo=UTC)
"""A Monday."""
BATCH_S: Final = 120.0
"""Simulated time whose events are handled together."""
_BOOT: Final = "replay"
_POSITIONS: Final = (50.0, 8.0)
_APART_DEGREES: Final = 0.001
"""Distance of the first two sensors, about 110 m. The others are ten times as far from each other."""

ProgressFn = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class AlertQualityReport:
    """Figures that `bench alerts` prints.

    Attributes:
        days: replayed days.
        seed: random seed of the street.
        sensors: number of sensors.
        feedback: whether every alert got a verdict.
        events: events sent.
        episodes: episodes opened.
        alerts: alerts raised.
        alerts_a_day: mean alerts per day.
        most_alerts_a_day: most alerts on one day.
        budget: false-alert budget per day.
        most_without_recurrence: most alerts without recurrence in any 24 hours; the budget limits them.
        false_alerts_a_day: alerts per day that are wrong by kind.
        false_alerts_a_day_later: the same over the last third of the days.
        precision_by_kind: share of alerts that are right by kind.
        precision_by_best_match: share of alerts that are right by their best match.
        stated: mean stated probability of alerts.
        precision_by_source: share of alerts that are right by source.
        precision_by_source_planted: the same among alerts about a planted source.
        same_source_planted: share of these with the same source among their matches.
        recall: recall of planted occurrences.
        recall_later: the same over the last third of the days.
        duplicates: alerts beyond one per sound event.
        wrong: alerts that are wrong by kind, counted by category and reason.
        alerts_of: alerts by category.
        thresholds: estimated and actual false alerts of the last third of the days.
        next_planted: windows stated by alerts about planted sources in the last third.
        next_noise: windows stated by all other alerts of the last third.
        regularity: regularity in the last alert about each planted source.
        escalated: share of alerts that are recurring or urgent.
        escalated_planted: the same among alerts about planted sources.
        planted_escalated: share of the recurring or urgent alerts that are about planted sources.
        completing_ms: median time for enriching an alert, ms.
        completing_p95_ms: 95th percentile of that time, ms.
        seconds: duration of the replay, s.
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
    most_without_recurrence: int
    false_alerts_a_day: float
    false_alerts_a_day_later: float
    precision_by_kind: float
    precision_by_best_match: float
    stated: float
    precision_by_source: float
    precision_by_source_planted: float
    same_source_planted: float
    recall: Recall
    recall_later: Recall
    duplicates: int
    wrong: dict[str, int]
    alerts_of: dict[str, int]
    thresholds: list[ThresholdPromise]
    next_planted: ForecastScore
    next_noise: ForecastScore
    regularity: dict[str, str]
    escalated: float
    escalated_planted: float
    planted_escalated: float
    completing_ms: float
    completing_p95_ms: float
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """The days of a street with the clips that its sensors send.

    Attributes:
        days: number of days.
        seed: random seed.
        sensors: number of sensors.
        sound_events: all sound events.
        clips: clips in order of time.
        embedded: features and levels of the clips, in the same order.
    """

    days: int
    seed: int
    sensors: int
    sound_events: Sequence[ScenarioEvent]
    clips: Sequence[Clip]
    embedded: EmbeddedClips

    def events(self) -> Iterator[Event]:
        """Yield the events of all clips, in order."""
        counted: Counter[int] = Counter()
        for number, clip in enumerate(self.clips):
            yield Event(
                id=EventId(SITE, _sensor(clip.sensor), _BOOT, counted[clip.sensor]),
                captured_at=START + timedelta(milliseconds=round(1000 * clip.at_s)),
                duration_s=CLIP_S,
                rate_hz=16_000,
                levels=self.embedded.levels(number),
                body=Embedding(EARWITNESS_SMALL.id, self.embedded.features[number]),
            )
            counted[clip.sensor] += 1


def generate_days(
    days: int, seed: int, sensors: int, performances: int = PERFORMANCES, progress: ProgressFn = lambda *_: None
) -> Days:
    """Generate the days of a street, and render and embed their clips.

    Args:
        days: number of days, from 1.
        seed: random seed.
        sensors: number of sensors, from 1.
        performances: at most this many different clips are rendered of each mixture.
        progress: called with the current step and its share done, in [0, 1].
    """
    rng = np.random.default_rng(seed)
    sound_events = generate_scenario(days, sensors, rng)
    sent = clips(sound_events, days, sensors, rng)
    embedded = embed_scenario(sent, seed, performances, lambda share: progress("embedding", share))
    return Days(days, seed, sensors, sound_events, sent, embedded)


def alert_figures(
    drawn: Days, settings: HubSettings, *, feedback: bool = False, progress: ProgressFn = lambda *_: None
) -> tuple[AlertQualityReport, GroundTruth]:
    """Replay days and measure the alerts.

    Args:
        drawn: the days to replay.
        settings: settings of the hub; the benchmark sets the sensor positions.
        feedback: whether every alert gets a verdict at once, by whether it is right by kind.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        InvalidError: the settings or a checkpoint cannot be used.
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
    by_name = {one.name: one for one in drawn.sound_events}

    def truth(alerts: Sequence[AlertMessage], replay: ReplayHub | None = None) -> GroundTruth:
        episodes = replay.episode_store.episodes(limit=10_000_000) if replay else ()
        return GroundTruth(round(START.timestamp() * 1000), list(positions), by_name, by_event, alerts, episodes)

    verdict: Verdict | None = None
    if feedback:
        known = truth(())
        verdict = lambda alert: measure.right_by_kind(known, alert)  # noqa: E731 - it is two lines long
    with replay_hub(settings, verdict) as replay:
        seconds = replay.process_all(_batches(events), lambda count: progress("replaying", count / len(events)))
        measured = truth(replay.alerts, replay)
        return _figures(measured, replay, drawn, settings, seconds), measured


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield the events of the same two minutes together."""
    for _, batch in groupby(events, lambda event: event.captured_at.timestamp() // BATCH_S):
        yield list(batch)


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
    right = [measure.right_by_source(truth, alert) for alert in alerts]
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
        most_without_recurrence=measure.most_a_day(
            [alert.captured_at for alert in alerts if alert.severity == "notice"]
        ),
        false_alerts_a_day=len(wrong) / days,
        false_alerts_a_day_later=sum(truth.at_s(alert) >= since_s for alert in wrong) / last,
        precision_by_kind=1 - len(wrong) / len(alerts),
        precision_by_best_match=float(np.mean([measure.right_by_kind(truth, one, best=True) for one in alerts])),
        stated=float(np.mean([alert.match_probability or 0.0 for alert in alerts])),
        precision_by_source=float(np.mean(right)),
        precision_by_source_planted=sum(right) / max(len(own), 1),
        same_source_planted=sum(measure.same_source(truth, alert) for alert in own) / max(len(own), 1),
        recall=recall(truth),
        recall_later=recall(truth, since_s),
        duplicates=measure.duplicates(truth),
        wrong=dict(
            Counter(f"{alert.categories[0]}: {f}" for alert, f in zip(alerts, faults, strict=True) if f != "right")
        ),
        alerts_of=dict(Counter(alert.categories[0] for alert in alerts)),
        thresholds=compare_thresholds(truth, before, now, since_s, last),
        next_planted=score_forecasts(truth, [one for one in own if one in late], since_s, until_s),
        next_noise=score_forecasts(truth, [one for one in others if one in late], since_s, until_s),
        regularity={source: _regularity(truth, own, source) for source in KINDS},
        escalated=sum(urgent) / len(alerts),
        escalated_planted=sum(map(and_, urgent, planted)) / max(sum(planted), 1),
        planted_escalated=sum(map(and_, urgent, planted)) / max(sum(urgent), 1),
        completing_ms=float(np.median(replay.completing_ms)),
        completing_p95_ms=float(np.quantile(replay.completing_ms, 0.95)),
        seconds=seconds,
    )


def _regularity(truth: GroundTruth, alerts: Sequence[AlertMessage], source: str) -> str:
    """Return the regularity in the last alert about a source; "" if there is none."""
    own = [one for one in alerts if truth.planted(one.event, one.categories[0]) == source and one.recurrence]
    return own[-1].recurrence.regularity if own and own[-1].recurrence else ""


def _sensor(number: int) -> str:
    return f"street-{number + 1}"

"""The decision about one event: its episodes, its name and its alert, from values to values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hub.domain.alert_pricing import Budget
from hub.domain.alert_rule import NOTHING_NEEDED, AlertRule, SearchResult, evaluate
from hub.domain.alert_state import AlertState, Needs
from hub.domain.alerts import build_alert, named_alert, with_name
from hub.domain.episode_draft import EpisodeDraft
from hub.domain.episodes import ActiveAlert, Episode, Observation
from hub.domain.named_returns import Clip, Pauses, name
from hub.domain.named_sounds import NamedSound
from hub.domain.records import StoredEvent, to_ms
from shared.messages.alert import AlertMessage
from shared.taxonomy import COUNT

NO_MATCHES: Final = SearchResult((), np.empty((0, COUNT), dtype=np.float32))
"""Matches that the rule receives for a watched or muted sound, so that it raises no alert of its own."""
NAMED: Final = "named"
"""The key of the latest alert of a watched sound in `SensorState.calls`, beside the categories."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The decision about an event: its episodes as they are now, its alert, and the named sound that it is."""

    event: StoredEvent
    episodes: Sequence[Episode]
    alert: AlertMessage | None
    sound: NamedSound | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A detection with the state after it.

    Attributes:
        detection: of the event.
        state: after the event.
        needs: values that were missing; see `Evaluation.needs`.
    """

    detection: Detection
    state: AlertState
    needs: Needs = NOTHING_NEEDED


def observation_of(event: StoredEvent) -> Observation:
    """Return what the rule knows of an event."""
    start_ms = to_ms(event.captured_at)
    return Observation(
        event=str(event.id),
        place=event.place,
        start_ms=start_ms,
        end_ms=start_ms + round(event.duration_s * 1000),
        laeq=event.levels.laeq,
        unit=event.levels.unit,
        presence=event.presence,
    )


def detect(
    rule: AlertRule, event: StoredEvent, results: SearchResult, state: AlertState, neighbours: Sequence[str] = ()
) -> Decision:
    """Decide which episodes an event belongs to, which named sound it is, and whether it raises an alert.

    Args:
        rule: what an alert needs.
        event: archived.
        results: what the search found for the event.
        state: before the event, with the returns of the named sounds that it may be; it stays as it is.
        neighbours: places of the sensors near the event's one.
    """
    observation = observation_of(event)
    named = None
    if results.names:
        clip = Clip(observation.event, observation.place, observation.start_ms, observation.end_ms)
        named = name(clip, results.names, state.names, neighbours, Pauses(rule.gap_ms, rule.cooldown_ms))
    quiet = named is not None and named[0].quiet
    evaluation = evaluate(rule, observation, NO_MATCHES if quiet else results, state, neighbours)
    thresholds = state.thresholds.get(event.site, {})
    if named is None:
        alert = build_alert(event, evaluation, rule, thresholds, results.source_of()) if evaluation.flagged else None
        return Decision(Detection(event, evaluation.episodes, alert), evaluation.state, evaluation.needs)
    naming, names = named
    after = evaluation.state.with_names(names)
    if naming.alert:
        episodes, after = _join_alert(
            rule, observation, evaluation.episodes, naming.alert, after, raises=naming.raises
        )
        evaluation = replace(evaluation, episodes=episodes)
    if naming.raises:
        alert = named_alert(event, evaluation, results, naming.likely, rule, thresholds)
    else:
        alert = build_alert(event, evaluation, rule, thresholds, results.source_of())
    detection = Detection(event, evaluation.episodes, alert and with_name(alert, naming.likely), naming.likely.sound)
    return Decision(detection, after, evaluation.needs)


def _join_alert(
    rule: AlertRule,
    observation: Observation,
    episodes: Sequence[Episode],
    alert: str,
    state: AlertState,
    *,
    raises: bool,
) -> tuple[list[Episode], AlertState]:
    """Return an event's episodes and the state, with the alert of a watched sound.

    Args:
        rule: what an alert needs.
        observation: the event.
        episodes: of the event; those without an alert join this one.
        alert: of the watched sound.
        state: after the event; it stays as it is.
        raises: whether the event raises the alert.
    """
    place, site = observation.place, observation.place.partition("/")[0]
    draft = EpisodeDraft(state.sensors[place], state.history, rule.gap_ms, rule.cooldown_ms)
    joined = [e if e.alert else draft.history.keep(draft.sensor.upsert(replace(e, alert=alert))) for e in episodes]
    if raises:
        draft.sensor.calls[NAMED] = ActiveAlert(observation.event, observation.start_ms, observation.end_ms)
    return joined, state.after(place, draft.sensor, site, state.budgets.get(site) or Budget(), draft.history)

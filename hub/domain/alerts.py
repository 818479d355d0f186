"""Alerts and matches as messages."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from hub.domain.alert_rule import AlertRule, Evaluation, SearchResult, shared_presence
from hub.domain.match import Match
from hub.domain.named_sounds import Likely
from hub.domain.records import StoredEvent
from shared.messages.alert import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES, COUNT


def build_alert(
    event: StoredEvent,
    judged: Evaluation,
    rule: AlertRule,
    thresholds: Mapping[str, float],
    same_source: Mapping[str, float],
) -> AlertMessage | None:
    """Return the alert for an event that was flagged; None if it was not.

    `same_source` is P(same source) of matches, by their events' ids; none where the model does not distinguish
    sources.
    """
    if not judged.flagged:
        return None
    lead = next(iter(judged.flagged))
    return AlertMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        backfilled=event.backfilled,
        delay_s=round(max(0.0, event.delivery_s), 3),
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        calibration=event.calibration.id if event.calibration is not None else None,
        calibration_age_days=event.calibration_age_days,
        presence=dict(zip(CATEGORIES, event.presence, strict=True)),
        matches=[
            build_match(match, rule.min_shared, match_probability, same_source.get(match.event))
            for match, match_probability in judged.matches
        ],
        categories=list(judged.flagged),
        match_probability=judged.flagged[lead],
        threshold=thresholds.get(lead, rule.threshold),
        episode=next((episode.id for episode in judged.episodes if episode.category == lead), ""),
        above_ambient_db=judged.above_ambient_db,
        severity="recurring" if judged.recurring else "notice",
    )


def named_alert(
    event: StoredEvent,
    judged: Evaluation,
    similar: SearchResult,
    likely: Likely,
    rule: AlertRule,
    thresholds: Mapping[str, float],
) -> AlertMessage:
    """Return the alert for an event that is a watched sound, whatever the alert rule decides.

    It is about the most probable category of the event's episodes, or else of the event. Its matches are the closest
    past events, or else the closest example.

    Args:
        event: that is the watched sound.
        judged: the decision about it.
        similar: what was found for it.
        likely: the watched sound.
        rule: of the hub.
        thresholds: of the site, by category.
    """
    presence = dict(zip(CATEGORIES, event.presence, strict=True))
    lead = max([episode.category for episode in judged.episodes] or CATEGORIES, key=lambda name: presence[name])
    best = similar.match_probability.max(axis=1, initial=0.0).tolist()
    matches = list(zip(similar.matches, best, strict=True))[: rule.max_matches]
    of_lead = float(similar.match_probability[:, CATEGORIES.index(lead)].max(initial=0.0))
    alert = build_alert(
        event, replace(judged, flagged={lead: of_lead}, matches=matches), rule, thresholds, similar.source_of()
    )
    assert alert is not None  # noqa: S101 - it is flagged
    return with_name(alert, likely).model_copy(
        update={
            "matches": alert.matches or [_example_message(likely)],
            "severity": likely.sound.treatment.severity,
            "watched": True,
        }
    )


def with_name(alert: AlertMessage, likely: Likely) -> AlertMessage:
    """Return the alert with the name of the sound that its event is."""
    fields = {"name": likely.sound.name, "name_id": likely.sound.id, "name_probability": min(1.0, likely.probability)}
    return alert.model_copy(update=fields)


def _example_message(likely: Likely) -> MatchMessage:
    """Return an example as a match; its level of similarity is not known."""
    site, _, sensor = likely.example.place.partition("/")
    captured_at = datetime.fromtimestamp(likely.example.captured_ms / 1000, UTC)
    return MatchMessage(
        event=likely.example.event, site=site, sensor=sensor, captured_at=captured_at, level=0.0, shared={}
    )


def build_match(
    match: Match, min_shared: float, match_probability: float | None = None, same_source: float | None = None
) -> MatchMessage:
    """Return a match as a message, with its probabilities of the same kind of sound and of the same source."""
    site, _, sensor = match.place.partition("/")
    return MatchMessage(
        event=match.event,
        site=site,
        sensor=sensor,
        captured_at=datetime.fromtimestamp(match.captured_ms / 1000, UTC),
        level=min(float(COUNT), max(0.0, match.level)),
        rank=match.rank,
        shared=shared_presence(match, min_shared),
        match_probability=match_probability,
        same_source=same_source,
        stands_out=match.stands_out,
    )

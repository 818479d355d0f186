"""Alerts and matches as they are told to others."""

from collections.abc import Mapping
from datetime import UTC, datetime

from hub.flagging.rule import FlagRule, Judged, shared_presence
from hub.search.match import Match
from hub.stored import StoredEvent
from shared.messages import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES


def alert_of(
    event: StoredEvent,
    judged: Judged,
    rule: FlagRule,
    thresholds: Mapping[str, float],
    same_source: Mapping[str, float],
) -> AlertMessage | None:
    """The alert for an event that was flagged; None if it was not.

    `same_source` is P(same source) of matches, by their events' ids; none where the model knows no sources.
    """
    if not judged.flagged:
        return None
    lead = next(iter(judged.flagged))
    return AlertMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        historical=event.historical,
        delay_s=round(max(0.0, event.delivery_s), 3),
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        presence=dict(zip(CATEGORIES, event.presence, strict=True)),
        matches=[
            match_message(match, rule.min_shared, likeness, same_source.get(match.event))
            for match, likeness in judged.matches
        ],
        categories=list(judged.flagged),
        probability=judged.flagged[lead],
        threshold=thresholds.get(lead, rule.threshold),
        episode=next(episode.id for episode in judged.episodes if episode.category == lead),
        above_ambient_db=judged.above_ambient_db,
        severity="recurring" if judged.recurring else "notice",
    )


def match_message(
    match: Match, min_shared: float, likeness: float | None = None, same_source: float | None = None
) -> MatchMessage:
    """A match as told to others, with its probabilities of being the same kind of sound and of the same source."""
    site, _, sensor = match.place.partition("/")
    return MatchMessage(
        event=match.event,
        site=site,
        sensor=sensor,
        captured_at=datetime.fromtimestamp(match.captured_ms / 1000, UTC),
        level=min(8.0, max(0.0, match.level)),
        rank=match.rank,
        shared=shared_presence(match, min_shared),
        probability=likeness,
        same_source=same_source,
    )

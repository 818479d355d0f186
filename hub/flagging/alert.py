"""Alerts and matches as they are told to others."""

from datetime import UTC, datetime

from hub.flagging.rule import shared_presence
from hub.search.match import Match
from hub.stored import StoredEvent
from shared.messages import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES


def alert_of(event: StoredEvent, matches: list[Match], min_shared: float) -> AlertMessage | None:
    """The alert for an event and its flagged matches; None if there are none."""
    if not matches:
        return None
    return AlertMessage(
        event=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        presence=dict(zip(CATEGORIES, event.presence, strict=True)),
        matches=[match_message(match, min_shared) for match in matches],
    )


def match_message(match: Match, min_shared: float) -> MatchMessage:
    """A match as told to others."""
    site, _, sensor = match.place.partition("/")
    return MatchMessage(
        event=match.event,
        site=site,
        sensor=sensor,
        captured_at=datetime.fromtimestamp(match.captured_ms / 1000, UTC),
        level=min(8.0, max(0.0, match.level)),
        rank=match.rank,
        shared=shared_presence(match, min_shared),
    )

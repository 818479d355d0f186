"""The list of events that pages, API and exports share, filtered by all that people ask for.

Severity and verdict are those of alerts: such a list holds only events that raised an alert.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hub.domain.verdicts import VerdictState
from hub.store.event_queries import Cursor, EventFilter, Page
from hub.web.context import WebContext
from hub.web.listing import AlertFilter, matching_alerts
from shared.messages.alert import Severity

_MAX_EPISODES: Final = 100_000


@dataclass(frozen=True, slots=True)
class EventListFilter:
    """A filter of a list of events; all pass by default.

    Attributes:
        events: which events, by what the archive knows of them.
        source: only within the episodes of the source with this id.
        severity: only those with an alert of this severity.
        verdict: only those with an alert with this verdict; "none": with an alert without a verdict.
    """

    events: EventFilter = field(default_factory=EventFilter)
    source: str | None = None
    severity: Severity | None = None
    verdict: VerdictState | None = None


def events(parts: WebContext, wanted: EventListFilter, *, limit: int, after: Cursor | None = None) -> Page:
    """Return a page of events, newest first.

    Raises:
        UnavailableError: the store is unavailable.
    """
    chosen, by_alert = wanted.events, wanted.severity is not None or wanted.verdict is not None
    if by_alert:
        chosen = replace(chosen, with_alert=True)
    keeps = [_by_alert(parts, wanted)] if by_alert else []
    if wanted.source is not None:
        keeps.append(_by_source(parts, wanted.source))

    def keep(batch: Sequence[Cursor]) -> Sequence[Cursor]:
        for one in keeps:
            kept = one(batch)
            batch = [cursor for cursor in batch if cursor in kept]
        return batch

    return parts.catalogue.events(chosen, limit=limit, after=after, keep=keep if keeps else None)


def _by_alert(parts: WebContext, wanted: EventListFilter) -> Callable[[Sequence[Cursor]], Collection[Cursor]]:
    asked = AlertFilter(severity=wanted.severity, verdict=wanted.verdict)

    def keep(batch: Sequence[Cursor]) -> Collection[Cursor]:
        found = parts.archive.alerts.fetch([cursor.id for cursor in batch])
        passed = {alert.event for alert in matching_alerts(parts, asked, found)}
        return {cursor for cursor in batch if cursor.id in passed}

    return keep


def _by_source(parts: WebContext, name: str) -> Callable[[Sequence[Cursor]], Collection[Cursor]]:
    source = parts.sources.get(name)
    spans: dict[str, list[tuple[int, int]]] = {}
    for episode in parts.sources.episodes(source.id, limit=_MAX_EPISODES) if source is not None else ():
        spans.setdefault(episode.place, []).append((episode.opened_ms, episode.last_ms))
    for own in spans.values():
        own.sort()

    def keep(batch: Sequence[Cursor]) -> Collection[Cursor]:
        return {cursor for cursor in batch if _within(spans.get(_place_of(cursor.id), []), cursor.ms)}

    return keep


def _within(spans: Sequence[tuple[int, int]], at_ms: int) -> bool:
    number = bisect_right(spans, at_ms, key=lambda span: span[0])
    return number > 0 and at_ms < spans[number - 1][1]


def _place_of(event: str) -> str:
    site, sensor, _ = event.split(".", 2)
    return f"{site}/{sensor}"

"""Sources with their history, for pages and API, and their API representations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from fastapi import HTTPException
from pydantic import BaseModel, Field

from hub.domain.episodes import Episode
from hub.domain.records import to_ms
from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.domain.sources import exemplars
from hub.store.event_queries import Cursor
from hub.store.source_rows import StoredSource
from hub.web.context import WebContext
from hub.web.pagination import begin_at
from hub.web.pattern_schemas import RhythmView, rhythm_view
from hub.web.schemas import from_ms

SOURCE_EXAMPLE: Final = "4f2a9c01d7"
EXEMPLARS: Final = 4
PLACES_FROM: Final = 50
"""Newest episodes from which a list takes the places of a source."""


class SourceView(BaseModel):
    """A source: episodes of one category at a site that one machine, dog, siren or voice made."""

    id: str = Field(examples=[SOURCE_EXAMPLE])
    site: str
    category: str
    space: str = Field(description="feature space of its episodes; sources of different spaces are never compared")
    first_at: datetime = Field(description="when its first episode began")
    last_at: datetime = Field(description="when its latest episode began")
    episodes: int = Field(description="number of its archived episodes")
    places: list[str] = Field(description="recent places, as `site/sensor`, the most frequent first")


class SourceList(BaseModel):
    """Sources, the most recent first. For older ones repeat the request with `after` = `next`; null at the end."""

    sources: list[SourceView]
    next: str | None


class SourceDetail(RhythmView, SourceView):
    """A source with its history; `times` counts episodes at most `alerts.cooldown_s` apart once."""

    exemplars: list[str] = Field(description="events that sound most like it")
    different: list[str] = Field(description="sources that a person marked as different")


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A source with its history.

    Attributes:
        stored: the source.
        episodes: its episodes, the newest first.
        pattern: recurrence of the episodes.
        calendar: hours with the source, by local day.
        exemplars: ids of the events that sound most like it.
    """

    stored: StoredSource
    episodes: Sequence[Episode]
    pattern: RecurrenceSummary
    calendar: dict[date, float]
    exemplars: list[str]


def source_of(parts: WebContext, name: str) -> StoredSource:
    """Return a source by its id, or by the id of a source that was joined to it.

    Raises:
        HTTPException: 404, there is none.
        UnavailableError: the store is unavailable.
    """
    source = parts.sources.get(name)
    if source is None:
        raise HTTPException(404, f"no source {name}")
    return source


def known_of(parts: WebContext, name: str) -> Known:
    """Return a source with its history, by its id.

    Raises:
        HTTPException: 404, there is none.
        UnavailableError: the store is unavailable.
    """
    stored, now = source_of(parts, name), datetime.now(UTC)
    episodes = parts.histories.episodes(stored.id, now)
    members = parts.sources.members([episode.id for episode in episodes[:PLACES_FROM]])
    near = exemplars(stored.source, list(members.values()), 2 * EXEMPLARS)
    archived = {str(event.id) for event in parts.archive.fetch([member.clip for member in near])}
    return Known(
        stored,
        episodes,
        parts.histories.pattern_of(episodes, now),
        parts.histories.days_of(episodes),
        [member.clip for member in near if member.clip in archived][:EXEMPLARS],
    )


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """A filter of sources; all pass by default. Times are those at which the latest episode began."""

    site: str | None = None
    category: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def sources(
    parts: WebContext, wanted: SourceFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[StoredSource], Cursor | None]:
    """Return a page of sources, the most recent first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """
    after = begin_at(after, wanted.until)
    before = None if after is None else (after.ms, after.id)
    found = parts.sources.newest(limit=limit + 1, before=before, site=wanted.site, category=wanted.category)
    since_ms = 0 if wanted.since is None else to_ms(wanted.since)
    found = [one for one in found if one.source.last_ms >= since_ms]
    page = found[:limit]
    return page, Cursor(page[-1].source.last_ms, page[-1].id) if len(found) > limit else None


def places_of(episodes: Sequence[Episode]) -> list[str]:
    """Return the places of episodes, the most frequent first."""
    counts: dict[str, int] = {}
    for episode in episodes:
        counts[episode.place] = counts.get(episode.place, 0) + 1
    return sorted(counts, key=lambda place: (-counts[place], place))


def source_view(parts: WebContext, stored: StoredSource) -> SourceView:
    """Return the API representation of a source in a list."""
    return _view(stored, places_of(parts.sources.episodes(stored.id, limit=PLACES_FROM)))


def _view(stored: StoredSource, places: list[str]) -> SourceView:
    return SourceView(
        id=stored.id,
        site=stored.group.site,
        category=stored.group.category,
        space=stored.group.space,
        first_at=from_ms(stored.first_ms),
        last_at=from_ms(stored.source.last_ms),
        episodes=stored.episodes,
        places=places,
    )


def source_detail(known: Known) -> SourceDetail:
    """Return the API representation of a source with its history."""
    return SourceDetail(
        **dict(_view(known.stored, places_of(known.episodes))),
        **dict(rhythm_view(known.pattern, known.calendar)),
        exemplars=known.exemplars,
        different=sorted(known.stored.source.apart),
    )

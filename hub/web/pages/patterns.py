"""Patterns: what comes back where, how regularly, and when it is likely next."""

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.store.event_queries import EpisodeCount
from hub.store.source_rows import StoredSource
from hub.web.context import WebContext
from hub.web.listing import AlertFilter, alerts, episodes
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import parse_category, parse_place
from hub.web.svg import DAYS, calendar, week

_ROWS: Final = 60
_FORETOLD: Final = 8
"""Rows whose rhythm is told in words in the list; it takes a moment each."""
_WEEKS: Final = 13
_EPISODES: Final = 8
_SOURCES: Final = 8
_SOURCES_FROM: Final = 200
"""Episodes, the newest, whose sources are told."""


def routes(shell: PageRenderer) -> APIRouter:
    """The routes of patterns."""
    router = APIRouter()
    parts = shell.parts
    known: dict[tuple[str, str, int, str], RecurrenceSummary] = {}

    def pattern_of(place: str, category: str, version: str = "") -> RecurrenceSummary:
        """A pattern, kept until the hour is over, or until there is another version."""
        now = datetime.now(UTC)
        key = (place, category, int(now.timestamp()) // 3600, version)
        if key not in known:
            if len(known) > 4 * _FORETOLD * _ROWS:
                known.clear()
            known[key] = parts.patterns.pattern(place, category, now)
        return known[key]

    @router.get("/patterns")
    def patterns(request: Request) -> HTMLResponse:
        tallies = parts.catalogue.tallies([sensor.place for sensor in parts.archive.sensors.all()])[:_ROWS]
        told = [
            (tally, pattern_of(tally.place, tally.category) if number < _FORETOLD else None)
            for number, tally in enumerate(tallies)
        ]
        return shell.page(request, "patterns.html", told=told)

    @router.get("/patterns/{site}/{sensor}/{category}")
    def pattern(request: Request, site: str, sensor: str, category: str) -> HTMLResponse:
        place = parse_place(f"{site}/{sensor}") or ""
        parse_category(category)
        if place not in {each.place for each in parts.archive.sensors.all()}:
            raise HTTPException(404, f"no sensor {place}")
        tallies = {(t.place, t.category): t for t in parts.catalogue.tallies([place])}
        tally = tallies.get((place, category), EpisodeCount(place, category, 0, 0))
        found, now = pattern_of(place, category, _version(tally)), datetime.now(UTC)
        hours = week(found.profile.tolist())
        last, _ = episodes(parts, limit=_EPISODES, place=place, category=category)
        own, _ = alerts(parts, AlertFilter(place=place, category=category), limit=5)
        return shell.page(
            request,
            "pattern.html",
            place=place,
            category=category,
            pattern=found,
            week=hours.rows,
            most=hours.most,
            calendar=list(
                zip(
                    DAYS,
                    calendar(parts.patterns.days(place, category, now), shell.local(now).date(), _WEEKS),
                    strict=True,
                )
            ),
            sources=sources_of(parts, place, category),
            episodes=last,
            alerts=own,
            others=[t for t in tallies.values() if t.category != category],
        )

    return router


def sources_of(parts: WebContext, place: str, category: str) -> list[tuple[StoredSource, int]]:
    """Sources of the newest episodes of a category at a place, each with how many of them, most first."""
    newest = parts.episode_store.episodes(limit=_SOURCES_FROM, place=place, category=category)
    counts = Counter(member.source for member in parts.sources.members([e.id for e in newest]).values())
    found = [(parts.sources.get(name), times) for name, times in counts.most_common(_SOURCES)]
    return [(source, times) for source, times in found if source is not None]


def _version(tally: EpisodeCount) -> str:
    return f"{tally.times} {tally.last_ms}"

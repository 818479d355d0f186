"""Pages of patterns: which category recurs where, how regularly, and when it is expected next."""

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
_FORECAST_ROWS: Final = 8
"""Rows of the list with regularity and forecast; each takes noticeable time to compute."""
_WEEKS: Final = 13
_EPISODES: Final = 8
_SOURCES: Final = 8
_SOURCES_FROM: Final = 200
"""Newest episodes whose sources are shown."""


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of patterns."""
    router = APIRouter()
    parts = shell.parts
    known: dict[tuple[str, str, int, str], RecurrenceSummary] = {}

    def pattern_of(place: str, category: str, version: str = "") -> RecurrenceSummary:
        """Return a pattern; it is cached until the hour ends or the version changes."""
        now = datetime.now(UTC)
        key = (place, category, int(now.timestamp()) // 3600, version)
        if key not in known:
            if len(known) > 4 * _FORECAST_ROWS * _ROWS:
                known.clear()
            known[key] = parts.patterns.pattern(place, category, now)
        return known[key]

    @router.get("/patterns")
    def patterns(request: Request) -> HTMLResponse:
        tallies = parts.catalogue.tallies([sensor.place for sensor in parts.archive.sensors.all()])[:_ROWS]
        rows = [
            (tally, pattern_of(tally.place, tally.category) if number < _FORECAST_ROWS else None)
            for number, tally in enumerate(tallies)
        ]
        return shell.page(request, "patterns.html", rows=rows)

    @router.get("/patterns/{site}/{sensor}/{category}")
    def pattern(request: Request, site: str, sensor: str, category: str) -> HTMLResponse:
        place = parse_place(f"{site}/{sensor}") or ""
        parse_category(category)
        if place not in {each.place for each in parts.archive.sensors.all()}:
            raise HTTPException(404, f"no sensor {place}")
        tallies = {(t.place, t.category): t for t in parts.catalogue.tallies([place])}
        tally = tallies.get((place, category), EpisodeCount(place, category, 0, 0))
        summary, now = pattern_of(place, category, _version(tally)), datetime.now(UTC)
        hours = week(summary.profile.tolist())
        last, _ = episodes(parts, limit=_EPISODES, place=place, category=category)
        latest, _ = alerts(parts, AlertFilter(place=place, category=category), limit=5)
        return shell.page(
            request,
            "pattern.html",
            place=place,
            category=category,
            pattern=summary,
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
            alerts=latest,
            others=[t for t in tallies.values() if t.category != category],
        )

    return router


def sources_of(parts: WebContext, place: str, category: str) -> list[tuple[StoredSource, int]]:
    """Return the sources of a category's newest episodes at a place, each with its count, the most frequent first."""
    newest = parts.episode_store.episodes(limit=_SOURCES_FROM, place=place, category=category)
    counts = Counter(member.source for member in parts.sources.members([e.id for e in newest]).values())
    found = [(parts.sources.get(name), times) for name, times in counts.most_common(_SOURCES)]
    return [(source, times) for source, times in found if source is not None]


def _version(tally: EpisodeCount) -> str:
    return f"{tally.times} {tally.last_ms}"

"""Pages of patterns: which category recurs where, how regularly, and when it is expected next."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from hub.domain.records import to_ms
from hub.domain.recurrence.analysis import RecurrenceSummary
from hub.store.event_queries import EpisodeCount
from hub.store.source_rows import StoredSource
from hub.web.context import WebContext
from hub.web.listing import EpisodeFilter, episodes, tallies
from hub.web.pages.list_fields import ListFields, options_of
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import parse_category, parse_place
from hub.web.svg import DAYS, calendar, week

_ROWS: Final = 100
"""Rows of the list: the most frequent pairs of place and category, the strongest rhythm first."""
_KNOWN: Final = 2_000
"""Patterns that are kept."""
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

    def patterns_of(pairs: Sequence[tuple[str, str]], version: str, *, in_full: bool) -> list[RecurrenceSummary]:
        """Return patterns; they are cached until the hour ends or the version changes."""
        now = datetime.now(UTC)
        wanted = [(place, category, int(now.timestamp()) // 3600, version) for place, category in pairs]
        missing = [key for key in wanted if key not in known]
        if len(known) > _KNOWN:
            known.clear()
            missing = wanted
        asked = [(place, category, now) for place, category, _, _ in missing]
        known.update(zip(missing, parts.patterns.patterns(asked, tests_forecasts=in_full), strict=True))
        return [known[key] for key in wanted]

    @router.get("/patterns")
    def patterns(
        request: Request, site: str = "", place: str = "", category: str = "", since: str = ""
    ) -> HTMLResponse:
        given = {"site": site, "place": place, "category": category, "since": since}
        fields = ListFields({name: text for name, text in given.items() if text}, parts.places.timezone)
        wanted = fields.alerts()
        since_ms = 0 if wanted.since is None else to_ms(wanted.since)
        places = [
            sensor.place
            for sensor in parts.archive.sensors.all()
            if wanted.place in {None, sensor.place} and wanted.site in {None, sensor.place.partition("/")[0]}
        ]
        found = [
            one
            for one in tallies(parts, places)
            if wanted.category in {None, one.category} and one.last_ms >= since_ms
        ][:_ROWS]
        version = f"list {parts.episode_store.corrections().moves()}"
        summaries = patterns_of([(one.place, one.category) for one in found], version, in_full=False)
        rows = sorted(zip(found, summaries, strict=True), key=lambda row: row[1].rank, reverse=True)
        return shell.page(request, "patterns.html", rows=rows, fields=fields, options=options_of(parts))

    @router.get("/patterns/{site}/{sensor}/{category}")
    def pattern(request: Request, site: str, sensor: str, category: str) -> HTMLResponse:
        place = parse_place(f"{site}/{sensor}") or ""
        parse_category(category)
        if place not in {each.place for each in parts.archive.sensors.all()}:
            raise HTTPException(404, f"no sensor {place}")
        counts = {(t.place, t.category): t for t in tallies(parts, [place])}
        tally = counts.get((place, category), EpisodeCount(place, category, 0, 0))
        (summary,), now = patterns_of([(place, category)], _version(tally), in_full=True), datetime.now(UTC)
        hours = week(summary.profile.tolist())
        last, _ = episodes(parts, EpisodeFilter(place=place, category=category), limit=_EPISODES)
        observed = parts.patterns.observed_days([place], now)
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
                    calendar(parts.patterns.days(place, category, now), shell.local(now).date(), _WEEKS, observed),
                    strict=True,
                )
            ),
            sources=sources_of(parts, place, category),
            episodes=last,
            others=[t for t in counts.values() if t.category != category],
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

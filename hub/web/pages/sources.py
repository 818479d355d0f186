"""Pages of sources (one machine, dog, siren or voice): sound, places, history and expected next time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.domain.source_summary import NOUNS, ordinal
from hub.store.source_verdicts import SourceVerdicts
from hub.web.audio import audio_path
from hub.web.listing import AlertFilter
from hub.web.name_service import of_source
from hub.web.pages.list_fields import ListFields, options_of
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.source_schemas import PLACES_FROM, SourceFilter, known_of, places_of, source_of, sources
from hub.web.svg import DAYS, calendar, plan, week
from shared.errors import InvalidError

_ROWS: Final = 30
_FORECAST_ROWS: Final = 8
"""Rows of the list with regularity and forecast; each takes noticeable time to compute."""
_WEEKS: Final = 13
_EPISODES: Final = 12
_OTHERS: Final = 12
"""Sources that the page offers to join."""


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of sources."""
    router = APIRouter()
    parts = shell.parts
    verdicts = SourceVerdicts(parts.sources, parts.episode_store)

    @router.get("/sources")
    def list_(
        request: Request,
        after: str | None = None,
        site: str = "",
        category: str = "",
        since: str = "",
        until: str = "",
    ) -> HTMLResponse:
        given = {"site": site, "category": category, "since": since, "until": until}
        fields = ListFields({name: text for name, text in given.items() if text}, parts.places.timezone)
        page, following = sources(parts, _filter(fields.alerts()), limit=_ROWS, after=decode_cursor(after))
        now = datetime.now(UTC)
        rows = []
        for number, one in enumerate(page):
            if number < _FORECAST_ROWS:
                episodes = parts.histories.episodes(one.id, now)
                pattern = parts.histories.pattern_of(episodes, now)
            else:
                episodes, pattern = parts.sources.episodes(one.id, limit=PLACES_FROM), None
            rows.append((one, places_of(episodes), pattern))
        return shell.page(
            request,
            "sources.html",
            rows=rows,
            next=encode_cursor(following),
            fields=fields,
            options=replace(options_of(parts), place={}),
        )

    @router.get("/sources/{source_id}", response_model=None)
    def source(request: Request, source_id: str) -> HTMLResponse | RedirectResponse:
        known, now = known_of(parts, source_id), datetime.now(UTC)
        stored, group = known.stored, known.stored.group
        if stored.id != source_id:
            return RedirectResponse(f"/sources/{stored.id}", status_code=303)
        hours = week(known.pattern.profile.tolist())
        places = places_of(known.episodes)
        positions = {place: at for place in places if (at := parts.places.positions.get(place)) is not None}
        others, _ = sources(parts, SourceFilter(group.site, group.category), limit=_OTHERS + 1)
        observed = parts.patterns.observed_days(places, now)
        return shell.page(
            request,
            "source.html",
            source=stored,
            names=of_source(parts, stored.id),
            nameable=bool(known.exemplars) and parts.retrieval.knows_sources(group.space),
            phrase=NOUNS[group.category][1],
            ordinal=ordinal(known.pattern.times),
            pattern=known.pattern,
            week=hours.rows,
            most=hours.most,
            calendar=list(
                zip(DAYS, calendar(known.calendar, shell.local(now).date(), _WEEKS, observed), strict=True)
            ),
            exemplars=[
                (event, audio_path(parts, event) is not None) for event in parts.archive.fetch(known.exemplars)
            ],
            episodes=known.episodes[:_EPISODES],
            places=[(place, sum(e.place == place for e in known.episodes)) for place in places],
            plan=plan(positions),
            others=[one for one in others if one.id != stored.id and one.group == group][:_OTHERS],
        )

    @router.post("/sources/{source_id}/leave")
    def leave(source_id: str, episode: Annotated[str, Form(max_length=256)]) -> RedirectResponse:
        stored = source_of(parts, source_id)
        member = parts.sources.members([episode]).get(episode)
        if member is None or member.source != stored.id:
            raise InvalidError(f"source {stored.id} has no episode {episode}")
        verdicts.leave(episode)
        return RedirectResponse(f"/sources/{stored.id}", status_code=303)

    @router.post("/sources/{source_id}/join")
    def join(source_id: str, source: Annotated[str, Form(max_length=64)]) -> RedirectResponse:
        joined = verdicts.join(source_of(parts, source_id).id, source_of(parts, source).id)
        return RedirectResponse(f"/sources/{joined}", status_code=303)

    return router


def _filter(given: AlertFilter) -> SourceFilter:
    return SourceFilter(given.site, given.category, given.since, given.until)

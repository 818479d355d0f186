"""Patterns: what comes back where, how regularly, and when it is likely next."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from hub.catalogue import Tally
from hub.flagging.recurrence import Pattern
from hub.web.listing import WantedAlerts, alerts, episodes
from hub.web.lookup import category_of, place_of
from hub.web.pages.shell import Shell
from hub.web.plots import calendar, shade

_ROWS: Final = 60
_FORETOLD: Final = 8
"""Rows whose rhythm is told in words in the list; it takes a moment each."""
_WEEKS: Final = 13
_EPISODES: Final = 8
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week: how often it is heard then."""

    share: float | None
    shade: str


def routes(shell: Shell) -> APIRouter:
    """The routes of patterns."""
    router = APIRouter()
    parts = shell.parts
    known: dict[tuple[str, str, int, str], Pattern] = {}

    def pattern_of(place: str, category: str, version: str = "") -> Pattern:
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
        tallies = parts.catalogue.tallies([sensor.place for sensor in parts.archive.sensors()])[:_ROWS]
        told = [
            (tally, pattern_of(tally.place, tally.category) if number < _FORETOLD else None)
            for number, tally in enumerate(tallies)
        ]
        return shell.page(request, "patterns.html", told=told)

    @router.get("/patterns/{site}/{sensor}/{category}")
    def pattern(request: Request, site: str, sensor: str, category: str) -> HTMLResponse:
        place = place_of(f"{site}/{sensor}") or ""
        category_of(category)
        if place not in {each.place for each in parts.archive.sensors()}:
            raise HTTPException(404, f"no sensor {place}")
        tallies = {(t.place, t.category): t for t in parts.catalogue.tallies([place])}
        tally = tallies.get((place, category), Tally(place, category, 0, 0))
        found, now = pattern_of(place, category, _version(tally)), datetime.now(UTC)
        most = max((p for row in found.profile.tolist() for p in row if not math.isnan(p)), default=0.0)
        last, _ = episodes(parts, limit=_EPISODES, place=place, category=category)
        own, _ = alerts(parts, WantedAlerts(place=place, category=category), limit=5)
        return shell.page(
            request,
            "pattern.html",
            place=place,
            category=category,
            pattern=found,
            week=[
                (day, [Cell(None if math.isnan(p) else p, shade(p, most)) for p in row])
                for day, row in zip(_DAYS, found.profile.tolist(), strict=True)
            ],
            most=most,
            calendar=list(
                zip(
                    _DAYS,
                    calendar(parts.patterns.days(place, category, now), shell.local(now).date(), _WEEKS),
                    strict=True,
                )
            ),
            episodes=last,
            alerts=own,
            others=[t for t in tallies.values() if t.category != category],
        )

    return router


def _version(tally: Tally) -> str:
    return f"{tally.times} {tally.last_ms}"

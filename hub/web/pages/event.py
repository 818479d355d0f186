"""One event: what it sounds and looks like, the happening it belongs to, and what it is like."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.alerting.explanation import Why
from hub.domain.episodes import KEEPS, Episode
from hub.domain.records import StoredEvent, ms_of
from hub.search.backend import Filter
from hub.store.event_queries import Wanted
from hub.web.audio import path_of
from hub.web.name_service import likely
from hub.web.pages.rendering import Shell
from hub.web.resolve import event_of
from hub.web.search_service import like_event
from shared.messages import MatchMessage
from shared.taxonomy import CATEGORIES

_SIMILAR: Final = 4


@dataclass(frozen=True, slots=True)
class Alike:
    """A similar past event beside why it is one."""

    match: MatchMessage
    event: StoredEvent
    why: Why
    audible: bool


def routes(shell: Shell) -> APIRouter:
    """The route of events."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/events/{event_id}")
    def event(request: Request, event_id: str) -> HTMLResponse:
        found = event_of(parts.archive, event_id)
        presence = sorted(zip(CATEGORIES, found.presence, strict=True), key=lambda pair: -pair[1])
        comparable = found.space in parts.retrieval.spaces
        similar = like_event(parts, found, _SIMILAR, Filter()) if comparable else []
        alert = parts.archive.alert(event_id)
        episodes = _episodes(shell, found)
        return shell.page(
            request,
            "event.html",
            event=found,
            presence=presence,
            lead=presence[0][0],
            attention=attention_of(shell, found),
            audible=path_of(parts, found) is not None,
            keeps_sound=parts.settings.archive.clips_dir is not None,
            ambient=_above_ambient(shell, found),
            episodes=episodes,
            sources=parts.sources.members([episode.id for episode in episodes]),
            alike=explained(shell, found, similar),
            alert=alert,
            said={verdict.match: verdict for verdict in parts.feedback.of_alert(event_id)} if alert else {},
            flagged={match.event for match in alert.matches} if alert else set(),
            before=_neighbour(shell, found),
            **naming_of(shell, found),
        )

    return router


def naming_of(shell: Shell, event: StoredEvent) -> dict[str, Any]:
    """What the form wants that names an event: its name, what else it may be, and the names of its site."""
    parts = shell.parts
    sounds = parts.name_matcher.sounds(at_once=True)
    return {
        "nameable": parts.retrieval.knows_sources(event.space),
        "name": parts.name_matcher.names_of([str(event.id)]).get(str(event.id)),
        "likely_names": [one for one in likely(parts, event) if one.probability >= one.sound.treatment.threshold],
        "names_here": sorted(one.name for one in sounds.values() if one.serves(event.site)),
    }


def attention_of(shell: Shell, event: StoredEvent) -> list[float]:
    """What drew attention; nothing of an event whose feature space has no model any more."""
    known = event.space in shell.parts.retrieval.spaces
    return shell.parts.explainer.attention(event).tolist() if known else []


def explained(shell: Shell, event: StoredEvent, matches: list[MatchMessage]) -> list[Alike]:
    """Matches with their events and why they match; those are left out that are gone or share no kind of sound."""
    parts = shell.parts
    if event.space not in parts.retrieval.spaces:
        return []
    others = {str(other.id): other for other in parts.archive.fetch([match.event for match in matches])}
    alike = [
        Alike(match, other, parts.explainer.why(event, other), path_of(parts, other) is not None)
        for match in matches
        if (other := others.get(match.event)) is not None and other.space == event.space
    ]
    return [one for one in alike if one.why.lead]


def _above_ambient(shell: Shell, event: StoredEvent) -> float | None:
    """How far an event lies above what its sensor hears nine tenths of the time now."""
    recent = shell.parts.casebook.recent([event.place])[event.place]
    return recent.above_ambient_db(event.levels.laeq) if recent.unit == event.levels.unit else None


def _episodes(shell: Shell, event: StoredEvent) -> list[Episode]:
    """The episodes that an event belongs to, the clearest first."""
    at = ms_of(event.captured_at)
    likely = [name for name, p in zip(CATEGORIES, event.presence, strict=True) if p >= _heard(shell)]
    found = [
        episode
        for category in likely
        for episode in shell.parts.casebook.episodes(limit=2, before_ms=at + 1, place=event.place, category=category)
        if episode.opened_ms <= at < episode.last_ms
    ]
    return sorted(found, key=lambda episode: -episode.clarity)


def _heard(shell: Shell) -> float:
    return KEEPS * shell.parts.settings.flagging.min_presence


def _neighbour(shell: Shell, event: StoredEvent) -> StoredEvent | None:
    """The clip before at the same sensor."""
    page = shell.parts.catalogue.events(Wanted(place=event.place, until_ms=ms_of(event.captured_at) - 1), limit=1)
    return next(iter(page.events), None)

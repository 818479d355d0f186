"""Page of one event: its sound, spectrogram, categories, levels, episodes and similar past events."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.alerting.explanation import MatchExplanation
from hub.domain.episodes import CONTINUE_RATIO, Episode
from hub.domain.records import StoredEvent, to_ms
from hub.search.backend import Filter
from hub.store.event_queries import EventFilter
from hub.web.audio import audio_path, sealed_path
from hub.web.band_chart import level_chart
from hub.web.listing import alert_views
from hub.web.name_service import likely
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import get_event_or_404
from hub.web.search_service import search_by_event
from shared.levels.values import LevelDetails
from shared.messages.alert import MatchMessage
from shared.taxonomy import CATEGORIES

_SIMILAR: Final = 4


@dataclass(frozen=True, slots=True)
class ExplainedMatch:
    """A similar past event, and the explanation of the match."""

    match: MatchMessage
    event: StoredEvent
    why: MatchExplanation
    audible: bool


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of one event."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/events/{event_id}")
    def event(request: Request, event_id: str) -> HTMLResponse:
        found = get_event_or_404(parts.archive, event_id)
        presence = sorted(zip(CATEGORIES, found.presence, strict=True), key=lambda pair: -pair[1])
        comparable = found.space in parts.retrieval.spaces
        earlier = Filter(until_ms=to_ms(found.captured_at))
        similar = search_by_event(parts, found, _SIMILAR, earlier) if comparable else []
        alert = next(iter(alert_views(parts, parts.archive.alerts.fetch([event_id]))), None)
        details = parts.archive.level_details.fetch([event_id]).get(event_id)
        episodes = _episodes(shell, found)
        return shell.page(
            request,
            "event.html",
            event=found,
            presence=presence,
            lead=presence[0][0],
            details=None if details is None else level_chart(details),
            flags=() if details is None else _flags(details),
            attention=attention_of(shell, found),
            audible=audio_path(parts, found) is not None,
            sealed=sealed_path(parts, found) is not None,
            keeps_sound=parts.settings.store.audio_dir is not None,
            ambient=_above_ambient(shell, found),
            episodes=episodes,
            sources=parts.sources.members([episode.id for episode in episodes]),
            alike=explained(shell, found, similar),
            alert=alert,
            corrected=alert.categories if alert is not None and alert.detected_categories else [],
            verdicts={verdict.match: verdict for verdict in parts.feedback.stored.for_alert(event_id)},
            flagged={match.event for match in alert.matches} if alert else set(),
            before=_neighbour(shell, found),
            title=title_of(shell, found),
            **naming_of(shell, found),
        )

    return router


def _flags(details: LevelDetails) -> list[str]:
    """Return warnings about the measurement of an event's levels."""
    overload = "A sample reached full scale (overload): the levels may be too low."
    under_range = "The level fell below the linear range of a 16-bit converter (under-range)."
    return [overload] * details.overload + [under_range] * details.under_range


def naming_of(shell: PageRenderer, event: StoredEvent) -> dict[str, Any]:
    """Return the values of the form that names an event: its name, likely names, and the names of its site."""
    parts = shell.parts
    sounds = parts.name_matcher.sounds(at_once=True)
    return {
        "nameable": parts.retrieval.knows_sources(event.space),
        "name": parts.name_matcher.names_of([str(event.id)]).get(str(event.id)),
        "likely_names": [one for one in likely(parts, event) if one.probability >= one.sound.treatment.threshold],
        "names_here": sorted(one.name for one in sounds.values() if one.serves(event.site)),
    }


def title_of(shell: PageRenderer, event: StoredEvent) -> str:
    """Return the title of an event's sensor; "" without one."""
    sensor = shell.parts.archive.sensors.get(event.place)
    return "" if sensor is None else sensor.edits.title


def attention_of(shell: PageRenderer, event: StoredEvent) -> list[float]:
    """Return the attention to each part of an event; empty if no model serves its feature space."""
    known = event.space in shell.parts.retrieval.spaces
    return shell.parts.explainer.attention(event).tolist() if known else []


def explained(shell: PageRenderer, event: StoredEvent, matches: list[MatchMessage]) -> list[ExplainedMatch]:
    """Return matches with their events and explanations.

    A match is left out if its event is not archived any more or shares no category with `event`.
    """
    parts = shell.parts
    if event.space not in parts.retrieval.spaces:
        return []
    others = {str(other.id): other for other in parts.archive.fetch([match.event for match in matches])}
    alike = [
        ExplainedMatch(match, other, parts.explainer.explain(event, other), audio_path(parts, other) is not None)
        for match in matches
        if (other := others.get(match.event)) is not None and other.space == event.space
    ]
    return [one for one in alike if one.why.lead]


def _above_ambient(shell: PageRenderer, event: StoredEvent) -> float | None:
    """Return an event's level above the level that its sensor currently exceeds 90 % of the time, dB."""
    recent = shell.parts.episode_store.sensor_states([event.place])[event.place]
    return recent.above_ambient_db(event.levels.laeq) if recent.unit == event.levels.unit else None


def _episodes(shell: PageRenderer, event: StoredEvent) -> list[Episode]:
    """Return the episodes that an event belongs to, the most certain first."""
    at = to_ms(event.captured_at)
    likely = [name for name, p in zip(CATEGORIES, event.presence, strict=True) if p >= _continue_threshold(shell)]
    found = [
        episode
        for category in likely
        for episode in shell.parts.episode_store.episodes(
            limit=2, before_ms=at + 1, place=event.place, category=category
        )
        if episode.opened_ms <= at < episode.last_ms
    ]
    shown = shell.parts.episode_store.corrections().apply(found)
    return sorted(shown, key=lambda episode: -episode.peak_presence)


def _continue_threshold(shell: PageRenderer) -> float:
    return CONTINUE_RATIO * shell.parts.settings.alerts.min_category_probability


def _neighbour(shell: PageRenderer, event: StoredEvent) -> StoredEvent | None:
    """Return the previous event of the same sensor."""
    page = shell.parts.catalogue.events(
        EventFilter(place=event.place, until_ms=to_ms(event.captured_at) - 1), limit=1
    )
    return next(iter(page.events), None)

"""Lists that both pages and API show: alerts, episodes and verdicts, filtered and in pages.

Categories are those that people correct by verdicts, else those that the hub detected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from hub.domain.episodes import Episode
from hub.domain.records import StoredEvent, to_ms
from hub.domain.verdicts import Verdict, VerdictKind, VerdictState, state_of
from hub.store.event_queries import Cursor, EpisodeCount
from hub.web.alert_schemas import AlertView, alert_view
from hub.web.context import WebContext
from hub.web.pagination import Listing, begin_at, paginate_some
from hub.web.schemas import EventView, event_view, from_ms
from shared.messages.alert import AlertMessage, Severity
from shared.messages.fields import LAST
from shared.taxonomy import CATEGORIES

_LAST_MS: Final = to_ms(LAST)


def event_views(parts: WebContext, events: Sequence[StoredEvent]) -> list[EventView]:
    """Return the API representations of events, with the names of their named sounds and their level details.

    Raises:
        UnavailableError: the store is unavailable.
    """
    ids = [str(event.id) for event in events]
    names, details = parts.name_matcher.names_of(ids), parts.archive.level_details.fetch(ids)
    corrections = parts.feedback.stored.corrections(ids)
    return [
        event_view(event, names.get(key), details.get(key)).model_copy(
            update={"corrected_categories": list(corrections.get(key, ()))}
        )
        for key, event in zip(ids, events, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """A filter of alerts; all pass by default.

    Attributes:
        site: only of this site.
        place: only of this `site/sensor`.
        category: only of this category, as verdicts correct it.
        severity: only of this severity.
        since: only about events captured at this time or later.
        until: only about events captured at this time or earlier.
        min_laeq: only at least this loud, in the sensor's unit.
        source: only of the source with this id.
        verdict: only with this verdict; "none": only without one.
    """

    site: str | None = None
    place: str | None = None
    category: str | None = None
    severity: Severity | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_laeq: float | None = None
    source: str | None = None
    verdict: VerdictState | None = None

    def matches(self, alert: AlertView) -> bool:
        """Return whether an alert passes, apart from its source and verdict."""
        return (
            self.site in {None, alert.site}
            and self.place in {None, f"{alert.site}/{alert.sensor}"}
            and self.severity in {None, alert.severity}
            and (self.category is None or self.category in alert.categories)
            and (self.since is None or alert.captured_at >= self.since)
            and (self.until is None or alert.captured_at <= self.until)
            and (self.min_laeq is None or alert.laeq >= self.min_laeq)
        )


def alerts(
    parts: WebContext, wanted: AlertFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[AlertView], Cursor | None]:
    """Return a page of alerts, newest first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """

    def before(n: int, ms: int | None) -> list[AlertMessage]:
        return parts.archive.alerts.newest(limit=n, before=None if ms is None else from_ms(ms))

    return paginate_some(
        Listing(before, _of_alert, partial(matching_alerts, parts, wanted)),
        limit,
        begin_at(after, wanted.until),
        None if wanted.since is None else to_ms(wanted.since),
    )


def matching_alerts(parts: WebContext, wanted: AlertFilter, found: Sequence[AlertMessage]) -> list[AlertView]:
    """Return the alerts that pass a filter, with the categories that verdicts correct."""
    chosen = [alert for alert in alert_views(parts, found) if wanted.matches(alert)]
    if wanted.source is not None:
        source = parts.sources.get(wanted.source)
        members = parts.sources.members([alert.episode for alert in chosen if alert.episode])
        own = {name for name, member in members.items() if source is not None and member.source == source.id}
        chosen = [alert for alert in chosen if alert.episode in own]
    if wanted.verdict is not None:
        given = parts.feedback.stored.for_alerts([alert.event for alert in chosen])
        states = {event: state_of(verdicts) for event, verdicts in given.items()}
        chosen = [alert for alert in chosen if _kind(states[alert.event]) == wanted.verdict]
    return chosen


def alert_views(parts: WebContext, found: Sequence[AlertMessage]) -> list[AlertView]:
    """Return alerts with the categories that verdicts correct.

    Raises:
        UnavailableError: the store is unavailable.
    """
    corrections = parts.feedback.stored.corrections([alert.event for alert in found])
    return [alert_view(alert, corrections.get(alert.event, ())) for alert in found]


def _kind(verdict: Verdict | None) -> VerdictState:
    return "none" if verdict is None else verdict.verdict


def _of_alert(alert: AlertMessage) -> Cursor:
    return Cursor(to_ms(alert.captured_at), alert.event)


@dataclass(frozen=True, slots=True)
class EpisodeFilter:
    """A filter of episodes; all pass by default. The fields are those of `AlertFilter`; times are of the opening."""

    since: datetime | None = None
    until: datetime | None = None
    place: str | None = None
    category: str | None = None
    min_laeq: float | None = None
    source: str | None = None


def episodes(
    parts: WebContext, wanted: EpisodeFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[Episode], Cursor | None]:
    """Return a page of episodes with the categories that verdicts correct, newest first, and the next page's cursor.

    Raises:
        UnavailableError: the store is unavailable.
    """
    since_ms = None if wanted.since is None else to_ms(wanted.since)
    corrections = parts.episode_store.corrections()

    def one(where: str, what: str) -> Callable[[int, int | None], Sequence[Episode]]:
        def fetch(n: int, ms: int | None) -> Sequence[Episode]:
            more = n + len(corrections.by_id)  # as many may be of another category
            found = parts.episode_store.episodes(
                limit=more, before_ms=ms, since_ms=since_ms, place=where, category=what
            )
            return corrections.of(found, what, since_ms=since_ms or 0, before_ms=ms or _LAST_MS, place=where)

        return fetch

    def of_all(n: int, ms: int | None) -> Sequence[Episode]:
        return corrections.apply(parts.episode_store.episodes(limit=n, before_ms=ms, since_ms=since_ms))

    source = parts.sources.get(wanted.source) if wanted.source else None

    def of_source(n: int, ms: int | None) -> Sequence[Episode]:
        if source is None:
            return []
        found = parts.sources.episodes(source.id, limit=n, before_ms=ms, since_ms=since_ms)
        return corrections.apply(found)

    def merged(n: int, ms: int | None) -> list[Episode]:
        # Redis has one index per pair of place and category: merge those that the filter asks for.
        places = [wanted.place] if wanted.place else [sensor.place for sensor in parts.archive.sensors.all()]
        kinds = [wanted.category] if wanted.category else CATEGORIES
        found = [episode for where in places for what in kinds for episode in one(where, what)(n, ms)]
        return sorted({episode.id: episode for episode in found}.values(), key=_of_episode, reverse=True)[:n]

    def chosen(found: Sequence[Episode]) -> list[Episode]:
        return [
            episode
            for episode in found
            if wanted.place in {None, episode.place}
            and wanted.category in {None, episode.category}
            and (wanted.min_laeq is None or episode.max_laeq >= wanted.min_laeq)
        ]

    fetch = of_source if wanted.source else merged if wanted.place or wanted.category else of_all
    return paginate_some(Listing(fetch, _of_episode, chosen), limit, begin_at(after, wanted.until))


def _of_episode(episode: Episode) -> Cursor:
    return Cursor(episode.opened_ms, episode.id)


@dataclass(frozen=True, slots=True)
class VerdictFilter:
    """A filter of verdicts; all pass by default. Times are those of the verdicts."""

    since: datetime | None = None
    until: datetime | None = None
    place: str | None = None
    category: str | None = None
    verdict: VerdictKind | None = None

    def matches(self, verdict: Verdict) -> bool:
        """Return whether a verdict passes; a category passes if the hub detected it, or the verdict states it."""
        return (
            self.place in {None, verdict.place}
            and (self.category is None or self.category in {verdict.category, *verdict.categories})
            and self.verdict in {None, verdict.verdict}
            and (self.since is None or verdict.at >= self.since)
            and (self.until is None or verdict.at <= self.until)
        )


def verdicts(
    parts: WebContext, wanted: VerdictFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[Verdict], Cursor | None]:
    """Return a page of verdicts, newest first, and the cursor of the next page.

    Raises:
        UnavailableError: the store is unavailable.
    """

    def before(n: int, ms: int | None) -> list[Verdict]:
        return parts.feedback.stored.newest(limit=n, before=None if ms is None else from_ms(ms))

    listing = Listing(before, _of_verdict, lambda found: [one for one in found if wanted.matches(one)])
    since_ms = None if wanted.since is None else to_ms(wanted.since)
    return paginate_some(listing, limit, begin_at(after, wanted.until), since_ms)


def _of_verdict(verdict: Verdict) -> Cursor:
    return Cursor(to_ms(verdict.at), verdict.subject)


def tallies(parts: WebContext, places: Sequence[str]) -> list[EpisodeCount]:
    """Return the number of episodes of each category at some places, as verdicts correct them, the most first.

    Raises:
        UnavailableError: the store is unavailable.
    """
    counts = {(one.place, one.category): one for one in parts.catalogue.tallies(places)}
    for place, category, change, opened_ms in parts.episode_store.corrections().moves():
        if place in places:
            known = counts.get((place, category), EpisodeCount(place, category, 0, 0))
            last_ms = max(known.last_ms, opened_ms) if change > 0 else known.last_ms
            counts[place, category] = EpisodeCount(place, category, known.times + change, last_ms)
    return sorted((one for one in counts.values() if one.times > 0), key=lambda one: -one.times)

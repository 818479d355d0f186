"""The filters of lists and exports as query parameters, which the API's lists and exports share."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from hub.domain.records import to_ms
from hub.domain.verdicts import VerdictKind, VerdictState
from hub.store.event_queries import EventFilter
from hub.web.api.params import Backfilled, Category, Clock, Place, Since, Site, Until
from hub.web.event_listing import EventListFilter
from hub.web.listing import AlertFilter, EpisodeFilter, VerdictFilter
from hub.web.source_schemas import SourceFilter
from shared.messages.alert import Severity

SOURCE = r"^[0-9a-f]{10}$"
MinLaeq = Annotated[float | None, Query(ge=-200, le=200, description="at least this loud, dB")]
SourceId = Annotated[str | None, Query(pattern=SOURCE, description="only of the source with this id")]
_Severity = Annotated[Severity | None, Query(description="only alerts of this severity, or their events")]
_Verdict = Annotated[
    VerdictState | None, Query(description="only alerts with this verdict, or their events; none: without a verdict")
]


def _events(
    since: Since = None,
    until: Until = None,
    place: Place = None,
    category: Category = None,
    min_laeq: MinLaeq = None,
    clock: Clock = None,
    backfilled: Backfilled = None,
    source: SourceId = None,
    severity: _Severity = None,
    verdict: _Verdict = None,
) -> EventListFilter:
    chosen = EventFilter(_ms(since), _ms(until), place, category, min_laeq, clock, backfilled)
    return EventListFilter(chosen, source, severity, verdict)


def _alerts(
    since: Since = None,
    until: Until = None,
    site: Site = None,
    place: Place = None,
    category: Category = None,
    min_laeq: MinLaeq = None,
    source: SourceId = None,
    severity: _Severity = None,
    verdict: _Verdict = None,
) -> AlertFilter:
    return AlertFilter(site, place, category, severity, since, until, min_laeq, source, verdict)


def _episodes(
    since: Since = None,
    until: Until = None,
    place: Place = None,
    category: Category = None,
    min_laeq: MinLaeq = None,
    source: SourceId = None,
) -> EpisodeFilter:
    return EpisodeFilter(since, until, place, category, min_laeq, source)


def _sources(since: Since = None, until: Until = None, site: Site = None, category: Category = None) -> SourceFilter:
    return SourceFilter(site, category, since, until)


def _verdicts(
    since: Since = None,
    until: Until = None,
    place: Place = None,
    category: Category = None,
    verdict: Annotated[VerdictKind | None, Query(description="only verdicts of this kind")] = None,
) -> VerdictFilter:
    return VerdictFilter(since, until, place, category, verdict)


EventsAsked = Annotated[EventListFilter, Depends(_events)]
AlertsAsked = Annotated[AlertFilter, Depends(_alerts)]
EpisodesAsked = Annotated[EpisodeFilter, Depends(_episodes)]
SourcesAsked = Annotated[SourceFilter, Depends(_sources)]
VerdictsAsked = Annotated[VerdictFilter, Depends(_verdicts)]


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)

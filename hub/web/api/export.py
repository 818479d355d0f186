"""Export events, alerts and verdicts as CSV or JSON lines, streamed page by page."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from hub.domain.csv_rows import Row, csv_lines
from hub.domain.verdicts import Verdict
from hub.store.event_queries import Cursor
from hub.web.api.exceedances import Rule, filter_of
from hub.web.api.filters import AlertsAsked, EventsAsked, VerdictsAsked
from hub.web.api.params import Place, Since, Site, Until, errors
from hub.web.context import WebContext
from hub.web.event_listing import events
from hub.web.export import MEDIA_TYPES, Format, iterate_pages, json_lines
from hub.web.limit_views import ExceedanceView, exceedance_view
from hub.web.listing import alerts, event_views, verdicts
from hub.web.schemas import EventView
from shared.levels.bands import NOMINAL_HZ
from shared.messages.alert import AlertMessage
from shared.messages.event import LevelDetailsMessage
from shared.taxonomy import CATEGORIES

_PAGE: Final = 200
_LEVELS: Final = tuple(name for name in LevelDetailsMessage.model_fields if name != "bands")
_BANDS: Final = tuple(f"band_{frequency_hz:g}_hz" for frequency_hz in NOMINAL_HZ)
"""Columns of level details; one for each third-octave band, by its nominal mid-band frequency."""
_EVENT: Final = (
    "id",
    "site",
    "sensor",
    "captured_at",
    "received_at",
    "duration_s",
    "laeq",
    "lafmax",
    "level_unit",
    *_LEVELS,
    *_BANDS,
    "calibration",
    "calibrated_at",
    "calibration_age_days",
    "rate_hz",
    "clock",
    "claimed_at",
    "backfilled",
    "space",
    "audio",
    "sealed_to",
    "name",
    "corrected_categories",
    *CATEGORIES,
)
_ALERT: Final = (
    "event",
    "site",
    "sensor",
    "captured_at",
    "backfilled",
    "delay_s",
    "severity",
    "name",
    "categories",
    "detected_categories",
    "match_probability",
    "threshold",
    "laeq",
    "lafmax",
    "level_unit",
    "calibration",
    "calibration_age_days",
    "above_ambient_db",
    "episodes",
    "days",
    "regularity",
    "next_start",
    "next_end",
    "next_probability",
    "source",
    "source_new",
    "source_times",
    "matches",
    "linked",
)
_VERDICT: Final = tuple(Verdict.model_fields)
_EXCEEDANCE: Final = tuple(ExceedanceView.model_fields)


def _media(what: str, rows: str) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}
    return {200: {"content": content, "description": f"{what}, {rows}"}, **errors(404, 422, 503)}


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of exports."""
    router = APIRouter(prefix="/export", tags=["export"])

    @router.get("/events.{form}", response_class=StreamingResponse, responses=_media("events", "newest first"))
    def export_events(
        form: Format,
        wanted: EventsAsked,
    ) -> StreamingResponse:
        """Export events with levels and the probability of each category."""

        def page(after: Cursor | None) -> tuple[Sequence[EventView], Cursor | None]:
            found = events(parts, wanted, limit=_PAGE, after=after)
            return event_views(parts, found.events), found.next

        return _response("events", form, _EVENT, (_event_row(event) for event in iterate_pages(page)))

    @router.get("/alerts.{form}", response_class=StreamingResponse, responses=_media("alerts", "newest first"))
    def export_alerts(form: Format, wanted: AlertsAsked) -> StreamingResponse:
        """Export alerts, one per row; JSON lines hold all fields."""
        found = iterate_pages(lambda after: alerts(parts, wanted, limit=_PAGE, after=after))
        if form == "jsonl":
            return _response("alerts", form, (), (alert.model_dump(mode="json") for alert in found))
        return _response("alerts", form, _ALERT, (_alert_row(alert) for alert in found))

    @router.get(
        "/exceedances.{form}", response_class=StreamingResponse, responses=_media("exceedances", "newest first")
    )
    def export_exceedances(
        form: Format,
        since: Since = None,
        until: Until = None,
        site: Site = None,
        place: Place = None,
        rule: Rule = None,
    ) -> StreamingResponse:
        """Export levels above limits, one per row."""
        wanted = filter_of(rule, site, place, since, until)
        found = iterate_pages(lambda after: parts.exceedances.page(wanted, limit=_PAGE, after=after))
        rows = (exceedance_view(one).model_dump(mode="json") for one in found)
        return _response("exceedances", form, _EXCEEDANCE, rows)

    @router.get("/feedback.{form}", response_class=StreamingResponse, responses=_media("feedback", "newest first"))
    def export_feedback(form: Format, wanted: VerdictsAsked) -> StreamingResponse:
        """Export verdicts, one per row."""
        found = iterate_pages(lambda after: verdicts(parts, wanted, limit=_PAGE, after=after))
        return _response("feedback", form, _VERDICT, (verdict.model_dump(mode="json") for verdict in found))

    return router


def _response(name: str, form: Format, columns: tuple[str, ...], rows: Iterator[Row]) -> StreamingResponse:
    lines = csv_lines(columns, rows) if form == "csv" else json_lines(rows)
    headers = {"Content-Disposition": f'attachment; filename="earwitness-{name}.{form}"'}
    return StreamingResponse(lines, media_type=MEDIA_TYPES[form], headers=headers)


def _event_row(event: EventView) -> Row:
    row = event.model_dump(mode="json")
    details = row.pop("level_details") or {}
    bands = dict(zip(_BANDS, details.pop("bands", ()), strict=False))
    return {**row, **details, **bands, **{name: round(p, 4) for name, p in row.pop("presence").items()}}


def _alert_row(alert: AlertMessage) -> Row:
    row = alert.model_dump(mode="json")
    recurrence = row.pop("recurrence") or {}
    window, source = recurrence.get("next") or {}, row.pop("source") or {}
    return {
        **row,
        **{f"source_{name}" if name != "id" else "source": source.get(name) for name in ("id", "new", "times")},
        **{name: recurrence.get(name) for name in ("episodes", "days", "regularity")},
        **{f"next_{name}": window.get(name) for name in ("start", "end", "probability")},
        "matches": [match.event for match in alert.matches],
    }

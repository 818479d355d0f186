"""Pages of alerts: the inbox, and one alert with its past, its expected next time and its verdicts."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import AwareDatetime
from starlette.datastructures import URL

from hub.domain.verdicts import VerdictKind, state_of
from hub.web.access import author_of, identity_of
from hub.web.audio import audio_path, sealed_path
from hub.web.listing import alert_views, alerts
from hub.web.pages.event import attention_of, explained, naming_of, title_of
from hub.web.pages.list_fields import GivenFields, ListFields, options_of
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_alert_or_404, get_event_or_404
from hub.web.verdict_service import VerdictInput, submit_verdict, threshold, withdraw

_PAGE: Final = 30


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of alerts."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/alerts")
    def inbox(request: Request, given: GivenFields, after: str | None = None) -> HTMLResponse:
        fields = ListFields(given, parts.places.timezone)
        found, following = alerts(parts, fields.alerts(), limit=_PAGE, after=decode_cursor(after))
        verdicts = parts.feedback.stored.for_alerts([alert.event for alert in found])
        return shell.page(
            request,
            "alerts.html",
            alerts=found,
            next=encode_cursor(following),
            verdicts={event: state_of(given) for event, given in verdicts.items()},
            fields=fields,
            options=options_of(parts),
        )

    @router.get("/alerts/{alert_id}")
    def alert(request: Request, alert_id: str, before: float | None = None) -> HTMLResponse:
        found = alert_views(parts, [get_alert_or_404(parts.archive, alert_id)])[0]
        event = get_event_or_404(parts.archive, alert_id)
        verdicts = {verdict.match: verdict for verdict in parts.feedback.stored.for_alert(alert_id)}
        history = parts.feedback.stored.history(alert_id)
        lead = next(iter(found.categories), "")
        tuned = next(iter(found.detected_categories), lead)
        return shell.page(
            request,
            "alert.html",
            alert=found,
            event=event,
            lead=lead,
            audible=audio_path(parts, event) is not None,
            sealed=sealed_path(parts, event) is not None,
            attention=attention_of(shell, event),
            alike=explained(shell, event, list(found.matches)),
            verdicts=verdicts,
            history=history,
            before=before,
            threshold=threshold(parts, found.site, tuned),
            tuned=tuned,
            title=title_of(shell, event),
            **naming_of(shell, event),
        )

    @router.post("/alerts/{alert_id}/verdict")
    def judge(  # one form for the alert, one for each match
        request: Request,
        alert_id: str,
        verdict: Annotated[VerdictKind, Form()],
        match: Annotated[str, Form()] = "",
        category: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        note: Annotated[str, Form(max_length=500)] = "",
        by: Annotated[str, Form(max_length=64)] = "",
    ) -> RedirectResponse:
        author = author_of(request.scope, by.strip())
        given = submit_verdict(
            parts, alert_id, VerdictInput(verdict, match or None, tuple(category), note.strip(), author)
        )
        page = URL(f"/alerts/{alert_id}").include_query_params(before=f"{given.threshold_before:.4f}")
        return RedirectResponse(f"{page}#moved", status_code=303)

    @router.post("/alerts/{alert_id}/verdict/withdraw")
    def take_back(
        request: Request, alert_id: str, at: Annotated[AwareDatetime, Form()], match: Annotated[str, Form()] = ""
    ) -> RedirectResponse:
        given = withdraw(parts, alert_id, match or None, at, identity_of(request.scope))
        page = URL(f"/alerts/{alert_id}").include_query_params(before=f"{given.threshold_before:.4f}")
        return RedirectResponse(f"{page}#moved", status_code=303)

    return router

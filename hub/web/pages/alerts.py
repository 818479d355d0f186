"""Pages of alerts: the inbox, and one alert with its past, its expected next time and its verdicts."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import URL

from hub.domain.verdicts import Verdict, VerdictKind
from hub.web.access import author_of
from hub.web.audio import audio_path, sealed_path
from hub.web.listing import AlertFilter, alerts
from hub.web.pages.event import attention_of, explained, naming_of
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_alert_or_404, get_event_or_404, parse_category
from hub.web.verdict_service import VerdictInput, submit_verdict, threshold
from shared.errors import InvalidError
from shared.events import check_name
from shared.messages.alert import Severity

_PAGE: Final = 30
_SEVERITIES: Final[tuple[Severity, ...]] = ("notice", "recurring", "urgent")


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of alerts."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/alerts")
    def inbox(
        request: Request,
        after: str | None = None,
        site: str | None = None,
        category: str | None = None,
        severity: str | None = None,
    ) -> HTMLResponse:
        wanted = AlertFilter(
            site=check_name(site, "site") if site else None,
            category=parse_category(category),
            severity=_severity(severity),
        )
        found, following = alerts(parts, wanted, limit=_PAGE, after=decode_cursor(after))
        return shell.page(
            request,
            "alerts.html",
            alerts=found,
            next=encode_cursor(following),
            verdicts={alert.event: state_of(parts.feedback.for_alert(alert.event)) for alert in found},
            chosen=wanted,
            sites=parts.episode_store.sites(),
            severities=_SEVERITIES,
        )

    @router.get("/alerts/{alert_id}")
    def alert(request: Request, alert_id: str, before: float | None = None) -> HTMLResponse:
        found = get_alert_or_404(parts.archive, alert_id)
        event = get_event_or_404(parts.archive, alert_id)
        verdicts = {verdict.match: verdict for verdict in parts.feedback.for_alert(alert_id)}
        lead = next(iter(found.categories), "")
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
            history=parts.feedback.history(alert_id),
            before=before,
            threshold=threshold(parts, found.site, lead),
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

    return router


def _severity(text: str | None) -> Severity | None:
    for known in _SEVERITIES:
        if text == known:
            return known
    if text:
        raise InvalidError(f"unknown severity {text!r}; use one of {', '.join(_SEVERITIES)}")
    return None


def state_of(verdicts: list[Verdict]) -> str:
    """Return the verdict on an alert as a whole, else the last one on a match; "" if there is none."""
    whole = next((verdict for verdict in verdicts if verdict.match is None), None)
    return (whole or verdicts[-1]).verdict if verdicts else ""

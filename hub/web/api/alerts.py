"""API of alerts and the verdicts on them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from hub.domain.verdicts import VerdictKind
from hub.web.access import author_of, identity_of
from hub.web.alert_schemas import AlertList, AlertView, VerdictList, VerdictResult
from hub.web.api.filters import AlertsAsked, VerdictsAsked
from hub.web.api.params import EVENT, After, CsrfHeader, EventIdPath, Limit, Time, errors
from hub.web.context import WebContext
from hub.web.listing import alert_views, verdicts
from hub.web.listing import alerts as listed
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_alert_or_404
from hub.web.schemas import EVENT_EXAMPLE
from hub.web.verdict_service import VerdictInput, submit_verdict, withdraw
from shared.taxonomy import CATEGORIES

Note = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class VerdictRequest(BaseModel):
    """A person's verdict on an alert, or on one of its matches."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"verdict": "different", "match": EVENT_EXAMPLE, "author": "Ada"}},
    )

    verdict: VerdictKind
    match: str | None = Field(
        None, pattern=EVENT, description="event of the match; leave it out for the alert as a whole"
    )
    categories: list[str] = Field(
        [],
        max_length=len(CATEGORIES),
        description="the right categories, for `wrong-category`",
        json_schema_extra={"items": {"type": "string", "enum": list(CATEGORIES)}},
    )
    note: Note = ""
    author: str = Field("", max_length=64, pattern=r"^[^\x00]*$")


class WithdrawalRequest(BaseModel):
    """The verdict that is withdrawn: its match and time, as the list of verdicts has them."""

    model_config = ConfigDict(extra="forbid")

    match: str | None = Field(None, pattern=EVENT, description="event of the match; null for the alert as a whole")
    at: Time


class AlertVerdictRequest(VerdictRequest):
    """A person's verdict, with the id of its alert."""

    alert: str = Field(pattern=EVENT)


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of alerts and feedback."""
    router = APIRouter(tags=["alerts"])

    @router.get("/alerts", responses=errors(422, 503))
    def alerts(wanted: AlertsAsked, limit: Limit = 50, after: After = None) -> AlertList:
        """List alerts, newest first."""
        found, following = listed(parts, wanted, limit=limit, after=decode_cursor(after))
        return AlertList(alerts=found, next=encode_cursor(following))

    @router.get("/alerts/{alert_id}", responses=errors(404, 422, 503))
    def alert(alert_id: EventIdPath) -> AlertView:
        """Return one alert; its id is that of its event."""
        return alert_views(parts, [get_alert_or_404(parts.archive, alert_id)])[0]

    @router.get("/alerts/{alert_id}/feedback", responses=errors(404, 422, 503))
    def alert_feedback(
        alert_id: EventIdPath,
        history: Annotated[
            bool, Query(description="every verdict, oldest first, also those replaced or withdrawn later")
        ] = False,
    ) -> VerdictList:
        """List the verdicts on an alert and its matches."""
        get_alert_or_404(parts.archive, alert_id)
        found = parts.feedback.stored.history(alert_id) if history else parts.feedback.stored.for_alert(alert_id)
        return VerdictList(feedback=found, next=None)

    @router.post("/alerts/{alert_id}/feedback", status_code=201, responses=errors(400, 403, 404, 413, 422, 503))
    def judge_alert(
        request: Request, alert_id: EventIdPath, given: VerdictRequest, _ours: CsrfHeader = None
    ) -> VerdictResult:
        """Submit a verdict on an alert, or on one of its matches; the site's threshold moves at once."""
        return submit_verdict(parts, alert_id, _input(given, request))

    @router.post("/alerts/{alert_id}/feedback/withdraw", responses=errors(400, 403, 404, 413, 422, 503))
    def withdraw_verdict(
        request: Request, alert_id: EventIdPath, given: WithdrawalRequest, _ours: CsrfHeader = None
    ) -> VerdictResult:
        """Withdraw a verdict (as its author, or as operator): an earlier one applies again, the history keeps it."""
        return withdraw(parts, alert_id, given.match, given.at, identity_of(request.scope))

    @router.get("/feedback", responses=errors(422, 503))
    def feedback(wanted: VerdictsAsked, limit: Limit = 50, after: After = None) -> VerdictList:
        """List the verdicts on all alerts, newest first."""
        found, following = verdicts(parts, wanted, limit=limit, after=decode_cursor(after))
        return VerdictList(feedback=found, next=encode_cursor(following))

    @router.post("/feedback", status_code=201, responses=errors(400, 403, 404, 413, 422, 503))
    def give_feedback(request: Request, given: AlertVerdictRequest, _ours: CsrfHeader = None) -> VerdictResult:
        """Submit a verdict on the alert that the body names."""
        return submit_verdict(parts, given.alert, _input(given, request))

    return router


def _input(given: VerdictRequest, request: Request) -> VerdictInput:
    author = author_of(request.scope, given.author)
    return VerdictInput(given.verdict, given.match, tuple(given.categories), given.note, author)

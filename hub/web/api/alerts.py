"""Alerts, and what people say of them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from hub.domain.verdicts import VerdictKind
from hub.web.api.params import EVENT, After, Category, EventName, Limit, Ours, Place, Since, Site, errors
from hub.web.context import Parts
from hub.web.listing import WantedAlerts, verdicts
from hub.web.listing import alerts as listed
from hub.web.pagination import cursor_of, text_of
from hub.web.resolve import alert_of
from hub.web.schemas import EVENT_EXAMPLE, AlertList, GivenView, VerdictList
from hub.web.verdict_service import Said, give
from shared.messages import AlertMessage, Severity
from shared.taxonomy import CATEGORIES

Note = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class Saying(BaseModel):
    """What a person says of an alert, or of one match of it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"verdict": "different", "match": EVENT_EXAMPLE, "by": "Ada"}}
    )

    verdict: VerdictKind
    match: str | None = Field(
        None, pattern=EVENT, description="event of the match; the alert as a whole if not given"
    )
    categories: list[str] = Field(
        [],
        max_length=len(CATEGORIES),
        description="what was really heard, of `wrong-category`",
        json_schema_extra={"items": {"type": "string", "enum": list(CATEGORIES)}},
    )
    note: Note = ""
    by: str = Field("", max_length=64, pattern=r"^[^\x00]*$")


class SayingOf(Saying):
    """The same, with the alert it is about."""

    alert: str = Field(pattern=EVENT)


def routes(parts: Parts) -> APIRouter:
    """The routes of alerts and feedback."""
    router = APIRouter(tags=["alerts"])

    @router.get("/alerts", responses=errors(422, 503))
    def alerts(
        limit: Limit = 50,
        after: After = None,
        since: Since = None,
        site: Site = None,
        place: Place = None,
        category: Category = None,
        severity: Annotated[Severity | None, Query(description="of this severity")] = None,
    ) -> AlertList:
        """Alerts, newest first."""
        wanted = WantedAlerts(site, place, category, severity, since)
        found, following = listed(parts, wanted, limit=limit, after=cursor_of(after))
        return AlertList(alerts=found, next=text_of(following))

    @router.get("/alerts/{alert_id}", responses=errors(404, 422, 503))
    def alert(alert_id: EventName) -> AlertMessage:
        """One alert; its id is that of its event."""
        return alert_of(parts.archive, alert_id)

    @router.get("/alerts/{alert_id}/feedback", responses=errors(404, 422, 503))
    def alert_feedback(alert_id: EventName) -> VerdictList:
        """What people said of an alert and its matches."""
        alert_of(parts.archive, alert_id)
        return VerdictList(feedback=parts.feedback.of_alert(alert_id), next=None)

    @router.post("/alerts/{alert_id}/feedback", status_code=201, responses=errors(400, 403, 404, 413, 422, 503))
    def judge_alert(alert_id: EventName, saying: Saying, _ours: Ours = None) -> GivenView:
        """Say whether an alert, or a match of it, was right; the site's threshold moves at once."""
        return give(parts, alert_id, _said(saying))

    @router.get("/feedback", responses=errors(422, 503))
    def feedback(limit: Limit = 50, after: After = None) -> VerdictList:
        """What people said of all alerts, newest first."""
        found, following = verdicts(parts, limit=limit, after=cursor_of(after))
        return VerdictList(feedback=found, next=text_of(following))

    @router.post("/feedback", status_code=201, responses=errors(400, 403, 404, 413, 422, 503))
    def give_feedback(saying: SayingOf, _ours: Ours = None) -> GivenView:
        """The same as of one alert, which is named in the body."""
        return give(parts, saying.alert, _said(saying))

    return router


def _said(saying: Saying) -> Said:
    return Said(saying.verdict, saying.match, tuple(saying.categories), saying.note, saying.by)

"""API of limits: the rules, how many periods were judged, and the exceedances."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query

from hub.domain.level_rows import HOUR_S
from hub.domain.records import to_ms
from hub.store.exceedances import ExceedanceFilter
from hub.web.api.level_answers import at_second, interval
from hub.web.api.params import After, Limit, Place, Since, Site, Until, errors
from hub.web.context import WebContext
from hub.web.limit_views import (
    MOST_DAYS,
    RULE,
    ExceedanceList,
    LimitsView,
    chosen_places,
    chosen_rules,
    exceedance_view,
    judged_rows,
    judged_view,
    rule_view,
)
from hub.web.pagination import decode_cursor, encode_cursor

Rule = Annotated[str | None, Query(pattern=RULE, description="only of this rule", examples=["nyc-24-218-night"])]
_DEFAULT: Final = timedelta(days=31)


def filter_of(
    rule: str | None, site: str | None, place: str | None, since: datetime | None, until: datetime | None
) -> ExceedanceFilter:
    """Return the filter of a request."""
    return ExceedanceFilter(
        rule, site, place, None if since is None else to_ms(since), None if until is None else to_ms(until)
    )


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of limits."""
    router = APIRouter(tags=["limits"])

    @router.get("/exceedances", responses=errors(422, 503))
    def exceedances(
        limit: Limit = 50,
        after: After = None,
        since: Since = None,
        until: Until = None,
        site: Site = None,
        place: Place = None,
        rule: Rule = None,
    ) -> ExceedanceList:
        """List levels above limits, the newest first; `since` and `until` are about the begin of their periods."""
        wanted = filter_of(rule, site, place, since, until)
        found, following = parts.exceedances.page(wanted, limit=limit, after=decode_cursor(after))
        return ExceedanceList(exceedances=[exceedance_view(one) for one in found], next=encode_cursor(following))

    @router.get("/limits", responses=errors(404, 422, 503))
    def limits(
        since: Since = None, until: Until = None, site: Site = None, place: Place = None, rule: Rule = None
    ) -> LimitsView:
        """Return the rules, and how many of their periods were judged: in the last 31 days, or at most 366 others."""
        start_s, end_s, _ = interval(since, until, HOUR_S, _DEFAULT, MOST_DAYS * 24)
        rules = chosen_rules(parts, rule)
        places = [one for one in chosen_places(parts, site) if place in {None, one}]
        rows = judged_rows(parts, rules, places, start_s, end_s)
        return LimitsView(
            since=at_second(start_s),
            until=at_second(end_s),
            timezone=str(parts.places.timezone),
            rules=[rule_view(one) for one in rules],
            counts=[judged_view(row) for row in rows],
        )

    return router

"""Page of limits: the exceedances of a time, how much of it was judged, and the rules."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from hub.domain.exceedances import Exceedance
from hub.domain.level_rows import HOUR_S
from hub.domain.limit_summary import describe_rule
from hub.store.exceedances import ExceedanceFilter
from hub.web.limit_views import chosen_places, chosen_rules, judged_rows
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
from shared.errors import InvalidError

_ROWS: Final = 50
_DEFAULT_DAYS: Final = 7
_EARLIEST, _LATEST = date(1970, 1, 3), date(2199, 12, 29)

Where = Annotated[str, Query(max_length=127, description="a site or `site/sensor`; all if empty")]
Day = Annotated[str, Query(max_length=10, description="a date; the last 7 days if empty")]


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of limits."""
    router = APIRouter()
    parts = shell.parts
    zone = parts.places.timezone
    shell.add_filters(ruled=describe_rule, chart_address=lambda one: _chart_address(one, zone))

    @router.get("/limits")
    def limits(
        request: Request, place: Where = "", rule: str = "", first: Day = "", last: Day = "", after: str = ""
    ) -> HTMLResponse:
        today = datetime.now(zone).date()
        end = _date(last, "last") or today
        begin = _date(first, "first") or end - timedelta(days=_DEFAULT_DAYS - 1)
        since_s, until_s = _at_s(begin, zone), _at_s(end + timedelta(days=1), zone)
        rules = chosen_rules(parts, rule)
        places = chosen_places(parts, place)
        site, _, sensor = place.partition("/")
        wanted = ExceedanceFilter(
            rule or None, site or None, place if sensor else None, 1_000 * since_s, 1_000 * until_s - 1
        )
        found, following = parts.exceedances.page(wanted, limit=_ROWS, after=decode_cursor(after))
        rows = judged_rows(parts, rules, places, since_s // HOUR_S * HOUR_S, until_s // HOUR_S * HOUR_S)
        return shell.page(
            request,
            "limits.html",
            exceedances=found,
            next=encode_cursor(following),
            judged=[one for one in rows if one.periods],
            rules=parts.limits,
            titles={one.name: one.title for one in parts.limits},
            minutes={one.name for one in parts.limits if one.period == "minute"},
            chosen={"place": place, "rule": rule, "first": begin, "last": end},
            choices=_choices(chosen_places(parts, None)),
            since=datetime.fromtimestamp(since_s, UTC),
            until=datetime.fromtimestamp(until_s - 1, UTC),
        )

    return router


def _date(text: str, name: str) -> date | None:
    """Return a date of the form."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{name}: write a date like 2026-06-01") from None
    return min(max(day, _EARLIEST), _LATEST)


def _at_s(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())


def _choices(places: list[str]) -> list[str]:
    """Return sites and their sensors, each site before its sensors."""
    return sorted({*places, *(place.partition("/")[0] for place in places)})


def _chart_address(one: Exceedance, zone: ZoneInfo) -> str:
    """Return the address of the chart of levels that shows the period of an exceedance."""
    at = datetime.fromtimestamp(one.start_s, zone)
    length_s = one.end_s - one.start_s
    if length_s <= HOUR_S:
        return f"/levels/{one.place}?span=hour&day={at.date()}&hour={at.hour}"
    span = "day" if length_s <= 25 * HOUR_S else "year"
    return f"/levels/{one.place}?span={span}&day={at.date()}"

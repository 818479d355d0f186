"""Pages of levels: charts of an hour, a day, a week or a year of a sensor, and the loudest nights of a site."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from hub.domain.clocks import wording
from hub.domain.level_rows import STATISTICS, LevelTable
from hub.store.day_level_queries import Night
from hub.web.band_views import bands_of
from hub.web.level_chart import HEIGHT
from hub.web.level_comparisons import compare_address
from hub.web.level_spans import PERIODS, SPANS, Span, SpanName, span_of
from hub.web.level_views import (
    LABELS,
    chart_of,
    episodes_of,
    hours_of,
    local_time,
    mean_of,
    months_of,
    pointer_values,
    read_levels,
)
from hub.web.limit_charts import limit_bars, limit_lines
from hub.web.pages.rendering import PageRenderer, as_json
from hub.web.resolve import get_sensor_or_404, parse_place
from shared.errors import InvalidError

_YEARS: Final = (1970, 2199)
_NIGHTS: Final = 20
_NIGHTS_OF_EACH: Final = 5
_LOOKED_BACK: Final = (7, 31, 92, 366)
"""Days of the lists of nights to choose from."""

Day = Annotated[date | None, Query(description="a date of the span")]
Hour = Annotated[int, Query(ge=0, le=23, description="hour of the day, of the span of an hour")]
Days = Annotated[int, Query(ge=1, le=366, description="number of days that are looked back")]


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of levels."""
    router = APIRouter()
    parts = shell.parts
    zone = parts.places.timezone
    shell.add_filters(local_time=local_time)

    def nights_of(places: list[str], days: int, limit: int) -> list[Night]:
        today = datetime.now(zone).date()
        return parts.day_levels.loudest_nights(places, today - timedelta(days=days), today, limit)

    @router.get("/levels")
    def all_levels(request: Request) -> HTMLResponse:
        places = sorted(sensor.place for sensor in parts.archive.sensors.all())
        sites = sorted({place.partition("/")[0] for place in places})
        own = {site: _of(site, places) for site in sites}
        rows = [(site, nights_of(own[site], _LOOKED_BACK[0], _NIGHTS_OF_EACH), own[site]) for site in sites]
        return shell.page(request, "level_sites.html", rows=rows, days=_LOOKED_BACK[0])

    @router.get("/levels/{site}")
    def nights(request: Request, site: str, days: Days = _LOOKED_BACK[1]) -> HTMLResponse:
        places = _of(site, [sensor.place for sensor in parts.archive.sensors.all()])
        if not places:
            raise HTTPException(404, f"no site {site}")
        found = nights_of(places, days, _NIGHTS)
        return shell.page(
            request, "level_nights.html", site=site, nights=found, days=days, choices=_LOOKED_BACK, places=places
        )

    @router.get("/levels/{site}/{name}")
    def levels(
        request: Request, site: str, name: str, span: SpanName = "day", day: Day = None, hour: Hour = 0
    ) -> HTMLResponse:
        found = get_sensor_or_404(parts.archive, parse_place(f"{site}/{name}") or "")
        now = datetime.now(UTC)
        local = shell.local(now)
        on = day or local.date()
        if not _YEARS[0] < on.year < _YEARS[1]:
            raise InvalidError(f"day must be in the years {_YEARS[0] + 1} to {_YEARS[1] - 1}")
        at = hour if day else local.hour
        shown = span_of(span, on, at, zone)
        read = read_levels(parts, found.place, shown)
        begin_s, end_s = shown.bounds_s
        values = _figures(shell, found.place, shown) if span != "year" else {"months": months_of(read.days)}
        known = [one for one in read.days if one.whole.valid_s]
        return shell.page(
            request,
            "levels.html",
            sensor=found,
            site=site,
            name=name,
            span=shown,
            others=[(other, span_of(other, on, at, zone)) for other in SPANS],
            earlier=shown.moved(-1),
            later=shown.moved(1) if end_s <= now.timestamp() else None,
            chart=chart_of(read, shown, now, limit_lines(parts, found.place, shown, read)),
            bars=limit_bars(parts, found.place, shown),
            rules={rule.name: rule for rule in parts.limits},
            height=HEIGHT,
            labels=LABELS,
            levels=read,
            period=PERIODS[span][0],
            ticks=[(tick, 100 * (tick.at_s - begin_s) / (end_s - begin_s)) for tick in shown.ticks()],
            pointer=as_json(pointer_values(read, shown)),
            episodes={} if span == "year" else episodes_of(parts, found.place, shown),
            bounds_s=shown.bounds_s,
            times=_times(shown),
            data=_data_address(found.place, shown),
            year=mean_of(known) if known else None,
            corrections=[
                (wording(timedelta(seconds=one.offset_s)), "ahead" if one.offset_s > 0 else "behind")
                for one in parts.level_offsets.between(found.place, begin_s, end_s)
            ],
            zone=zone,
            compare=compare_address(found.place, shown),
            bands=bands_of(parts, found.place, shown, read.unit) if span == "day" else None,
            **{"days": [], "hours": [], "months": [], **values},
        )

    return router


def _figures(shell: PageRenderer, place: str, span: Span) -> Mapping[str, Any]:
    """Return the levels of the days of a span, and the statistics of its hours unless it is a week."""
    parts = shell.parts
    days = parts.day_levels.days([place], span.day, span.end - timedelta(days=1))[place].days
    if span.name == "week":
        return {"days": days}
    first_s, table = hours_of(parts, place, span)
    hours = [(first_s + 3_600 * number, row) for number, row in enumerate(_rows(table))]
    return {"days": days, "hours": hours}


def _rows(table: LevelTable) -> list[dict[str, Any]]:
    """Return the statistics of hours by name; None for NaN."""
    return [
        {
            "seconds": seconds,
            **{name: None if level != level else level for name, level in zip(STATISTICS, row, strict=True)},  # noqa: PLR0124
        }
        for row, seconds in zip(table.levels.tolist(), table.seconds.tolist(), strict=True)
    ]


def _data_address(place: str, span: Span) -> str:
    """Return the address of the levels of a span in the API."""
    if span.name == "year":
        return f"/api/v1/levels/days?place={place}&first={span.day}&last={span.end - timedelta(days=1)}"
    since, until = _times(span)
    return f"/api/v1/levels?place={place}&since={since}&until={until}&resolution={PERIODS[span.name][0]}"


def _times(span: Span) -> list[str]:
    """Return begin and end of a span as text of RFC 3339."""
    return [f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}" for at_s in span.bounds_s]


def _of(site: str, places: list[str]) -> list[str]:
    return sorted(place for place in places if place.startswith(f"{site}/"))

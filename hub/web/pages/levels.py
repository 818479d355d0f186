"""Page of the levels of a sensor on one day."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from hub.web.level_chart import DRAWN, HEIGHT, level_chart
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import get_sensor_or_404
from shared.errors import InvalidError

_MINUTE_S = 60
_YEARS = (1970, 9998)


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the levels of a sensor."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/levels/{site}/{name}")
    def levels(
        request: Request, site: str, name: str, day: Annotated[date | None, Query(description="the day")] = None
    ) -> HTMLResponse:
        found = get_sensor_or_404(parts.archive, f"{site}/{name}")
        now = datetime.now(UTC)
        shown = day or shell.local(now).date()
        if not _YEARS[0] < shown.year < _YEARS[1]:
            raise InvalidError(f"day must be in the years {_YEARS[0] + 1} to {_YEARS[1] - 1}")
        begin, end = (_midnight(shell, shown + timedelta(days=days)) for days in (0, 1))
        start_s, end_s = int(begin.timestamp()), int(end.timestamp())
        table = parts.level_statistics.table(found.place, start_s, end_s, "minute")
        past = max(0, int(now.timestamp()) - start_s) // _MINUTE_S
        return shell.page(
            request,
            "levels.html",
            sensor=found,
            day=shown,
            earlier=shown - timedelta(days=1),
            later=shown + timedelta(days=1) if end <= now else None,
            chart=level_chart(table, past),
            height=HEIGHT,
            names=dict(zip(DRAWN, ("LAeq", "LAFmax"), strict=True)),
            unit=table.unit,
            left_out=table.left_out,
            hours=[
                (hour, int((_midnight(shell, shown, hour) - begin).total_seconds()) // 60) for hour in (6, 12, 18)
            ],
            since=begin.isoformat().replace("+00:00", "Z"),
            until=end.isoformat().replace("+00:00", "Z"),
        )

    return router


def _midnight(shell: PageRenderer, day: date, hour: int = 0) -> datetime:
    """Return the begin of an hour of a day in the hub's time zone, in UTC."""
    return datetime.combine(day, time(hour), shell.parts.places.timezone).astimezone(UTC)

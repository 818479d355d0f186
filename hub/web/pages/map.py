"""Map page: a plan of each site's sensors, north up, and a list of the sensors without a position."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.sensor_status import sensor_status
from hub.web.listing import AlertFilter, alerts
from hub.web.pages.rendering import PageRenderer
from hub.web.svg import plan


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the map."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/map")
    def plans(request: Request) -> HTMLResponse:
        now = datetime.now(UTC)
        known = {sensor.place: sensor for sensor in parts.archive.sensors.all()}
        sensors = {place: sensor for place, sensor in known.items() if not sensor.edits.retired}
        recent, _ = alerts(parts, AlertFilter(since=now - timedelta(days=1)), limit=500)
        counts: dict[str, int] = {}
        for alert in recent:
            place = f"{alert.site}/{alert.sensor}"
            counts[place] = counts.get(place, 0) + 1
        positions = parts.places.positions
        sites: dict[str, dict[str, tuple[float, float]]] = {}
        for place, position in sorted(positions.items()):
            if place in known and place not in sensors:
                continue  # it is retired
            sites.setdefault(place.partition("/")[0], {})[place] = position
        return shell.page(
            request,
            "map.html",
            plans={site: plan(places) for site, places in sites.items()},
            conditions={place: sensor_status(sensor, now) for place, sensor in sensors.items()},
            counts=counts,
            titles={place: sensor.edits.title for place, sensor in sensors.items() if sensor.edits.title},
            elsewhere=[sensor for place, sensor in sensors.items() if place not in positions],
        )

    return router

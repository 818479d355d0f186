"""API of sensors, patterns at sensors, and thresholds of sites."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from hub.web.alert_schemas import ThresholdList
from hub.web.api.params import CATEGORY, NAME, errors
from hub.web.context import WebContext
from hub.web.pattern_schemas import PatternView, pattern_view
from hub.web.resolve import last_events
from hub.web.sensor_schemas import SensorList, sensor_view
from hub.web.verdict_service import thresholds as of_site

Name = Annotated[str, Path(pattern=NAME)]


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of sensors, patterns and sites."""
    router = APIRouter(tags=["places"])

    @router.get("/sensors", responses=errors(422, 503))
    def sensors() -> SensorList:
        """List all sensors, with their last event and announced state."""
        known = parts.archive.sensors.all()
        last = last_events(parts.archive, known)
        return SensorList(sensors=[sensor_view(sensor, last.get(sensor.place)) for sensor in known])

    @router.get("/patterns/{site}/{sensor}/{category}", responses=errors(404, 422, 503))
    def pattern(site: Name, sensor: Name, category: Annotated[str, Path(pattern=CATEGORY)]) -> PatternView:
        """Return how often, when and how regularly a category recurs at a sensor, and when it is expected next."""
        place, now = f"{site}/{sensor}", datetime.now(UTC)
        if place not in {sensor.place for sensor in parts.archive.sensors.all()}:
            raise HTTPException(404, f"no sensor {place}")
        found = parts.patterns.pattern(place, category, now)
        return pattern_view(place, category, found, parts.patterns.days(place, category, now))

    @router.get("/sites/{site}/thresholds", responses=errors(404, 422, 503))
    def thresholds(site: Name) -> ThresholdList:
        """Return the match probability that each category needs for an alert at a site, and the expected alerts."""
        return ThresholdList(site=site, thresholds=of_site(parts, site))

    return router

"""What is known of places: sensors, patterns, and the thresholds of sites."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from hub.web.api.params import CATEGORY, NAME, errors
from hub.web.context import WebContext
from hub.web.pattern_schemas import PatternView, pattern_view
from hub.web.schemas import SensorList, ThresholdList, sensor_view
from hub.web.verdict_service import thresholds as of_site

Name = Annotated[str, Path(pattern=NAME)]


def routes(parts: WebContext) -> APIRouter:
    """The routes of sensors, patterns and sites."""
    router = APIRouter(tags=["places"])

    @router.get("/sensors", responses=errors(422, 503))
    def sensors() -> SensorList:
        """All sensors, with their last event and announced state."""
        return SensorList(sensors=[sensor_view(sensor) for sensor in parts.archive.sensors.all()])

    @router.get("/patterns/{site}/{sensor}/{category}", responses=errors(404, 422, 503))
    def pattern(site: Name, sensor: Name, category: Annotated[str, Path(pattern=CATEGORY)]) -> PatternView:
        """How often, when and how regularly a category is heard at a sensor, and when it is likely next."""
        place, now = f"{site}/{sensor}", datetime.now(UTC)
        if place not in {sensor.place for sensor in parts.archive.sensors.all()}:
            raise HTTPException(404, f"no sensor {place}")
        found = parts.patterns.pattern(place, category, now)
        return pattern_view(place, category, found, parts.patterns.days(place, category, now))

    @router.get("/sites/{site}/thresholds", responses=errors(404, 422, 503))
    def thresholds(site: Name) -> ThresholdList:
        """From which likeness each category raises alerts at a site, and what that is expected to cost."""
        return ThresholdList(site=site, thresholds=of_site(parts, site))

    return router

"""API of sensors, patterns at sensors, and thresholds of sites."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from hub.web.alert_schemas import ThresholdList
from hub.web.api.params import CATEGORY, NAME, CsrfHeader, errors
from hub.web.context import WebContext
from hub.web.pattern_schemas import PatternView, pattern_view
from hub.web.resolve import get_sensor_or_404, last_events
from hub.web.sensor_schemas import SensorChanges, SensorList, SensorView, sensor_view
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

    @router.patch("/sensors/{site}/{sensor}", responses=errors(400, 403, 404, 413, 422, 503))
    def edit_sensor(site: Name, sensor: Name, changes: SensorChanges, _ours: CsrfHeader = None) -> SensorView:
        """Set a sensor's title or description, mute it, or retire it; what the body leaves out stays."""
        known = get_sensor_or_404(parts.archive, f"{site}/{sensor}")
        edits = known.edits.model_copy(update=changes.model_dump(exclude_none=True))
        parts.archive.sensors.edit(known.place, edits)
        last = last_events(parts.archive, [known])
        return sensor_view(replace(known, edits=edits), last.get(known.place))

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

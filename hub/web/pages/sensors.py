"""Page of sensors: state, last receipt, recent levels, delay and backlog of each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.clocks import wording
from hub.domain.records import Sensor, StoredEvent
from hub.domain.sensor_status import SensorStatus, sensor_status
from hub.web.pages.rendering import PageRenderer
from hub.web.resolve import last_events
from hub.web.svg import StripChart, strip

_CLIPS: Final = 60
_WORST_FIRST: Final = ("lost", "silent", "stopped", "online", "retired")


@dataclass(frozen=True, slots=True)
class SensorRow:
    """A row of the table of sensors."""

    sensor: Sensor
    condition: SensorStatus
    strip: StripChart | None
    last: StoredEvent | None
    placed: bool
    clock_off: str
    calibration_age_days: float | None


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of sensors."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/sensors")
    def sensors(request: Request) -> HTMLResponse:
        now = datetime.now(UTC)
        known = parts.archive.sensors.all()
        levels = parts.catalogue.levels([sensor.place for sensor in known], _CLIPS)
        last = last_events(parts.archive, known)
        rows = [
            SensorRow(
                sensor=sensor,
                condition=sensor_status(sensor, now),
                strip=strip(levels[sensor.place]),
                last=last.get(sensor.place),
                placed=sensor.place in parts.places.positions,
                clock_off=_off(sensor, parts.settings.clock.tolerance_s),
                calibration_age_days=_calibration_age_days(last.get(sensor.place), now),
            )
            for sensor in known
        ]
        rows.sort(key=lambda row: (_WORST_FIRST.index(row.condition.word), row.sensor.place))
        return shell.page(request, "sensors.html", rows=rows)

    return router


def _calibration_age_days(last: StoredEvent | None, now: datetime) -> float | None:
    """Return the present age of the calibration of a sensor's last event, in days; None if it is not known."""
    return None if last is None or last.calibration is None else last.calibration.age_days(now)


def _off(sensor: Sensor, tolerance_s: float) -> str:
    """Format how far a sensor's clock is off, such as "2.0 h ahead"; "" if within the tolerance or unknown."""
    skew_s = sensor.clock_skew_s
    if skew_s is None or abs(skew_s) <= tolerance_s:
        return ""
    return f"{wording(timedelta(seconds=skew_s))} {'ahead' if skew_s > 0 else 'behind'}"

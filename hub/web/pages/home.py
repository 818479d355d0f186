"""Home page (latest alerts, expected next times, levels, latest events), and the list of all events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.records import Sensor
from hub.domain.sensor_status import sensor_status
from hub.store.event_queries import EventFilter
from hub.web.listing import AlertFilter, alerts
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import parse_category, parse_place
from hub.web.svg import StripChart, strip
from shared.messages.alert import AlertMessage, ForecastWindow

_ALERTS: Final = 4
_EVENTS: Final = 25
_STRIPS: Final = 12
_CLIPS: Final = 60
_LOOKED_BACK: Final = timedelta(days=7)
_NEXT: Final = 3


@dataclass(frozen=True, slots=True)
class SensorStrip:
    """A sensor with a chart of its recent levels."""

    sensor: Sensor
    strip: StripChart | None
    unit: str
    well: bool


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of the home page and of the list of events."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/")
    def feed(request: Request) -> HTMLResponse:
        now = datetime.now(UTC)
        recent, _ = alerts(parts, AlertFilter(since=now - _LOOKED_BACK), limit=200)
        newest, following = alerts(parts, AlertFilter(), limit=_ALERTS)
        events = parts.catalogue.events(EventFilter(), limit=_EVENTS)
        sensors = parts.archive.sensors.all()
        return shell.page(
            request,
            "feed.html",
            alerts=newest,
            more_alerts=following is not None,
            today=sum(alert.captured_at > now - timedelta(days=1) for alert in recent),
            places_today=len({(a.site, a.sensor) for a in recent if a.captured_at > now - timedelta(days=1)}),
            coming=upcoming_windows(recent, now),
            events=events.events,
            names=parts.name_matcher.names_of([str(event.id) for event in events.events]),
            next=encode_cursor(events.next),
            strips=_strips(shell, sensors, now),
            sensors=len(sensors),
            unwell=sum(not sensor_status(sensor, now).is_ok for sensor in sensors),
        )

    @router.get("/events")
    def events(
        request: Request, after: str | None = None, place: str | None = None, category: str | None = None
    ) -> HTMLResponse:
        wanted = EventFilter(place=parse_place(place), category=parse_category(category))
        page = parts.catalogue.events(wanted, limit=100, after=decode_cursor(after))
        return shell.page(
            request,
            "events.html",
            events=page.events,
            names=parts.name_matcher.names_of([str(event.id) for event in page.events]),
            next=encode_cursor(page.next),
            first=not after,
            place=wanted.place or "",
            category=wanted.category or "",
            places=[sensor.place for sensor in parts.archive.sensors.all()],
        )

    return router


def upcoming_windows(recent: Sequence[AlertMessage], now: datetime) -> list[AlertMessage]:
    """Return the alerts with a forecast that has not ended, the next first: the newest per place and category."""
    latest: dict[tuple[str, str, str], AlertMessage] = {}
    for alert in reversed(recent):  # the newest comes last and overwrites earlier ones
        if alert.recurrence is not None:
            latest[alert.site, alert.sensor, alert.recurrence.category] = alert
    ahead = [(window.start, alert) for alert in latest.values() if (window := _window(alert)) and window.end > now]
    return [alert for _, alert in sorted(ahead, key=lambda one: one[0])[:_NEXT]]


def _window(alert: AlertMessage) -> ForecastWindow | None:
    return alert.recurrence.next if alert.recurrence else None


def _strips(shell: PageRenderer, sensors: Sequence[Sensor], now: datetime) -> list[SensorStrip]:
    """Return the sensors with the most recent events, by place."""
    newest = sorted(sensors, key=lambda s: s.last_captured_at or datetime.min.replace(tzinfo=UTC), reverse=True)[
        :_STRIPS
    ]
    levels = shell.parts.catalogue.levels([sensor.place for sensor in newest], _CLIPS)
    units = {
        event.place: event.levels.unit
        for event in shell.parts.archive.fetch([s.last_event for s in newest if s.last_event])
    }
    return [
        SensorStrip(
            sensor, strip(levels[sensor.place]), units.get(sensor.place, "dB"), sensor_status(sensor, now).is_ok
        )
        for sensor in sorted(newest, key=lambda s: s.place)
    ]

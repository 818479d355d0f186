"""Home page (latest alerts, expected next times, levels, latest events), and the list of all events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.records import Sensor, StoredEvent
from hub.domain.sensor_status import sensor_status
from hub.web.alert_schemas import AlertView
from hub.web.event_listing import EventListFilter, events
from hub.web.listing import AlertFilter, alerts
from hub.web.pages.list_fields import GivenFields, ListFields, options_of
from hub.web.pages.rendering import PageRenderer
from hub.web.pagination import decode_cursor, encode_cursor
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
        latest = events(parts, EventListFilter(), limit=_EVENTS)
        sensors = [sensor for sensor in parts.archive.sensors.all() if not sensor.edits.retired]
        return shell.page(
            request,
            "feed.html",
            alerts=newest,
            more_alerts=following is not None,
            today=sum(alert.captured_at > now - timedelta(days=1) for alert in recent),
            places_today=len({(a.site, a.sensor) for a in recent if a.captured_at > now - timedelta(days=1)}),
            coming=upcoming_windows(recent, now),
            events=latest.events,
            **_labels(shell, latest.events),
            next=encode_cursor(latest.next),
            strips=_strips(shell, sensors, now),
            sensors=len(sensors),
            unwell=sum(not sensor_status(sensor, now).is_ok for sensor in sensors),
        )

    @router.get("/events")
    def all_events(request: Request, given: GivenFields, after: str | None = None) -> HTMLResponse:
        fields = ListFields(given, parts.places.timezone)
        page = events(parts, fields.events(), limit=100, after=decode_cursor(after))
        return shell.page(
            request,
            "events.html",
            events=page.events,
            **_labels(shell, page.events),
            next=encode_cursor(page.next),
            first=not after,
            fields=fields,
            options=replace(options_of(parts), site=()),
        )

    return router


def _labels(shell: PageRenderer, shown: Sequence[StoredEvent]) -> dict[str, Any]:
    """Return the names of events, and the categories that verdicts correct, by id."""
    ids = [str(event.id) for event in shown]
    return {
        "names": shell.parts.name_matcher.names_of(ids),
        "corrections": shell.parts.feedback.stored.corrections(ids),
    }


def upcoming_windows(recent: Sequence[AlertView], now: datetime) -> list[AlertView]:
    """Return the alerts with a forecast that has not ended, the next first: the newest per place and category.

    A forecast of a category that a verdict corrects does not count.
    """
    latest: dict[tuple[str, str, str], AlertView] = {}
    for alert in reversed(recent):  # the newest comes last and overwrites earlier ones
        if alert.recurrence is not None and alert.recurrence.category in alert.categories:
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

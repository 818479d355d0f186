"""What happened lately: the newest alerts, when to be there next, levels, and the newest events; and all events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.domain.records import Sensor
from hub.domain.sensor_status import condition
from hub.store.event_queries import Wanted
from hub.web.listing import WantedAlerts, alerts
from hub.web.pages.rendering import Shell
from hub.web.pagination import cursor_of, text_of
from hub.web.resolve import category_of, place_of
from hub.web.svg import Strip, strip
from shared.messages import AlertMessage, WindowMessage

_ALERTS: Final = 4
_EVENTS: Final = 25
_STRIPS: Final = 12
_CLIPS: Final = 60
_LOOKED_BACK: Final = timedelta(days=7)
_NEXT: Final = 3


@dataclass(frozen=True, slots=True)
class Heard:
    """A sensor beside what it heard lately."""

    sensor: Sensor
    strip: Strip | None
    unit: str
    well: bool


def routes(shell: Shell) -> APIRouter:
    """The routes of the feed."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/")
    def feed(request: Request) -> HTMLResponse:
        now = datetime.now(UTC)
        recent, _ = alerts(parts, WantedAlerts(since=now - _LOOKED_BACK), limit=200)
        newest, following = alerts(parts, WantedAlerts(), limit=_ALERTS)
        events = parts.catalogue.events(Wanted(), limit=_EVENTS)
        sensors = parts.archive.sensors()
        return shell.page(
            request,
            "feed.html",
            alerts=newest,
            more_alerts=following is not None,
            today=sum(alert.captured_at > now - timedelta(days=1) for alert in recent),
            places_today=len({(a.site, a.sensor) for a in recent if a.captured_at > now - timedelta(days=1)}),
            coming=coming(recent, now),
            events=events.events,
            names=parts.name_matcher.names_of([str(event.id) for event in events.events]),
            next=text_of(events.next),
            heard=_heard(shell, sensors, now),
            sensors=len(sensors),
            unwell=sum(not condition(sensor, now).well for sensor in sensors),
        )

    @router.get("/events")
    def events(
        request: Request, after: str | None = None, place: str | None = None, category: str | None = None
    ) -> HTMLResponse:
        wanted = Wanted(place=place_of(place), category=category_of(category))
        page = parts.catalogue.events(wanted, limit=100, after=cursor_of(after))
        return shell.page(
            request,
            "events.html",
            events=page.events,
            names=parts.name_matcher.names_of([str(event.id) for event in page.events]),
            next=text_of(page.next),
            first=not after,
            place=wanted.place or "",
            category=wanted.category or "",
            places=[sensor.place for sensor in parts.archive.sensors()],
        )

    return router


def coming(recent: Sequence[AlertMessage], now: datetime) -> list[AlertMessage]:
    """The alerts that foretell something, by when, each place and category once, as it was foretold last."""
    latest: dict[tuple[str, str, str], AlertMessage] = {}
    for alert in reversed(recent):  # the newest last, which stays
        if alert.recurrence is not None:
            latest[alert.site, alert.sensor, alert.recurrence.category] = alert
    ahead = [(window.start, alert) for alert in latest.values() if (window := _window(alert)) and window.end > now]
    return [alert for _, alert in sorted(ahead, key=lambda one: one[0])[:_NEXT]]


def _window(alert: AlertMessage) -> WindowMessage | None:
    return alert.recurrence.next if alert.recurrence else None


def _heard(shell: Shell, sensors: Sequence[Sensor], now: datetime) -> list[Heard]:
    """The sensors that were heard last, by place."""
    newest = sorted(sensors, key=lambda s: s.last_captured_at or datetime.min.replace(tzinfo=UTC), reverse=True)[
        :_STRIPS
    ]
    levels = shell.parts.catalogue.levels([sensor.place for sensor in newest], _CLIPS)
    units = {
        event.place: event.levels.unit
        for event in shell.parts.archive.fetch([s.last_event for s in newest if s.last_event])
    }
    return [
        Heard(sensor, strip(levels[sensor.place]), units.get(sensor.place, "dB"), condition(sensor, now).well)
        for sensor in sorted(newest, key=lambda s: s.place)
    ]

"""The JSON API, health and metrics, over FastAPI; OpenAPI at `/docs`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AwareDatetime, BaseModel

from hub.archive import Archive
from hub.flagging.alert import match_message
from hub.metrics import HubMetrics
from hub.search.match import Exclusion
from hub.search.retrieval import Retrieval, own_recent
from hub.settings import FlaggingSettings
from hub.stored import Sensor, StoredEvent
from shared.errors import Invalid, Unavailable
from shared.events import EventId, LevelUnit
from shared.messages import AlertMessage, MatchMessage
from shared.taxonomy import CATEGORIES

Limit = Annotated[int, Query(ge=1, le=500, description="most items returned")]


@dataclass(frozen=True, slots=True)
class Health:
    """What `/healthz` tells: whether the hub can do its work.

    Attributes:
        broker: connected, or draining before it connects again.
        store: it answers.
        events: events archived; 0 if the store is away.
        dead_letters: dead letters that wait; 0 if the store is away.
    """

    broker: bool
    store: bool
    events: int
    dead_letters: int

    @property
    def ok(self) -> bool:
        """Broker and store are both there."""
        return self.broker and self.store


class EventView(BaseModel):
    """An archived event; `presence` holds the probability of each category."""

    id: str
    site: str
    sensor: str
    captured_at: datetime
    received_at: datetime
    duration_s: float
    laeq: float
    lafmax: float
    level_unit: LevelUnit
    space: str
    presence: dict[str, float]


class EventList(BaseModel):
    """Events, newest first; ask again with `before` = `next` for older ones."""

    events: list[EventView]
    next: datetime | None


class SimilarList(BaseModel):
    """Similar past events, most similar first, and why: shared categories with P(both)."""

    event: str
    matches: list[MatchMessage]


class AlertList(BaseModel):
    """Alerts, newest first; ask again with `before` = `next` for older ones."""

    alerts: list[AlertMessage]
    next: datetime | None


class SensorView(BaseModel):
    """A sensor, its last event and the state it announced."""

    site: str
    sensor: str
    state: str
    events: int
    last_event: str
    last_captured_at: datetime | None
    last_received_at: datetime | None


class SensorList(BaseModel):
    """All sensors that ever spoke."""

    sensors: list[SensorView]


def view(event: StoredEvent) -> EventView:
    """An event as the API tells it."""
    return EventView(
        id=str(event.id),
        site=event.site,
        sensor=event.id.sensor,
        captured_at=event.captured_at,
        received_at=event.received_at,
        duration_s=event.duration_s,
        laeq=event.levels.laeq,
        lafmax=event.levels.lafmax,
        level_unit=event.levels.unit,
        space=event.space,
        presence=dict(zip(CATEGORIES, event.presence, strict=True)),
    )


def _sensor_view(sensor: Sensor) -> SensorView:
    site, _, name = sensor.place.partition("/")
    return SensorView(
        site=site,
        sensor=name,
        state=sensor.state,
        events=sensor.events,
        last_event=sensor.last_event,
        last_captured_at=sensor.last_captured_at,
        last_received_at=sensor.last_received_at,
    )


def create_app(
    archive: Archive,
    retrieval: Retrieval,
    metrics: HubMetrics,
    health: Callable[[], Health],
    flagging: FlaggingSettings,
) -> FastAPI:
    """The hub's web application over its archive and index."""
    app = FastAPI(title="Earwitness hub", version="1", docs_url="/docs", redoc_url=None)

    @app.exception_handler(Unavailable)
    def unavailable(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=503, headers={"Retry-After": "5"})

    @app.exception_handler(Invalid)
    def invalid(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=422)

    _add_data_routes(app, archive, retrieval, flagging)
    _add_operator_routes(app, metrics, health)
    return app


def _add_data_routes(app: FastAPI, archive: Archive, retrieval: Retrieval, flagging: FlaggingSettings) -> None:
    def find(event_id: str) -> StoredEvent:
        event = archive.get(EventId.parse(event_id))
        if event is None:
            raise HTTPException(404, f"no event {event_id}")
        return event

    @app.get("/api/v1/events")
    def events(
        limit: Limit = 50,
        before: Annotated[AwareDatetime | None, Query(description="captured before this time")] = None,
        sensor: Annotated[str | None, Query(description="only this site/sensor")] = None,
    ) -> EventList:
        """Archived events, newest first."""
        found = archive.events(limit=limit, before=before, place=sensor)
        return EventList(
            events=[view(event) for event in found],
            next=found[-1].captured_at if len(found) == limit else None,
        )

    @app.get("/api/v1/events/{event_id}")
    def event(event_id: str) -> EventView:
        """One event."""
        return view(find(event_id))

    @app.get("/api/v1/events/{event_id}/similar")
    def similar(
        event_id: str,
        k: Annotated[int, Query(ge=1, le=100, description="most matches returned")] = 10,
        own_recent_clips: Annotated[
            bool, Query(description="include clips of the same sensor close in time")
        ] = False,
    ) -> SimilarList:
        """Similar events of the archive, most similar first, with the categories both likely contain."""
        query = find(event_id)
        exclusion = (
            Exclusion(frozenset({event_id}))
            if own_recent_clips
            else own_recent({event_id}, query.place, query.captured_at, flagging.own_recent_s)
        )
        matches = retrieval.similar(query, k, exclusion)
        return SimilarList(event=event_id, matches=[match_message(m, flagging.min_shared) for m in matches])

    @app.get("/api/v1/alerts")
    def alerts(
        limit: Limit = 50,
        before: Annotated[AwareDatetime | None, Query(description="of events captured before this time")] = None,
    ) -> AlertList:
        """Alerts, newest first."""
        found = archive.alerts(limit=limit, before=before)
        return AlertList(alerts=found, next=found[-1].captured_at if len(found) == limit else None)

    @app.get("/api/v1/sensors")
    def sensors() -> SensorList:
        """All sensors, with their last event and announced state."""
        return SensorList(sensors=[_sensor_view(sensor) for sensor in archive.sensors()])


def _add_operator_routes(app: FastAPI, metrics: HubMetrics, health: Callable[[], Health]) -> None:
    @app.get("/healthz")
    def healthz() -> JSONResponse:
        """200 if broker and store are there, 503 if not."""
        report = health()
        return JSONResponse({"ok": report.ok, **asdict(report)}, status_code=200 if report.ok else 503)

    @app.get("/metrics", include_in_schema=False)
    def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

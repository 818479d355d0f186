"""The hub's web application: pages, JSON API under `/api/v1`, health and metrics, over FastAPI."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from hub.metrics.exposition import expose
from hub.web.allowed_hosts import own_names
from hub.web.api import (
    alerts,
    day_levels,
    episodes,
    events,
    exceedances,
    export,
    level_bands,
    level_comparison,
    level_partial,
    levels,
    names,
    search,
    sensor_commands,
    sensors,
    sources,
)
from hub.web.api import stream as live
from hub.web.api.search import format_validation_errors
from hub.web.context import WebContext
from hub.web.gate import LoginGate, OpenGate
from hub.web.live_feed import LiveFeed
from hub.web.middleware import RequestLimits, SecurityMiddleware
from hub.web.pages import router as pages
from hub.web.query_parameters import known_parameters
from hub.web.refusals import RefusalRecorder
from shared.errors import InvalidError, UnavailableError

_ABOUT = """Earwitness archives the events of a network of noise sensors and finds similar past events.

The API returns lists in pages: repeat the request with `after` = `next` until `next` is null. A page may be short.
Times are UTC. Levels are in dB or dBFS. Requests that change data need the header `X-Earwitness` with any value.
A hub with users needs `Authorization: Bearer TOKEN`: without a valid API token it answers 401, with too low a role
403."""


class LiveView(BaseModel):
    """Liveness of the process; a restart helps if `live` is false."""

    live: bool
    reasons: list[str]


class HealthView(BaseModel):
    """Health of the hub; `ok` equals `ready`."""

    ok: bool
    live: bool
    ready: bool
    reasons: list[str]
    broker: bool
    store: bool
    events: int
    dead_letters: int
    retention: str


def create_app(parts: WebContext) -> FastAPI:
    """Create the hub's web application.

    Args:
        parts: the hub's parts; the live feed adds its worker to `parts.workers`.
    """
    feed = LiveFeed(parts)
    parts.workers.append(feed.worker)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        feed.start()
        yield

    app = FastAPI(
        title="Earwitness hub",
        version="1",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(known_parameters)])
    for resource in (
        *(events, episodes, sources, names, alerts, sensors, sensor_commands),
        *(levels, level_bands, level_comparison, level_partial, day_levels, exceedances, search, export),
    ):
        api.include_router(resource.routes(parts))
    api.include_router(live.routes(feed))
    app.include_router(api)
    _add_operator_routes(app, parts)
    pages.mount_pages(app, parts)
    answer = _ErrorAnswers(parts)
    _add_answers_to_errors(app, answer)
    web = parts.settings.web
    app.add_middleware(
        SecurityMiddleware,
        limits=RequestLimits(own_names(web.host, web.public_url, web.allowed_hosts), web.body_timeout_s),
        gate=OpenGate() if parts.access is None else LoginGate(parts.access),
        recorder=RefusalRecorder(parts.metrics.web_refusals),
        answer=answer,
    )
    return app


def _add_operator_routes(app: FastAPI, parts: WebContext) -> None:
    @app.get(
        "/healthz/live",
        response_model=LiveView,
        responses={503: {"model": LiveView, "description": "a required thread ended"}},
        tags=["operation"],
    )
    async def live() -> JSONResponse:
        """Answer 200 if the process works, 503 if a restart would help; contact no other server."""
        faults = parts.probes.faults()
        return JSONResponse({"live": not faults, "reasons": faults}, status_code=503 if faults else 200)

    def healthz() -> JSONResponse:
        """Answer 200 if the hub works: broker and store are available, events are archived; else 503 and reasons."""
        report = parts.health()
        answer = {"ok": report.ready, "ready": report.ready, **asdict(report)}
        return JSONResponse(answer, status_code=200 if report.ready else 503)

    for path, name in (("/healthz", "healthz"), ("/healthz/ready", "ready")):
        app.get(
            path,
            name=name,
            response_model=HealthView,
            responses={503: {"model": HealthView, "description": "not ready, for the reasons in `reasons`"}},
            tags=["operation"],
        )(healthz)

    @app.get("/metrics", include_in_schema=False)
    def prometheus(request: Request) -> Response:
        text, content_type = expose(parts.metrics.registry, request.headers.get("accept"))
        return Response(text, headers={"Content-Type": content_type})


class _ErrorAnswers:
    """Answers errors as JSON with the reason in `detail`, or as a page if the client asks for HTML."""

    def __init__(self, parts: WebContext) -> None:
        self._parts = parts

    def __call__(
        self, request: Request, code: int, detail: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the answer to a request that failed."""
        if pages.wants_html(request):
            return pages.error_page(self._parts, request, code, detail, dict(headers or {}))
        return JSONResponse({"detail": detail}, status_code=code, headers=headers)


def _add_answers_to_errors(app: FastAPI, answer: _ErrorAnswers) -> None:

    @app.exception_handler(UnavailableError)
    def unavailable(request: Request, error: Exception) -> Response:
        return answer(request, 503, str(error), {"Retry-After": "5"})

    @app.exception_handler(InvalidError)
    def invalid(request: Request, error: Exception) -> Response:
        return answer(request, 422, str(error))

    @app.exception_handler(RequestValidationError)
    def misunderstood(request: Request, error: RequestValidationError) -> Response:
        return answer(request, 422, format_validation_errors(error.errors()))

    @app.exception_handler(HTTPException)
    def failed(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405 and (methods := _methods(app, request.url.path)):
            headers["Allow"] = methods
        return answer(request, error.status_code, str(error.detail), headers)


def _methods(app: FastAPI, path: str) -> str:
    """Return the methods of an API path; the router reports those of the path's first route only."""
    for template, operations in app.openapi()["paths"].items():
        if compile_path(template)[0].fullmatch(path):
            return ", ".join(sorted(method.upper() for method in operations))
    return ""

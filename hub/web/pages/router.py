"""Mount all pages and static files, and render errors as pages."""

from pathlib import Path
from typing import Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from hub.web.context import WebContext
from hub.web.pages import (
    alerts,
    api_docs,
    audit,
    event,
    evidence,
    home,
    level_categories,
    level_comparison,
    levels,
    limits,
    login,
    names,
    patterns,
    search,
    sensor,
    sensors,
    settings,
    sources,
)
from hub.web.pages import (
    map as plan,
)
from hub.web.pages.rendering import PageRenderer
from hub.web.query_parameters import known_parameters

_STATIC: Final = Path(__file__).parents[1] / "static"
_TITLES: Final = {
    403: "Not allowed",
    404: "Not found",
    409: "That name is taken",
    413: "Request too large",
    422: "Invalid request",
    503: "The archive is unavailable",
}


def mount_pages(app: FastAPI, parts: WebContext) -> None:
    """Add all pages and their static files to an application."""
    shell = PageRenderer(parts)
    for page in (
        home,
        plan,
        event,
        alerts,
        patterns,
        sources,
        names,
        search,
        sensors,
        sensor,
        levels,
        evidence,
        level_categories,
        level_comparison,
        limits,
        settings,
        audit,
        login,
        api_docs,
    ):
        app.include_router(page.routes(shell), include_in_schema=False, dependencies=[Depends(known_parameters)])
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/favicon.ico", include_in_schema=False)
    @app.get("/favicon", include_in_schema=False)
    def favicon() -> FileResponse:
        return FileResponse(_STATIC / "icon.svg", headers={"Cache-Control": "max-age=86400"})


def wants_html(request: Request) -> bool:
    """Return whether a request comes from a browser that wants a page, not from a program."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def error_page(
    parts: WebContext, request: Request, code: int, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """Render an error as a page."""
    title = _TITLES.get(code, "Request failed")
    page = PageRenderer(parts).page(request, "problem.html", title=title, detail=detail, code=code)
    page.status_code = code
    page.headers.update(headers or {})
    return page

"""All pages put together, with what they load, and errors as a page."""

from pathlib import Path
from typing import Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from hub.web.context import WebContext
from hub.web.pages import (
    alerts,
    api_docs,
    event,
    home,
    names,
    patterns,
    search,
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
    404: "There is nothing here",
    409: "That name is taken",
    413: "That is too large",
    422: "That was not understood",
    503: "The archive is away",
}


def mount_pages(app: FastAPI, parts: WebContext) -> None:
    """Add all pages, and what they load, to an application."""
    shell = PageRenderer(parts)
    for page in (home, plan, event, alerts, patterns, sources, names, search, sensors, settings, api_docs):
        app.include_router(page.routes(shell), include_in_schema=False, dependencies=[Depends(known_parameters)])
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/favicon.ico", include_in_schema=False)
    @app.get("/favicon", include_in_schema=False)
    def favicon() -> FileResponse:
        return FileResponse(_STATIC / "icon.svg", headers={"Cache-Control": "max-age=86400"})


def wants_html(request: Request) -> bool:
    """Whether who asks is a person with a browser, not a program."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def error_page(
    parts: WebContext, request: Request, code: int, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """An error as a page."""
    title = _TITLES.get(code, "That did not work")
    made = PageRenderer(parts).page(request, "problem.html", title=title, detail=detail, code=code)
    made.status_code = code
    made.headers.update(headers or {})
    return made

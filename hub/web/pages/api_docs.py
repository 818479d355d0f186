"""Page that describes the API, rendered from its OpenAPI document without external resources."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.web.pages.rendering import PageRenderer


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the API's description."""
    router = APIRouter()

    @router.get("/docs")
    def reference(request: Request) -> HTMLResponse:
        document: dict[str, Any] = request.app.openapi()
        operations = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        return shell.page(request, "reference.html", about=document["info"]["description"], operations=operations)

    return router

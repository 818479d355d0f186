"""The API's description, made of its OpenAPI document, without anything from elsewhere."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.web.pages.rendering import PageRenderer


def routes(shell: PageRenderer) -> APIRouter:
    """The route of the description."""
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

"""What every answer carries and every request must keep to, around the whole application.

- Nothing from elsewhere is loaded, framed or run: a strict Content-Security-Policy.
- A request that changes something comes from the hub's own page (its `Origin` is the hub) or carries the header
  `X-Earwitness`, which no other site's page can send without being asked. Source: OWASP, cross-site request forgery.
- A request names the hub in `Host` (`hub.web.allowed_hosts`).
- A body is cut off at its cap while it arrives.
"""

from typing import Final
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.web.allowed_hosts import answered
from hub.web.search_service import UPLOAD_CAP_BYTES

HEADER: Final = "X-Earwitness"
BODY_CAP_BYTES: Final = UPLOAD_CAP_BYTES + 64 * 1024
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OTHER_HOST: Final = (
    "this hub does not answer under the name in Host: ask by its address, or add the name to web.allowed_hosts or"
    " web.public_url"
)
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityMiddleware:
    """Wraps an application.

    Args:
        app: what is wrapped.
        names: under which the hub answers; see `hub.web.allowed_hosts`.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if not answered(headers.get("host"), self._names):
            await JSONResponse({"detail": _OTHER_HOST}, status_code=421)(scope, receive, guarded)
            return
        if scope["method"] not in SAFE and not is_same_origin(headers):
            refused = f"send the header {HEADER}, or ask from the hub's own page"
            await JSONResponse({"detail": refused}, status_code=403)(scope, receive, guarded)
            return
        await self._app(scope, _capped(receive), guarded)


def is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from the hub's own page, or from a program that says so."""
    origin = headers.get("origin")
    if HEADER in headers:
        return True
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # no address
        return False


def _capped(receive: Receive) -> Receive:
    """Receive a body up to its cap."""
    taken = 0

    async def capped() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_CAP_BYTES:
            raise HTTPException(413, f"more than {UPLOAD_CAP_BYTES // 2**20} MB were sent")
        return message

    return capped

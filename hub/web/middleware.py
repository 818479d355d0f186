"""Security headers of all answers, and checks of all requests.

- A strict Content-Security-Policy forbids to load, frame or run anything from other origins. Sound may also come from
  the page's own memory (`blob:`): the page decrypts sealed sound there.
- A request that changes data must come from the hub's own page (its `Origin` is the hub) or have the header
  `X-Earwitness`. Another site's page cannot send it without a preflight request. Source: OWASP, cross-site request
  forgery.
- A request must name the hub in `Host` (`hub.web.allowed_hosts`).
- The middleware rejects a body over its cap while it arrives.
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
    "the name in Host is not a name of this hub: use the hub's address, or add the name to web.allowed_hosts or"
    " web.public_url"
)
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityMiddleware:
    """Wraps an application with security headers and request checks.

    Args:
        app: the wrapped application.
        names: names that the hub answers to; see `hub.web.allowed_hosts`.
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
            refused = f"send the header {HEADER}, or use the hub's own page"
            await JSONResponse({"detail": refused}, status_code=403)(scope, receive, guarded)
            return
        await self._app(scope, _capped(receive), guarded)


def is_same_origin(headers: Headers) -> bool:
    """Return whether a request comes from the hub's own page or has the header `X-Earwitness`."""
    origin = headers.get("origin")
    if HEADER in headers:
        return True
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # not a URL
        return False


def _capped(receive: Receive) -> Receive:
    """Wrap `receive` to reject a body over its cap."""
    taken = 0

    async def capped() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_CAP_BYTES:
            raise HTTPException(413, f"the request is larger than {UPLOAD_CAP_BYTES // 2**20} MB")
        return message

    return capped

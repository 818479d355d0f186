"""Security headers of all answers, and checks of all requests.

- A strict Content-Security-Policy forbids to load, frame or run anything from other origins. Sound may also come from
  the page's own memory (`blob:`): the page decrypts sealed sound there. A picture may be part of the page (`data:`).
- A request must name the hub in `Host` (`hub.web.allowed_hosts`).
- A path must not lead out of a folder (`..`), which no client of the hub's pages or API sends.
- A request that changes data must come from the hub's own page (its `Origin` is the hub) or have the header
  `X-Earwitness`. Another site's page cannot send it without a preflight request. Source: OWASP, cross-site request
  forgery.
- The gate admits the client, before the hub reads the body (`hub.web.gate`).
- The middleware rejects a body over its cap, and one that arrives too slowly.

Every refusal is logged and counted (`hub.web.refusals`).
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.web.access import identity_of, who_of
from hub.web.allowed_hosts import answered
from hub.web.gate import SAFE, Gate
from hub.web.refusals import Refusal, RefusalRecorder
from hub.web.search_service import UPLOAD_CAP_BYTES

HEADER: Final = "X-Earwitness"
BODY_CAP_BYTES: Final = UPLOAD_CAP_BYTES + 64 * 1024
_OTHER_HOST: Final = Refusal(
    "host",
    421,
    "the name in Host is not a name of this hub: use the hub's address, or add the name to web.allowed_hosts or"
    " web.public_url",
)
_OTHER_SITE: Final = Refusal("origin", 403, f"send the header {HEADER}, or use the hub's own page")
_OUTSIDE: Final = Refusal("path", 404, "no path of this hub has `..`")
_ON_PAGES: Final = frozenset({"role", "route"})
_OUTWARD: Final = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
_TOO_LARGE: Final = f"the request is larger than {UPLOAD_CAP_BYTES // 2**20} MB"
Answer = Callable[[Request, int, str, Mapping[str, str]], Response]
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:;"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a request must keep to.

    Attributes:
        names: names that the hub answers to; see `hub.web.allowed_hosts`.
        body_timeout_s: longest time for a body to arrive, in seconds.
    """

    names: frozenset[str]
    body_timeout_s: float


class SecurityMiddleware:
    """Wraps an application with security headers and request checks.

    Args:
        app: the wrapped application.
        limits: names of the hub, and the limits of a body.
        gate: decides which clients may proceed.
        recorder: logs and counts refused requests.
        answer: function that returns the answer to a refused request of a known client, as a page or as JSON.
    """

    def __init__(
        self, app: ASGIApp, limits: RequestLimits, gate: Gate, recorder: RefusalRecorder, answer: Answer
    ) -> None:
        self._app = app
        self._limits = limits
        self._gate = gate
        self._recorder = recorder
        self._answer = answer

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
        refusal = self._malformed(scope, headers) or await self._gate.admit(scope, headers)
        if refusal is not None:
            self._recorder.record(refusal.reason, scope, who_of(scope))
            response = refusal.answer()
            if identity_of(scope) is not None and refusal.reason in _ON_PAGES:
                response = self._answer(Request(scope), refusal.code, refusal.detail, refusal.headers)
            await response(scope, receive, guarded)
            return
        body = _Body(receive, self._limits.body_timeout_s, self._recorder, scope)
        await self._app(scope, body, self._gate.recording(scope, guarded))

    def _malformed(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Return why a request is refused for any client; None if nothing is wrong."""
        if not answered(headers.get("host"), self._limits.names):
            return _OTHER_HOST
        if _OUTWARD.search(scope["path"]):
            return _OUTSIDE
        if scope["method"] not in SAFE and not is_same_origin(headers):
            return _OTHER_SITE
        stated = headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > BODY_CAP_BYTES:
            return Refusal("size", 413, _TOO_LARGE)
        return None


def is_same_origin(headers: Headers) -> bool:
    """Return whether a request comes from the hub's own page or has the header `X-Earwitness`."""
    origin = headers.get("origin")
    if HEADER in headers:
        return True
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # not a URL
        return False


class _Body:
    """A `receive` that rejects a body over its cap, and one that arrives too slowly."""

    def __init__(self, receive: Receive, timeout_s: float, recorder: RefusalRecorder, scope: Scope) -> None:
        self._receive = receive
        self._timeout_s = timeout_s
        self._recorder = recorder
        self._scope = scope
        self._taken = 0
        self._ends_at: float | None = None
        self._complete = False

    async def __call__(self) -> Message:
        """Return the next part of the body; after the last one, wait for the client to disconnect."""
        if self._complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._ends_at = self._ends_at or now + self._timeout_s
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            self._recorder.record("slow", self._scope, who_of(self._scope))
            raise HTTPException(408, f"the body did not arrive within {self._timeout_s:g} s") from None
        self._taken += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._taken > BODY_CAP_BYTES:
            self._recorder.record("size", self._scope, who_of(self._scope))
            raise HTTPException(413, _TOO_LARGE)
        return message

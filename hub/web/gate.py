"""Decide whether a request may proceed: by its client's role, and by the table of routes.

`OpenGate` serves a hub whose pages need no login, on loopback. `LoginGate` serves all others.
"""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from hub.domain.accounts import Identity
from hub.store.audit_log import AuditAction, AuditLog
from hub.web.access import AccessControl, session_of, set_identity, set_recheck, who_of
from hub.web.refusals import Refusal, address_of
from hub.web.route_roles import PUBLIC, RouteRule, methods_of, rule_of
from shared.errors import UnavailableError

log = logging.getLogger(__name__)

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="earwitness"'}
_RULE: Final = "earwitness.rule"
_FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip")
_SAME_S: Final = 60.0
_MOST: Final = 1_000


class Gate(Protocol):
    """Decides whether requests may proceed."""

    async def admit(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Return why a request is refused; None if it may proceed."""

    def recording(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that also writes the request into the audit log if the table of routes states so."""


class OpenGate:
    """Admits any client of this machine."""

    async def admit(self, scope: Scope, headers: Headers) -> Refusal | None:  # noqa: ARG002 - see Gate
        """Refuse a request that a proxy forwards: other machines would reach pages without a login."""
        if any(name in headers for name in _FORWARDED):
            detail = (
                "a proxy forwards this request, and pages have no login: set web.users_file, and add a user with"
                " `earwitness-hub users add`"
            )
            return Refusal("proxy", 403, detail)
        return None

    def recording(self, scope: Scope, send: Send) -> Send:  # noqa: ARG002 - see Gate
        """Return `send`: the audit log needs users."""
        return send


class LoginGate:
    """Admits users with a session, and programs with an API token, by their roles.

    Args:
        access: users, tokens and sessions.
    """

    def __init__(self, access: AccessControl) -> None:
        self._access = access
        self._recent = RecentEntries()

    async def admit(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Return why a request is refused: no or bad credentials, a role that does not suffice, an unknown route."""
        rule = rule_of(scope["method"], scope["path"])
        scope[_RULE] = rule
        set_identity(scope, None)
        if rule == PUBLIC:
            return None
        try:
            identity = await self._identify(headers)
        except UnavailableError as error:
            return Refusal("unavailable", 503, str(error), {"Retry-After": "5"})
        if identity is None:
            return self._unknown(scope, headers)
        set_identity(scope, identity)
        set_recheck(scope, partial(self._is_still_admitted, headers, rule))
        return self._forbidden(scope, identity, rule)

    async def _is_still_admitted(self, headers: Headers, rule: RouteRule | None) -> bool:
        """Return whether a client may go on. While the store is unavailable, it may."""
        try:
            identity = await self._identify(headers)
        except UnavailableError:
            return True
        return identity is not None and rule is not None and (rule.role is None or identity.may(rule.role))

    def _forbidden(self, scope: Scope, identity: Identity, rule: RouteRule | None) -> Refusal | None:
        """Return why a known client may not proceed; None if it may."""
        if rule is None:
            if methods := methods_of(scope["path"]):
                return Refusal("route", 405, "method not allowed", {"Allow": ", ".join(methods)})
            return Refusal("route", 404, "not found")
        if rule.role is not None and not identity.may(rule.role):
            return Refusal("role", 403, f"this needs the role {rule.role}; yours is {identity.role}")
        return None

    async def _identify(self, headers: Headers) -> Identity | None:
        if _sends_token(headers):
            return self._access.identify_token(headers)
        text = session_of(headers)
        return await anyio.to_thread.run_sync(self._access.identify_session, text) if text else None

    def _unknown(self, scope: Scope, headers: Headers) -> Refusal:
        """Return the answer to a client without valid credentials: for a browser, the page of the login."""
        stated = _sends_token(headers) or session_of(headers) != ""
        if _wants_page(scope, headers):
            query = scope.get("query_string", b"").decode("latin-1")
            wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="/")
            return Refusal("credentials" if stated else "login", 303, "log in", {"Location": f"/login?next={wanted}"})
        if stated:
            return Refusal("credentials", 401, "the API token or the session is unknown or has expired", _BEARER)
        return Refusal("login", 401, "log in, or send an API token: Authorization: Bearer TOKEN", _BEARER)

    def recording(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that first writes the request into the audit log, if it succeeds.

        Sound and exports are not sent if the entry cannot be written.
        """
        rule: RouteRule | None = scope.get(_RULE)
        if rule is None or rule.audit is None:
            return send
        return _Recorder(self._access.audit, self._recent, rule.audit, scope, send)


class RecentEntries:
    """Entries of the last minute, so that parts of one sound, which players request one by one, make one entry."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_repeated(self, who: str, what: str, now_s: float) -> bool:
        """Return whether the same entry was made within a minute."""
        return now_s - self._times.get((who, what), -math.inf) < _SAME_S

    def note(self, who: str, what: str, now_s: float) -> None:
        """Note an entry."""
        self._times[who, what] = now_s
        self._times.move_to_end((who, what))
        while len(self._times) > _MOST:
            self._times.popitem(last=False)


class _Recorder:
    """A `send` that writes an entry of the audit log before the first part of a successful answer."""

    def __init__(self, audit: AuditLog, recent: RecentEntries, action: AuditAction, scope: Scope, send: Send) -> None:
        self._audit = audit
        self._recent = recent
        self._action: AuditAction = action
        self._scope = scope
        self._send = send
        self._withheld = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and message["status"] < 400:
            try:
                await anyio.to_thread.run_sync(self._record)
            except UnavailableError as error:
                log.error("the audit log cannot be written", extra={"reason": str(error)})  # noqa: TRY400
                if self._scope["method"] in SAFE:
                    self._withheld = True
                    refusal = Refusal("unavailable", 503, f"the audit log cannot be written: {error}")
                    await refusal.answer()(self._scope, _no_body, self._send)
        if not self._withheld:
            await self._send(message)

    def _record(self) -> None:
        who, query = who_of(self._scope), self._scope.get("query_string", b"").decode("latin-1")
        what = f"{self._scope['method']} {self._scope['path']}" + (f"?{query}" if query else "")
        now_s = time.monotonic()
        if self._action == "played" and self._recent.is_repeated(who, what, now_s):
            return
        self._audit.add(who, self._action, what, address_of(self._scope), datetime.now(UTC))
        self._recent.note(who, what, now_s)


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


def _sends_token(headers: Headers) -> bool:
    return headers.get("authorization", "").lower().startswith("bearer")


def _wants_page(scope: Scope, headers: Headers) -> bool:
    is_page = scope["method"] in SAFE and not scope["path"].startswith("/api/")
    return is_page and "text/html" in headers.get("accept", "")

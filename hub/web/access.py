"""Log users in and out, and find out which user or API token makes a request."""

import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from hub.domain.accounts import LOCAL, Identity
from hub.domain.login_attempts import LoginAttempts
from hub.runtime.passwords import fingerprint, hash_of_unknown_user, is_token, token_id_of, verify_password
from hub.store.accounts_file import AccountsFile
from hub.store.audit_log import AuditAction, AuditLog
from hub.store.sessions import Session, SessionStore
from shared.errors import InvalidError
from shared.sockets import in_url, is_loopback

COOKIE: Final = "earwitness_session"
_IDENTITY: Final = "earwitness.identity"
_RECHECK: Final = "earwitness.recheck"
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_ADD_USER: Final = "earwitness-hub users add NAME --role admin --config hub.toml"


class LoginRefusedError(Exception):
    """A login failed; `wait_s` is the time to wait after too many attempts, else 0."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__()
        self.wait_s = wait_s


def require_users(host: str, users_file: Path | None) -> None:
    """Check that pages which other machines reach need a login, and that a user can log in.

    Args:
        host: `web.host`.
        users_file: `web.users_file`.

    Raises:
        InvalidError: users are missing; the text states what to do.
        UnavailableError: the file cannot be read.
    """
    if users_file is None:
        if is_loopback(host):
            return
        raise InvalidError(
            f"web.host {in_url(host)} is not loopback, and pages have no login: set web.users_file to a file such as"
            f" /var/lib/earwitness-hub/users.json, and add a user: {_ADD_USER}"
        )
    if not AccountsFile(users_file.expanduser()).read().users:
        raise InvalidError(f"web.users_file {users_file} has no user, so that no person could log in: {_ADD_USER}")


class AccessControl:
    """Knows users, tokens and sessions; safe to use from several threads.

    Args:
        accounts: users and API tokens.
        sessions: sessions of users.
        audit: log of logins.
    """

    def __init__(self, accounts: AccountsFile, sessions: SessionStore, audit: AuditLog) -> None:
        hash_of_unknown_user()
        self.audit = audit
        self.session_s = sessions.duration_s
        self._accounts = accounts
        self._sessions = sessions
        self._attempts = LoginAttempts()
        self._lock = threading.Lock()

    def identify_token(self, headers: Headers) -> Identity | None:
        """Return the API token of a request with `Authorization: Bearer`; None if it is unknown or has expired."""
        match = _BEARER.fullmatch(headers.get("authorization", ""))
        text = match[1] if match else ""
        token = self._accounts.current().token(token_id_of(text))
        if token is None or not is_token(token, text) or not token.is_valid(datetime.now(UTC)):
            return None
        return Identity(token.name, token.role, is_token=True)

    def identify_session(self, text: str) -> Identity | None:
        """Return the user of a session; None if it has ended, or the user or the password has changed since.

        Raises:
            UnavailableError: the store is unavailable.
        """
        session = self._sessions.get(text)
        user = None if session is None else self._accounts.current().user(session.user)
        if session is None or user is None or fingerprint(user) != session.fingerprint:
            return None
        return Identity(user.name, user.role)

    def log_in(self, name: str, password: str, address: str) -> str:
        """Check a password; return the text of a new session.

        Raises:
            LoginRefusedError: name or password is wrong, or there were too many attempts.
            UnavailableError: the store is unavailable.
        """
        with self._lock:
            wait_s = self._attempts.start(address, name, time.monotonic())
        if wait_s > 0.0:
            raise LoginRefusedError(wait_s)
        user = self._accounts.current().user(name)
        if not verify_password(user, password) or user is None:
            known = "an unknown name" if user is None else user.name
            self._record("", "refused", f"login of {known}", address)
            raise LoginRefusedError
        with self._lock:
            self._attempts.succeeded(address, name)
        text = self._sessions.open(Session(user=user.name, fingerprint=fingerprint(user)))
        self._record(user.name, "login", "page", address)
        return text

    def log_out(self, text: str, address: str) -> None:
        """End a session.

        Raises:
            UnavailableError: the store is unavailable.
        """
        identity = self.identify_session(text)
        self._sessions.close(text)
        if identity is not None:
            self._record(identity.name, "logout", "page", address)

    def _record(self, who: str, action: AuditAction, what: str, address: str) -> None:
        self.audit.add(who, action, what, address, datetime.now(UTC))


def session_of(headers: Headers) -> str:
    """Return the text of the session that a request sends; "" if it sends none."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def set_identity(scope: MutableMapping[str, Any], identity: Identity | None) -> None:
    """Note which client makes a request; None if it is unknown."""
    scope[_IDENTITY] = identity


def identity_of(scope: Mapping[str, Any]) -> Identity | None:
    """Return the client of a request: None if it is unknown, `LOCAL` where pages need no login."""
    found: Identity | None = scope.get(_IDENTITY, LOCAL)
    return found


def set_recheck(scope: MutableMapping[str, Any], recheck: Callable[[], Awaitable[bool]]) -> None:
    """Note how a request that lasts finds out whether its client may still make it."""
    scope[_RECHECK] = recheck


async def is_still_admitted(scope: Mapping[str, Any]) -> bool:
    """Return whether a request would still be admitted: its session or token may have ended, or its role changed."""
    recheck: Callable[[], Awaitable[bool]] | None = scope.get(_RECHECK)
    return recheck is None or await recheck()


def who_of(scope: Mapping[str, Any]) -> str:
    """Return the name of a request's client, for logs; "" if it is unknown or pages need no login."""
    identity = identity_of(scope)
    return "" if identity is None else identity.who


def author_of(scope: Mapping[str, Any], stated: str) -> str:
    """Return the author of a verdict or a name: the user or token; where pages need no login, the stated name."""
    return who_of(scope) or stated

"""Login and logout of users."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from hub.domain.accounts import PASSWORD_MAX
from hub.web.access import COOKIE, AccessControl, LoginRefusedError, session_of
from hub.web.pages.rendering import PageRenderer
from hub.web.refusals import RefusalRecorder, address_of
from shared.errors import InvalidError

_SEE_OTHER: Final = 303
_WRONG: Final = "Name or password is wrong."


def routes(shell: PageRenderer) -> APIRouter:
    """Return the routes of login and logout."""
    router = APIRouter()
    parts = shell.parts
    recorder = RefusalRecorder(parts.metrics.web_refusals)

    @router.get("/login", response_model=None)
    def form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the parameter's usual name
        if parts.access is None:
            return RedirectResponse("/", status_code=_SEE_OTHER)
        return shell.page(request, "login.html", next=_local(next), failure="")

    @router.post("/login", response_model=None)
    def log_in(
        request: Request,
        name: Annotated[str, Form(max_length=64)],
        password: Annotated[str, Form(max_length=4 * PASSWORD_MAX)],
        next: Annotated[str, Form(max_length=2_048)] = "/",  # noqa: A002
    ) -> Response:
        access = _enabled(parts.access)
        try:
            session = access.log_in(name.strip(), password, address_of(request.scope))
        except LoginRefusedError as error:
            recorder.record("attempts" if error.wait_s else "credentials", request.scope)
            minutes = max(1, round(error.wait_s / 60))
            failure = f"Too many attempts: try again in {minutes} min." if error.wait_s else _WRONG
            page = shell.page(request, "login.html", next=_local(next), failure=failure)
            page.status_code = 429 if error.wait_s else 401
            if error.wait_s:
                page.headers["Retry-After"] = str(round(error.wait_s))
            return page
        answer = RedirectResponse(_local(next), status_code=_SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=round(access.session_s),
            httponly=True,
            samesite="lax",
            secure=_is_encrypted(request, parts.settings.web.public_url),
        )
        return answer

    @router.post("/logout")
    def log_out(request: Request) -> Response:
        access = _enabled(parts.access)
        access.log_out(session_of(request.headers), address_of(request.scope))
        answer = RedirectResponse("/login", status_code=_SEE_OTHER)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    return router


def _enabled(access: AccessControl | None) -> AccessControl:
    if access is None:
        raise InvalidError("pages need no login on this hub: web.users_file is not set")
    return access


def _local(path: str) -> str:
    """Return a path of this hub; "/" for an address of another site."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    is_local = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() else "/"


def _is_encrypted(request: Request, public_url: str) -> bool:
    """Return whether a browser reaches the hub by TLS, itself or by a proxy."""
    public = urlsplit(public_url)
    return request.url.scheme == "https" or (
        public.scheme == "https" and public.netloc == request.headers.get("host")
    )

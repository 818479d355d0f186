"""Page of the audit log, for admins."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hub.store.audit_log import AUDIT_ACTIONS, AuditEntry
from hub.web.pages.rendering import PageRenderer
from shared.errors import InvalidError

_ROWS: Final = 100


def routes(shell: PageRenderer) -> APIRouter:
    """Return the route of the audit log."""
    router = APIRouter()
    parts = shell.parts

    @router.get("/audit")
    def audit(request: Request, after: str = "", who: str = "", action: str = "") -> HTMLResponse:
        if action and action not in AUDIT_ACTIONS:
            raise InvalidError(f"unknown action {action!r}; use one of {', '.join(AUDIT_ACTIONS)}")
        entries: list[AuditEntry] = []
        following = ""
        if parts.access is not None:
            entries, following = parts.access.audit.entries(limit=_ROWS, before=after, who=who, action=action)
        return shell.page(
            request,
            "audit.html",
            entries=entries,
            next=following,
            who=who,
            action=action,
            actions=AUDIT_ACTIONS,
            enabled=parts.access is not None,
            days=parts.settings.web.audit_days,
        )

    return router

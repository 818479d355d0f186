"""Entries of the audit log about what commands did."""

from datetime import UTC, datetime, timedelta

from hub.settings import HubSettings
from hub.store.audit_log import AuditAction, AuditLog
from hub.store.events import EventStore

WHO = "command"


def record(settings: HubSettings, archive: EventStore, action: AuditAction, what: str) -> None:
    """Add what a command did to the audit log.

    Raises:
        UnavailableError: the store does not answer.
    """
    log = AuditLog(archive.client, settings.hub.name, timedelta(days=settings.web.audit_days))
    log.add(WHO, action, what, "", datetime.now(UTC))

"""The audit log: who logged in, played or exported sound and data, changed or erased them.

A Redis stream, to which hubs only append. Redis gives each entry its time. Entries older than the retention are
removed when a new one is added.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from hub.domain.records import to_ms
from hub.store import keys
from hub.store.client import raises_unavailable

AuditAction = Literal["played", "exported", "changed", "erased", "login", "logout", "refused"]
AUDIT_ACTIONS: Final[tuple[AuditAction, ...]] = get_args(AuditAction)
_BATCH: Final = 500
_LONGEST: Final = 400


class AuditEntry(BaseModel):
    """An entry of the audit log.

    `who` is a user, or `token:` and the name of an API token; empty if unknown. `what` names the request, or
    the refused login. `address` is that of the client. A field that an entry lacks is empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: datetime
    who: str = ""
    action: str = ""
    what: str = ""
    address: str = ""
    hub: str = ""


class AuditLog:
    """The audit log, which all hubs of a store share; safe to use from several threads.

    Args:
        client: of the store.
        hub: name of this hub.
        retention: time for which entries are kept.
    """

    def __init__(self, client: Any, hub: str, retention: timedelta) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._hub = hub
        self._retention = retention

    @raises_unavailable
    def add(self, who: str, action: AuditAction, what: str, address: str, now: datetime) -> None:
        """Append an entry; its time is that of Redis. `now` decides which entries have expired."""
        row = {"who": who, "action": action, "what": what[:_LONGEST], "address": address, "hub": self._hub}
        oldest = max(0, to_ms(now - self._retention))
        self._redis.xadd(keys.AUDIT, row, minid=f"{oldest}-0", approximate=True)

    def entries(
        self, *, limit: int, before: str = "", who: str = "", action: str = ""
    ) -> tuple[list[AuditEntry], str]:
        """Return the newest entries, newest first, and the position for the next page; "" if there is none.

        Args:
            limit: most entries to return.
            before: position from which to continue; "" for the newest.
            who: only entries of this user or token; "" for all.
            action: only entries of this action; "" for all.

        Raises:
            UnavailableError: the store is unavailable.
        """
        found: list[AuditEntry] = []
        position = ""
        for position, entry in self._newest_first(before):
            if (not who or entry.who == who) and (not action or entry.action == action):
                found.append(entry)
            if len(found) == limit:
                return found, position
        return found, ""

    def _newest_first(self, before: str) -> Iterator[tuple[str, AuditEntry]]:
        while True:
            rows = self._read(f"({before}" if before else "+")
            for position, row in rows:
                before = position.decode()
                at = datetime.fromtimestamp(int(before.partition("-")[0]) / 1000, UTC)
                fields = {
                    name.decode(errors="replace"): value.decode(errors="replace") for name, value in row.items()
                }
                yield before, AuditEntry.model_validate({**fields, "at": at})
            if len(rows) < _BATCH:
                return

    @raises_unavailable
    def _read(self, upper: str) -> list[Any]:
        return list(self._redis.xrevrange(keys.AUDIT, upper, "-", count=_BATCH))

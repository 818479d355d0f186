"""Alerts in the store."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from hub.domain.records import to_ms
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.rows import Rows
from shared.messages.alert import AlertMessage

_AT_ONCE: Final = 1_000
"""Alerts that are read in one round trip."""


class AlertStore:
    """Alerts in the store; safe to use from several threads.

    Args:
        client: of the store.
        rows: leaves out what cannot be read.
    """

    def __init__(self, client: Any, rows: Rows) -> None:  # noqa: ANN401 - the client is untyped
        self._redis = client
        self._rows = rows

    def queue(self, pipe: Any, alert: AlertMessage) -> None:  # noqa: ANN401
        """Queue the commands that keep an alert, and that have it dispatched."""
        pipe.set(keys.alert(alert.event), alert.model_dump_json())
        pipe.zadd(keys.ALERTS, {alert.event: to_ms(alert.captured_at)})
        pipe.xadd(keys.ALERTS_PENDING, {"event": alert.event})

    @raises_unavailable
    def newest(self, *, limit: int = 50, before: datetime | None = None) -> list[AlertMessage]:
        """Return the newest alerts, newest first.

        Args:
            limit: most alerts returned.
            before: only alerts about events captured before this time.
        """
        upper = "+inf" if before is None else f"({to_ms(before)}"
        return self._read(self._redis.zrevrangebyscore(keys.ALERTS, upper, "-inf", start=0, num=limit))

    @raises_unavailable
    def between(self, since: datetime, until: datetime, places: Collection[str]) -> list[AlertMessage]:
        """Return the alerts of some sensors from a time until before another, the oldest first.

        An alert that the index names and the store lacks is left out and counted, as one that cannot be read.

        Args:
            since: capture time of the first.
            until: end.
            places: the sensors, each `site/sensor`.
        """
        ids = self._redis.zrangebyscore(keys.ALERTS, to_ms(since), f"({to_ms(until)}")
        own = [key for key in ids if _place_of(key) in places]
        found: list[AlertMessage] = []
        for start in range(0, len(own), _AT_ONCE):
            found += self._read(own[start : start + _AT_ONCE], missing=True)
        return found

    @raises_unavailable
    def get(self, event: str) -> AlertMessage | None:
        """Return the alert of one event, or None."""
        return next(iter(self._read([event.encode()])), None)

    @raises_unavailable
    def fetch(self, events: Sequence[str]) -> list[AlertMessage]:
        """Return the alerts of some events, in their order; events without an alert are left out."""
        return self._read([event.encode() for event in events])

    @raises_unavailable
    def count(self) -> int:
        """Return the number of alerts."""
        return int(self._redis.zcard(keys.ALERTS))

    def _read(self, ids: list[bytes], *, missing: bool = False) -> list[AlertMessage]:
        """Return the alerts of some events; count those that the store lacks if `missing`."""
        if not ids:
            return []
        rows = self._redis.mget([keys.alert(key.decode()) for key in ids])
        if missing:
            rows = [b"" if row is None else row for row in rows]  # which cannot be read
        read = (
            self._rows.read("alert", key.decode(), AlertMessage.model_validate_json, row)
            for key, row in zip(ids, rows, strict=True)
        )
        return [alert for alert in read if alert is not None]


def _place_of(event: bytes) -> str:
    """Return `site/sensor` of the id of an event."""
    return "/".join(event.decode(errors="replace").split(".")[:2])

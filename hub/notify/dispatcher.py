"""Complete each new alert, store it, and put it into the outboxes of the channels that want it.

The archive puts the id of each new alert into a stream. The dispatcher takes the id, enriches the alert and replaces
the stored one. One Lua call writes the alert, puts it into the outboxes and removes the id. A crash before the call
changes nothing, and of two hubs with the same alert only one dispatches it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import ValidationError

from hub.notify.outbox import EVENTS, Outbox
from hub.store import keys
from hub.store.client import raises_unavailable
from hub.store.consumer_group import ConsumerGroup, Entry
from shared.errors import InvalidError, UnavailableError
from shared.messages.alert import AlertMessage
from shared.worker import Worker

log = logging.getLogger(__name__)

MQTT: Final = "mqtt"
"""Name of the MQTT channel, which is always enabled."""
_CONSUMER_GROUP: Final = "publishers"
_AT_ONCE: Final = 64
_WAIT_S: Final = 0.2
_MANY: Final = 8
"""Alerts taken at once from which on the dispatcher rests: more are likely to come."""
_REST: Final = 3.0
"""Time rested, as a multiple of the time worked: further alerts gather, and intake of events goes on beside it."""
_LEFT_OVER_EVERY_S: Final = 30.0

_DISPATCH: Final = """
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
if not redis.call('SET', KEYS[2], ARGV[4], 'XX') then return 0 end
for i = 4, #KEYS do
  redis.call('XADD', KEYS[i], '*', ARGV[5], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[i + 2])
end
return 1
"""


class Enrichment(Protocol):
    """Enriches alerts before they are dispatched."""

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Return the alerts with recurrence, source and more; it may be called again for the same alert.

        Raises:
            UnavailableError: Redis does not answer; the dispatcher tries again.
        """
        ...


class NoEnrichment:
    """Leaves alerts as the store has them."""

    def enrich(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Return the alerts unchanged."""
        return list(alerts)


@dataclass(frozen=True, slots=True)
class Route:
    """An outbox, and a predicate of the alerts for it."""

    outbox: Outbox
    wants: Callable[[AlertMessage], bool] = lambda _alert: True


class AlertDispatcher:
    """Enriches alerts and dispatches them to outboxes, on its own thread.

    Args:
        client: Redis client.
        hub: name of this hub, which claims alerts under it.
        addresses: outboxes and their predicates.
        enrichment: enriches alerts; after any error but `UnavailableError` the dispatcher dispatches the alert
            unchanged. None: no enrichment.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the client is untyped
        *,
        hub: str,
        addresses: Sequence[Route],
        enrichment: Enrichment | None = None,
    ) -> None:
        self._client = client
        self._hub = hub
        self._addresses = addresses
        self._enrichment = enrichment or NoEnrichment()
        self._due = ConsumerGroup(client, keys.ALERTS_PENDING, _CONSUMER_GROUP)
        self._dispatch = client.register_script(_DISPATCH)
        self._look_at = 0.0
        self.worker = Worker("dispatcher", self._work, failed=lambda _error: self._claim_again())

    def start(self) -> None:
        """Start dispatching."""
        self.worker.start()

    def stop(self) -> None:
        """Stop; this hub dispatches the remaining alerts after its next start, or another hub does."""
        self.worker.stop()

    def _work(self) -> float:
        entries = self._take(_WAIT_S)
        began_s = time.monotonic()
        self._dispatch_all(entries)
        return _REST * (time.monotonic() - began_s) if len(entries) >= _MANY else 0.0

    def _claim_again(self) -> None:
        """Claim again, in the next round, the alerts that were claimed and not dispatched."""
        self._look_at = 0.0

    def dispatch_batch(self) -> int:
        """Dispatch pending alerts.

        Returns:
            Number of alerts taken from the stream.

        Raises:
            UnavailableError: Redis does not answer; no alert is lost.
        """
        entries = self._take(0.0)
        self._dispatch_all(entries)
        return len(entries)

    @raises_unavailable
    def _take(self, wait_s: float) -> list[Entry]:
        """Claim pending alerts; wait at most `wait_s` seconds for the first."""
        left_over = time.monotonic() >= self._look_at
        entries = self._due.take(self._hub, limit=_AT_ONCE, wait_s=wait_s, left_over=left_over)
        if left_over and len(entries) < _AT_ONCE:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        return entries

    @raises_unavailable
    def _dispatch_all(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        events = [fields.get(b"event", b"").decode(errors="replace") for _, fields in entries]
        rows = self._client.mget([keys.alert(event) for event in events])
        alerts = [None if row is None else _alert_of(event, row) for event, row in zip(events, rows, strict=True)]
        enriched = iter(self._enriched([alert for alert in alerts if alert is not None]))
        gone: list[str] = []
        with self._client.pipeline(transaction=False) as pipe:  # each script call is atomic by itself
            for (name, _), event, stored in zip(entries, events, alerts, strict=True):
                alert = None if stored is None else next(enriched)
                if alert is None:
                    gone.append(name)
                    continue
                outboxes = [address.outbox for address in self._addresses if address.wants(alert)]
                self._dispatch(
                    keys=[
                        keys.ALERTS_PENDING,
                        keys.alert(event),
                        keys.OUTBOXES,
                        *(outbox.key for outbox in outboxes),
                    ],
                    args=[
                        *(_CONSUMER_GROUP, name, event, alert.model_dump_json(), EVENTS),
                        *(outbox.name for outbox in outboxes),
                    ],
                    client=pipe,
                )
            if gone:
                self._due.done(pipe, gone)
            pipe.execute()

    def _enriched(self, alerts: Sequence[AlertMessage]) -> list[AlertMessage]:
        """Enrich alerts together; each alone if that fails, so that one alert does not change the others."""
        if not alerts:
            return []
        try:
            return self._enrichment.enrich(alerts)
        except UnavailableError:
            raise
        except Exception as error:  # our bug, or an invalid row; an incomplete alert is better than none
            if len(alerts) > 1:
                return [enriched for alert in alerts for enriched in self._enriched([alert])]
            extra = {"event": alerts[0].event, "reason": f"{type(error).__name__}: {error}"}
            log.warning("alert sent without enrichment", extra=extra, exc_info=not isinstance(error, InvalidError))
        return list(alerts)


def _alert_of(event: str, row: bytes) -> AlertMessage | None:
    try:
        return AlertMessage.model_validate_json(row)
    except ValidationError as error:  # written by another version of this program; the archive keeps it
        log.error("alert cannot be read", extra={"event": event, "faults": error.error_count()})  # noqa: TRY400
        return None


def unpublished_alert_count(client: Any) -> int:  # noqa: ANN401
    """Return the number of alerts that the broker does not have yet: pending ones, and those in the MQTT outbox."""
    with client.pipeline(transaction=False) as pipe:  # a full store refuses transactions
        pipe.xlen(keys.ALERTS_PENDING)
        pipe.xlen(Outbox(client, MQTT).key)
        return sum(pipe.execute())

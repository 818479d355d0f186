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

    def enrich(self, alert: AlertMessage) -> AlertMessage:
        """Return the alert with recurrence, source and more; it may be called again for the same alert.

        Raises:
            UnavailableError: Redis does not answer; the dispatcher tries again.
        """
        ...


class NoEnrichment:
    """Leaves alerts as the store has them."""

    def enrich(self, alert: AlertMessage) -> AlertMessage:
        """Return the alert unchanged."""
        return alert


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
        self.dispatch_batch(_WAIT_S)
        return 0.0

    def _claim_again(self) -> None:
        """Claim again, in the next round, the alerts that were claimed and not dispatched."""
        self._look_at = 0.0

    @raises_unavailable
    def dispatch_batch(self, wait_s: float = 0.0) -> int:
        """Dispatch pending alerts; wait at most `wait_s` seconds for the first.

        Returns:
            Number of alerts taken from the stream.

        Raises:
            UnavailableError: Redis does not answer; no alert is lost.
        """
        left_over = time.monotonic() >= self._look_at
        entries = self._due.take(self._hub, limit=_AT_ONCE, wait_s=wait_s, left_over=left_over)
        if left_over and len(entries) < _AT_ONCE:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        if entries:
            self._dispatch_all(entries)
        return len(entries)

    def _dispatch_all(self, entries: Sequence[Entry]) -> None:
        events = [fields.get(b"event", b"").decode(errors="replace") for _, fields in entries]
        rows = self._client.mget([keys.alert(event) for event in events])
        gone: list[str] = []
        with self._client.pipeline(transaction=False) as pipe:  # each script call is atomic by itself
            for (name, _), event, row in zip(entries, events, rows, strict=True):
                alert = None if row is None else self._enriched(event, row)
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

    def _enriched(self, event: str, row: bytes) -> AlertMessage | None:
        try:
            alert = AlertMessage.model_validate_json(row)
        except ValidationError as error:  # written by another version of this program; the archive keeps it
            log.error("alert cannot be read", extra={"event": event, "faults": error.error_count()})  # noqa: TRY400
            return None
        try:
            return self._enrichment.enrich(alert)
        except InvalidError as error:
            log.warning("alert sent without enrichment", extra={"event": event, "reason": str(error)})
        except UnavailableError:
            raise
        except Exception:  # our bug; an incomplete alert is better than none
            log.exception("alert sent without enrichment", extra={"event": event})
        return alert


def unpublished_alert_count(client: Any) -> int:  # noqa: ANN401
    """Return the number of alerts that the broker does not have yet: pending ones, and those in the MQTT outbox."""
    with client.pipeline(transaction=False) as pipe:  # a full store refuses transactions
        pipe.xlen(keys.ALERTS_PENDING)
        pipe.xlen(Outbox(client, MQTT).key)
        return sum(pipe.execute())

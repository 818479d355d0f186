"""From an alert that was raised to those who are to be told: completed, kept, and put into their outboxes.

The archive puts each new alert's id into a stream. Here it is taken, what is worth knowing beside it is looked up,
and the completed alert replaces the first one. One Lua call writes it, puts it into every outbox that wants it and
removes the id: a hub that dies before has done nothing, after it everything; and of two hubs that come to the same
alert only one hands it on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from hub.notify.outbox import EVENTS, Outbox
from hub.store import keys
from hub.store.consumer_group import ConsumerGroup, Entry
from hub.store.events import translated
from shared.errors import InvalidError, UnavailableError
from shared.messages import AlertMessage
from shared.worker import Worker

log = logging.getLogger(__name__)

MQTT: Final = "mqtt"
"""The name of the way that is always there."""
_TELLERS: Final = "publishers"
_AT_ONCE: Final = 64
_WAIT_S: Final = 0.2
_LEFT_OVER_EVERY_S: Final = 30.0

_HAND_ON: Final = """
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
if not redis.call('SET', KEYS[2], ARGV[4], 'XX') then return 0 end
for i = 4, #KEYS do
  redis.call('XADD', KEYS[i], '*', ARGV[5], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[i + 2])
end
return 1
"""

Complete = Callable[[AlertMessage], AlertMessage]


def identity(alert: AlertMessage) -> AlertMessage:
    """The alert, with nothing looked up."""
    return alert


@dataclass(frozen=True, slots=True)
class Route:
    """An outbox, and which alerts are for it."""

    outbox: Outbox
    wants: Callable[[AlertMessage], bool] = lambda _alert: True


class AlertDispatcher:
    """Completes alerts and hands them on, in a thread of its own.

    Args:
        client: the store's client.
        hub: name of this hub, in whose name alerts are taken.
        addresses: who may be told.
        complete: adds what is worth knowing; may be called again for the same alert. If it raises `Unavailable`, it
            is tried again; if anything else, the alert is told as it is.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the client is untyped
        *,
        hub: str,
        addresses: Sequence[Route],
        complete: Complete = identity,
    ) -> None:
        self._client = client
        self._hub = hub
        self._addresses = addresses
        self._complete = complete
        self._due = ConsumerGroup(client, keys.ALERTS_PENDING, _TELLERS)
        self._hand_on = client.register_script(_HAND_ON)
        self._look_at = 0.0
        self.worker = Worker("teller", self._work, failed=lambda _error: self._look_again())

    def start(self) -> None:
        """Begin to hand alerts on."""
        self.worker.start()

    def stop(self) -> None:
        """End; what was not handed on by then waits for the next start, or for another hub."""
        self.worker.stop()

    def _work(self) -> float:
        self.dispatch_batch(_WAIT_S)
        return 0.0

    def _look_again(self) -> None:
        """Take what was taken and not handed on: it is left over."""
        self._look_at = 0.0

    @translated
    def dispatch_batch(self, wait_s: float = 0.0) -> int:
        """Hand on what is due, waiting a while for the first.

        Returns:
            How many alerts were taken.

        Raises:
            Unavailable: the store is away; nothing is lost.
        """
        left_over = time.monotonic() >= self._look_at
        entries = self._due.take(self._hub, limit=_AT_ONCE, wait_s=wait_s, left_over=left_over)
        if left_over and len(entries) < _AT_ONCE:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        if entries:
            self._hand_all_on(entries)
        return len(entries)

    def _hand_all_on(self, entries: Sequence[Entry]) -> None:
        events = [fields.get(b"event", b"").decode(errors="replace") for _, fields in entries]
        rows = self._client.mget([keys.alert(event) for event in events])
        gone: list[str] = []
        with self._client.pipeline(transaction=False) as pipe:  # each alert by itself is whole
            for (name, _), event, row in zip(entries, events, rows, strict=True):
                alert = None if row is None else self._completed(event, row)
                if alert is None:
                    gone.append(name)
                    continue
                outboxes = [address.outbox for address in self._addresses if address.wants(alert)]
                self._hand_on(
                    keys=[
                        keys.ALERTS_PENDING,
                        keys.alert(event),
                        keys.OUTBOXES,
                        *(outbox.key for outbox in outboxes),
                    ],
                    args=[
                        *(_TELLERS, name, event, alert.model_dump_json(), EVENTS),
                        *(outbox.name for outbox in outboxes),
                    ],
                    client=pipe,
                )
            if gone:
                self._due.done(pipe, gone)
            pipe.execute()

    def _completed(self, event: str, row: bytes) -> AlertMessage | None:
        try:
            alert = AlertMessage.model_validate_json(row)
        except ValidationError as error:  # written by another version of this program; the archive keeps it
            log.error("alert cannot be read", extra={"event": event, "faults": error.error_count()})  # noqa: TRY400
            return None
        try:
            return self._complete(alert)
        except InvalidError as error:
            log.warning("alert told as it is", extra={"event": event, "reason": str(error)})
        except UnavailableError:
            raise
        except Exception:  # our bug; but an alert that is told without what belongs to it is better than none
            log.exception("alert told as it is", extra={"event": event})
        return alert


def unpublished_alert_count(client: Any) -> int:  # noqa: ANN401
    """How many alerts the broker does not have yet: those due, and those on their way to it."""
    with client.pipeline(transaction=False) as pipe:  # a full store refuses transactions
        pipe.xlen(keys.ALERTS_PENDING)
        pipe.xlen(Outbox(client, MQTT).key)
        return sum(pipe.execute())

"""Brings one notifier what is in its outbox, in order, in a thread of its own: whoever hangs delays nobody else.

1. What is held back becomes one message when a digest is due.
2. Messages are taken from the outbox. Before each attempt it is asked anew whether it must be held back.
3. A message that fails is kept and tried again, after a wait with full jitter or for as long as the receiver asks;
   those behind it wait, so that the order stays. If it fails again and again they are tried too: the fault may be
   the message's.
4. A message is a dead letter once the receiver refuses it for good, or once it waited for too long.
"""

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from hub.domain.delivery_policy import DeliveryPolicy, failures_allowed, is_expired
from hub.metrics.definitions import HubMetrics
from hub.notify.channels.protocol import Channel, RetryAfterError
from hub.notify.outbox import Notification, Outbox
from hub.notify.rendering import MessageRenderer
from shared.backoff import full_jitter
from shared.errors import InvalidError, UnavailableError
from shared.worker import Worker

log = logging.getLogger(__name__)

RETRY_CAP_S: Final = 60.0
AT_ONCE: Final = 32
"""Most messages taken and not done with."""
_WAIT_S: Final = 0.5
_LEFT_OVER_EVERY_S: Final = 20.0
_IDLE_S: Final = 120.0
"""Longer than one attempt may take: what is under way here is no other hub's."""
_GRACE_S: Final = 2.0
"""How long a hub that stops waits for an answer that is under way; the message is sent again after the next start."""
OUTCOMES: Final = ("sent", "retried", "held", "dead")


class DeliveryWorker:
    """Delivers to one notifier.

    Args:
        outbox: its.
        notifier: who is told.
        rules: what, and when.
        wording: makes the texts.
        hub: name of this hub, in whose name messages are taken.
        metrics: counters.
        expire_after_s: after so long a message that cannot be sent becomes a dead letter, in seconds.
        retry_cap_s: longest wait between attempts, unless the receiver asks for more.
        now: the time, UTC.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        notifier: Channel,
        rules: DeliveryPolicy,
        wording: MessageRenderer,
        hub: str,
        metrics: HubMetrics,
        expire_after_s: float,
        retry_cap_s: float = RETRY_CAP_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._outbox = outbox
        self._notifier = notifier
        self._rules = rules
        self._wording = wording
        self._hub = hub
        self._outcomes = {name: metrics.notifications.labels(outbox.name, name) for name in OUTCOMES}
        self._expire_after_s = expire_after_s
        self._retry_cap_s = retry_cap_s
        self._now = now
        self._in_flight: dict[str, Notification] = {}
        self._sent: list[Notification] = []  # which the outbox is still to be told
        self._look_at = 0.0
        self._attempt = 0
        self.worker = Worker(
            f"courier-{outbox.name}", lambda: self.deliver_pending(_WAIT_S), failed=lambda _error: self._take_again()
        )

    def start(self) -> None:
        """Begin to deliver."""
        self.worker.start()

    def request_stop(self) -> None:
        """Begin no further attempt."""
        self.worker.wind_down()

    def stop(self) -> None:
        """End; what is not delivered by then is delivered after the next start, or by another hub."""
        self.worker.stop(_GRACE_S)

    def _take_again(self) -> None:
        """Drop the messages that were taken; the outbox keeps them, and they are taken again."""
        self._in_flight, self._look_at = {}, 0.0

    def deliver_pending(self, wait_s: float = 0.0) -> float:
        """Take what there is and try to deliver it, in order.

        Args:
            wait_s: how long to wait for the first message, if there is none in hand, in seconds.

        Returns:
            How long to wait until the next round, in seconds.

        Raises:
            Unavailable: the store is away.
        """
        self._note_sent()
        if self._rules.digest_due(self._outbox.held_since(), self._now()):
            self._outbox.flush_digest()
        self._take(wait_s)
        failed, first_tries, after_s = 0, 0, 0.0
        for message in list(self._in_flight.values()):
            if self.worker.stopping.is_set():
                break
            problem = self._deliver(message)
            if problem is None:
                self._attempt = 0 if not failed else self._attempt
                continue
            reason, tries = problem
            first_tries = first_tries or tries
            failed += 1
            after_s = max(after_s, reason.after_s if isinstance(reason, RetryAfterError) else 0.0)
            if failed >= failures_allowed(first_tries):
                break
        return max(after_s, self._back_off()) if failed else 0.0

    def _back_off(self) -> float:
        self._attempt += 1
        return full_jitter(self._attempt, self._retry_cap_s, random.random)

    def _take(self, wait_s: float) -> None:
        left_over = time.monotonic() >= self._look_at
        room = AT_ONCE - len(self._in_flight)
        if not left_over and room <= 0:
            return
        found = self._outbox.claim(
            self._hub,
            limit=AT_ONCE if left_over else room,  # what is in hand is left over too
            wait_s=0.0 if self._in_flight else wait_s,
            left_over=left_over,
            idle_s=_IDLE_S,
        )
        if left_over:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        for message in found:
            self._in_flight.setdefault(message.name, message)

    def _deliver(self, message: Notification) -> tuple[UnavailableError, int] | None:
        """Send a message, hold it or give it up; what failed, and how often by now, if it must be tried again."""
        now = self._now()
        if not self._outbox.extend_lease(self._hub, message.name):  # another hub's by now, or done
            del self._in_flight[message.name]
            return None
        if self._rules.should_defer(message.alerts, now, self._outbox.sent_last_24h(now), digest=message.digest):
            self._outbox.defer_to_digest(message, now)
            self._finish(message, "held", len(message.alerts))
            return None
        try:
            self._notifier.send(message.alerts, self._wording.text(message.alerts, digest=message.digest))
        except InvalidError as error:
            self._give_up(message, str(error), self._outbox.note_failure(message.name, str(error), now))
            return None
        except UnavailableError as error:
            return self._failed(message, error)
        except Exception as error:  # a defect, of a message or of a library: it may stop no other message
            log.exception("notifier failed", extra={"notifier": self._outbox.name})
            return self._failed(message, UnavailableError(f"unexpected error: {type(error).__name__}"))
        self._sent.append(message)
        self._finish(message, "sent")
        self._note_sent()
        return None

    def _note_sent(self) -> None:
        """Tell the outbox what was sent; if the store is away just then, before anything is taken from it again."""
        for message in list(self._sent):
            self._outbox.ack([message.name], told=() if message.digest else message.events, at=self._now())
            self._sent.remove(message)
            log.info("alerts told", extra={"notifier": self._outbox.name, "alerts": " ".join(message.events)})

    def _failed(self, message: Notification, error: UnavailableError) -> tuple[UnavailableError, int] | None:
        now = self._now()
        tries = self._outbox.note_failure(message.name, str(error), now)
        self._outcomes["retried"].inc()
        log.warning(
            "notification failed",
            extra={"notifier": self._outbox.name, "reason": str(error), "attempts": tries},
        )
        if is_expired(message.put_at, now, self._expire_after_s):
            self._give_up(message, f"given up after {tries} attempts: {error}", tries)
            return None
        return error, tries

    def _give_up(self, message: Notification, reason: str, tries: int) -> None:
        log.error(
            "notification given up",
            extra={"notifier": self._outbox.name, "alerts": message.events, "reason": reason},
        )
        self._outbox.move_to_dead_letters(message, reason, tries)
        self._finish(message, "dead")

    def _finish(self, message: Notification, outcome: str, count: int = 1) -> None:
        del self._in_flight[message.name]
        self._outcomes[outcome].inc(count)

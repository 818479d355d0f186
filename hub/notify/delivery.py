"""Deliver one channel's outbox in order, on its own thread, so that a slow receiver does not block other channels.

1. When a digest is due, the worker combines the held alerts into one message.
2. The worker claims messages from the outbox. Before each attempt it checks whether the policy holds the message.
3. The worker retries a failed message, after a wait with full jitter or after the time that the receiver asks for.
   Later messages wait, to keep the order. After repeated failures the worker tries them too, as the message itself
   may be the cause.
4. A message becomes a dead letter when the receiver rejects it for good, or when it expires.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hub.domain.delivery_policy import DeliveryPolicy, failures_allowed, is_expired
from hub.metrics.definitions import HubMetrics
from hub.notify.channels.protocol import Channel, RetryAfterError
from hub.notify.outbox import Notification, Outbox
from hub.notify.rendering import MessageRenderer
from hub.runtime.clock import utc_now
from shared.backoff import full_jitter
from shared.errors import InvalidError, UnavailableError
from shared.worker import Worker

log = logging.getLogger(__name__)

RETRY_CAP_S: Final = 60.0
AT_ONCE: Final = 32
"""Maximum number of messages claimed and not finished."""
_WAIT_S: Final = 0.5
_LEFT_OVER_EVERY_S: Final = 20.0
_IDLE_S: Final = 120.0
"""Lease of a message, longer than one attempt: no other hub claims a message in flight."""
_GRACE_S: Final = 2.0
"""Time that a stopping hub waits for a pending answer, in seconds; without one, it sends the message again later."""
OUTCOMES: Final = ("sent", "retried", "held", "dead")


@dataclass(frozen=True, slots=True)
class ConfiguredChannel:
    """A channel of the settings.

    Attributes:
        name: unique name of the channel.
        kind: `kind` of its settings (`hub.settings.notify`).
        notifier: sends the messages.
        rules: which messages are sent now, held or dropped.
        wording: renders the texts.
    """

    name: str
    kind: str
    notifier: Channel
    rules: DeliveryPolicy
    wording: MessageRenderer


@dataclass(frozen=True, slots=True)
class DeliveryTiming:
    """When delivery is tried again, and when it ends.

    Attributes:
        expire_after_s: a message that cannot be sent for this time becomes a dead letter, in seconds.
        retry_cap_s: maximum wait between attempts, in seconds, unless the receiver asks for more.
        now: returns the current time, UTC.
    """

    expire_after_s: float
    retry_cap_s: float = RETRY_CAP_S
    now: Callable[[], datetime] = utc_now


class DeliveryWorker:
    """Delivers the messages of one channel.

    Args:
        outbox: the channel's outbox.
        channel: the channel.
        hub: name of this hub, which claims messages under it.
        metrics: the hub's metrics.
        timing: when delivery is tried again, and when it ends.
    """

    def __init__(
        self,
        outbox: Outbox,
        channel: ConfiguredChannel,
        hub: str,
        metrics: HubMetrics,
        timing: DeliveryTiming,
    ) -> None:
        self._outbox = outbox
        self._notifier = channel.notifier
        self._rules = channel.rules
        self._wording = channel.wording
        self._hub = hub
        self._outcomes = {name: metrics.notifications.labels(outbox.name, name) for name in OUTCOMES}
        self._expire_after_s = timing.expire_after_s
        self._retry_cap_s = timing.retry_cap_s
        self._now = timing.now
        self._in_flight: dict[str, Notification] = {}
        self._sent: list[Notification] = []  # sent, and not acknowledged in the outbox yet
        self._look_at = 0.0
        self._attempt = 0
        self.worker = Worker(
            f"delivery-{outbox.name}",
            lambda: self.deliver_pending(_WAIT_S),
            failed=lambda _error: self._claim_again(),
        )

    def start(self) -> None:
        """Start delivering."""
        self.worker.start()

    def request_stop(self) -> None:
        """Start no further attempt."""
        self.worker.wind_down()

    def stop(self) -> None:
        """Stop; this hub delivers the remaining messages after its next start, or another hub does."""
        self.worker.stop(_GRACE_S)

    def _claim_again(self) -> None:
        """Drop the claimed messages; the outbox keeps them, and the worker claims them again."""
        self._in_flight, self._look_at = {}, 0.0

    def deliver_pending(self, wait_s: float = 0.0) -> float:
        """Claim messages and try to deliver them, in order.

        Args:
            wait_s: maximum wait for the first message, if none is in flight, in seconds.

        Returns:
            Wait until the next round, in seconds.

        Raises:
            UnavailableError: Redis does not answer.
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
        messages = self._outbox.claim(
            self._hub,
            limit=AT_ONCE if left_over else room,  # messages in flight are left over too
            wait_s=0.0 if self._in_flight else wait_s,
            left_over=left_over,
            idle_s=_IDLE_S,
        )
        if left_over:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        for message in messages:
            self._in_flight.setdefault(message.name, message)

    def _deliver(self, message: Notification) -> tuple[UnavailableError, int] | None:
        """Send, hold or dead-letter a message; return the error and the number of failures if a retry is needed."""
        now = self._now()
        if not self._outbox.extend_lease(self._hub, message.name):  # another hub claimed or finished it
            del self._in_flight[message.name]
            return None
        if self._rules.should_defer(message.alerts, now, self._outbox.sent_last_24h(now), digest=message.digest):
            self._outbox.defer_to_digest(message, now)
            self._finish(message, "held", len(message.alerts))
            return None
        try:
            self._notifier.send(message.alerts, self._wording.text(message.alerts, digest=message.digest))
        except InvalidError as error:
            self._dead_letter(message, str(error), self._outbox.note_failure(message.name, str(error), now))
            return None
        except UnavailableError as error:
            return self._failed(message, error)
        except Exception as error:  # a defect of a message or a library must not stop other messages
            log.exception("channel failed", extra={"notifier": self._outbox.name})
            return self._failed(message, UnavailableError(f"unexpected error: {type(error).__name__}"))
        self._sent.append(message)
        self._finish(message, "sent")
        self._note_sent()
        return None

    def _note_sent(self) -> None:
        """Acknowledge sent messages in the outbox; if Redis does not answer, again before the next claim."""
        for message in list(self._sent):
            self._outbox.ack([message.name], counted=() if message.digest else message.events, at=self._now())
            self._sent.remove(message)
            log.info("alerts sent", extra={"notifier": self._outbox.name, "alerts": " ".join(message.events)})

    def _failed(self, message: Notification, error: UnavailableError) -> tuple[UnavailableError, int] | None:
        now = self._now()
        tries = self._outbox.note_failure(message.name, str(error), now)
        self._outcomes["retried"].inc()
        log.warning(
            "notification failed",
            extra={"notifier": self._outbox.name, "reason": str(error), "attempts": tries},
        )
        if is_expired(message.put_at, now, self._expire_after_s):
            self._dead_letter(message, f"failed after {tries} attempts: {error}", tries)
            return None
        return error, tries

    def _dead_letter(self, message: Notification, reason: str, tries: int) -> None:
        log.error(
            "notification dead-lettered",
            extra={"notifier": self._outbox.name, "alerts": message.events, "reason": reason},
        )
        self._outbox.move_to_dead_letters(message, reason, tries)
        self._finish(message, "dead")

    def _finish(self, message: Notification, outcome: str, count: int = 1) -> None:
        del self._in_flight[message.name]
        self._outcomes[outcome].inc(count)

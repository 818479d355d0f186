"""Messages from the broker to the pipeline: a bounded queue, two workers, acknowledged in order once archived.

The first worker takes what waits, up to `BATCH` messages, and never waits for more: a lone event is not delayed. It
decodes them and computes their towers, while the second still archives and searches those before.

When `capacity` messages wait, or messages of `capacity_bytes`, the network thread reads no more until there is room,
so they queue at the broker. (Its in-flight window alone is no back-pressure: mosquitto#2301.) If there is none for
long, for example because the store is away, the hub disconnects before the broker takes it for dead, drains the
queue and reconnects: the broker then sends again what was not acknowledged. Each connection first acknowledges
`capacity` messages, so that a broker that sends again in one burst cannot stop all progress; but at most
`capacity_bytes` and one message are in memory, whatever was acknowledged.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hub.domain.clocks import waited_s
from hub.ingest.acknowledgement import DurableAcknowledger, DurableStore
from hub.ingest.backlog import Backlog
from hub.ingest.event_subscription import EventSubscription, Subscriber
from hub.ingest.messages import HandledMessage, Outcome, PreparedMessage
from hub.ingest.quarantine import BatchHandler, Quarantine
from hub.metrics.definitions import HubMetrics, exemplar
from hub.runtime.torch_threads import limit_torch_to_one_thread
from shared.errors import OverloadedError, UnavailableError
from shared.mqtt.session import Connected, MqttEvent, MqttSession, Received, Subscribed
from shared.worker import Worker

log = logging.getLogger(__name__)

BATCH: Final = 64
BATCH_SHARE: Final = 4
"""A batch ends with the message that makes it a fourth of the bytes that may wait."""
MAX_BLOCK_S: Final = 3.0
"""Maximum wait of the network thread for room, in seconds: less than any keep-alive interval."""
_LOOK_EVERY_S: Final = 0.2


class MqttConsumer:
    """Takes messages and hands them to the pipeline.

    Args:
        subscriber: the hub as a client of the broker.
        pipeline: handles messages.
        backlog: limits of what is received and not yet handled; one message more is read, as its size is not known
            before.
        metrics: counters.
        durable: store on whose disk an event must be before its message is acknowledged; None: a message is
            acknowledged once the store has it.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        pipeline: BatchHandler,
        backlog: Backlog,
        metrics: HubMetrics,
        durable: DurableStore | None = None,
    ) -> None:
        self._shared_seen = False
        self._backlog = backlog
        self._pipeline = Quarantine(pipeline)
        self._metrics = metrics
        self._queue: queue.Queue[MqttEvent] = queue.Queue()
        self._suspended = threading.Event()
        self._acknowledged = 0  # on this connection
        self._ahead = threading.Semaphore()  # one batch is prepared ahead
        self._held: MqttEvent | None = None  # taken from the queue and not yet dealt with
        self._batch: list[Received] = []  # likewise, and not yet prepared
        self._prepared: queue.Queue[tuple[list[Received], Sequence[PreparedMessage]] | Connected] = queue.Queue()
        self._unfinished: deque[tuple[Received, PreparedMessage]] = deque()
        self._first = Worker("intake", self._prepare_next, failed=self._note_wait)
        self._second = Worker("finish", self._finish_next, failed=self._note_wait)
        self._stopping = self._first.stopping
        self._link = MqttSession(
            subscriber.broker,
            subscriber.client_id,
            receive_maximum=backlog.capacity,
            on_signal=self._on_mqtt_event,
        )
        self._subscription = EventSubscription(self._link, subscriber)
        self._durable = DurableAcknowledger(durable, self._link.acknowledge) if durable is not None else None
        self.workers = [self._first, self._second, *([self._durable.worker] if self._durable is not None else [])]
        backlog.export_to(metrics)
        metrics.connected.set(math.nan)  # until there is something to connect for
        metrics.stalled.set_function(self._stalled_s)

    @property
    def connected(self) -> bool:
        """Return whether the broker is connected; a hub that is draining counts as connected."""
        return self._link.connected or self._suspended.is_set()

    @property
    def problem(self) -> str | None:
        """Why no events come though the broker is there, in words; None if nothing is known."""
        return self._subscription.problem

    @property
    def shared_seen(self) -> bool:
        """Return whether anything came through a shared subscription on this connection."""
        return self._shared_seen

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits or is under way."""
        return self._backlog.is_empty

    @property
    def stalled_s(self) -> float:
        """For how long messages wait without one being handled, or acknowledged, in seconds; 0 if none waits."""
        return self._stalled_s()

    def _stalled_s(self) -> float:
        handling_s = self._backlog.stalled_s
        return handling_s if self._durable is None else max(handling_s, self._durable.stalled_s)

    def _connected(self) -> float:
        return float(self.connected)

    def run(self) -> None:
        """Take messages until `stop`; what was not handled by then stays with the broker."""
        limit_torch_to_one_thread()
        self._metrics.connected.set_function(self._connected)
        self._metrics.taking.set(1)
        self._link.start()
        self._second.start()
        if self._durable is not None:
            self._durable.start()
        try:
            self._first.run()
        finally:
            self._metrics.taking.set(0)
            self._second.stop()
            if self._durable is not None:
                self._durable.stop()
            self._backlog.notify_room()
            self._link.stop()

    def _prepare_next(self) -> float:
        """Deal with what comes next, unless a batch is waiting for the second worker already."""
        if not self._ahead.acquire(timeout=_LOOK_EVERY_S):
            return 0.0
        prepared = False
        try:
            if not self._batch:
                self._dispatch(self._held or self._queue.get(timeout=_LOOK_EVERY_S))
            prepared = self._prepare()
        except queue.Empty:
            self._resume_when_drained()
            self._subscription.ask_again_when_due()
        finally:
            if not prepared:
                self._ahead.release()
        return 0.0

    def stop(self) -> None:
        """End `run` after the message in hand."""
        self._first.wind_down()
        self._second.wind_down()

    def _on_mqtt_event(self, signal: MqttEvent) -> None:
        """Enqueue, wait for room, and step back from the broker if there is none; runs in the network thread."""
        self._queue.put(signal)
        if not isinstance(signal, Received):
            return
        self._backlog.offer(len(signal.payload))
        self._shared_seen = self._shared_seen or not signal.topic.endswith("/state")
        if self._suspended.is_set():
            return
        found = self._backlog.wait_for_room(self._stopping, MAX_BLOCK_S)
        if not found and (self._acknowledged >= self._backlog.capacity or not self._backlog.has_memory):
            self._suspended.set()
            self._link.pause()
            self._metrics.pauses.inc()

    def _resume_when_drained(self) -> None:
        if self._suspended.is_set() and self.is_idle:
            self._suspended.clear()
            self._link.resume()

    def _dispatch(self, first: MqttEvent) -> None:
        """Deal with a signal; messages that wait behind it become the next batch."""
        self._held = first  # until it was dealt with
        match first:
            case Connected():
                self._prepared.put(first)
                self._shared_seen = False
                self._subscription.on_connected(first)
                log.info("connected to the broker", extra={"session_present": first.session_present})
                self._held = None
            case Subscribed():
                self._subscription.on_subscribed(first)
                self._held = None
            case Received():
                self._batch, self._held = self._drain_queue(first)
            case _:
                self._held = None

    def _drain_queue(self, first: Received) -> tuple[list[Received], MqttEvent | None]:
        """Return the waiting messages, at most `BATCH`, and the signal of another kind that ended them."""
        messages, left = [first], self._backlog.capacity_bytes // BATCH_SHARE - len(first.payload)
        while len(messages) < BATCH and left > 0:
            try:
                signal = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(signal, Received):
                return messages, signal
            messages.append(signal)
            left -= len(signal.payload)
        return messages, None

    def _prepare(self) -> bool:
        """Prepare the batch, if there is one, for the second worker; return whether there was."""
        if not self._batch:
            return False
        waited = [_waited_s(message) for message in self._batch]
        items = self._pipeline.prepare([(message.topic, message.payload) for message in self._batch], waited)
        for message, item in zip(self._batch, items, strict=True):
            item.retained = message.retain
        self._prepared.put((self._batch, items))
        self._batch = []
        return True

    def _finish_next(self) -> float:
        """Handle the rest of a batch, or else the next one; the second worker's step."""
        if not self._unfinished:
            try:
                batch = self._prepared.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                return 0.0
            if isinstance(batch, Connected):
                self._acknowledged = 0
                return 0.0
            self._ahead.release()
            self._unfinished.extend(zip(*batch, strict=True))
        limit_torch_to_one_thread()
        for handled in self._pipeline.process([item for _, item in self._unfinished]):
            message, _ = self._unfinished.popleft()
            self._handled(message, handled)
        return 0.0

    def _note_wait(self, error: Exception) -> None:
        if isinstance(error, UnavailableError | OverloadedError):
            self._metrics.retries.inc()

    def _handled(self, message: Received, handled: HandledMessage) -> None:
        self._backlog.handled(len(message.payload))
        if handled.outcome not in {Outcome.STATE, Outcome.BEAT, Outcome.KNOWN}:
            self._metrics.received.inc()
        if handled.alert is not None:
            self._metrics.alert_delay.observe(time.monotonic() - message.received_s, exemplar(handled.alert.event))
        if self._durable is not None:
            self._durable.put(replace(message, payload=b""))
        else:
            self._link.acknowledge(message)
        self._acknowledged += 1
        self._backlog.notify_room()


def _waited_s(message: Received) -> float | None:
    """Return how long ago a message was sent to the broker, in seconds; None if the broker does not report it."""
    held_s = waited_s(message.expiry_s, retained=message.retain)
    return None if held_s is None else held_s + time.monotonic() - message.received_s

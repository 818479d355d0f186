"""Messages from the broker to the pipeline: a bounded queue, one worker, acknowledged in order once archived.

The worker takes what waits, up to `BATCH` messages, and never waits for more: a lone event is not delayed.

When `capacity` messages wait, the network thread reads no more until there is room, so they queue at the broker.
(Its in-flight window alone is no back-pressure: mosquitto#2301.) If there is none for long, say the store is away,
the hub leaves before the broker takes it for dead, drains the queue and reconnects: the broker then sends again what
was not acknowledged. Each connection first acknowledges `capacity` messages, so that a broker that sends again in one
burst cannot stop all progress.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hub.metrics import HubMetrics
from hub.pipeline import Handled, Outcome
from shared.errors import Busy, Unavailable
from shared.mqtt import Connected, Disconnected, Link, Received, Signal, full_jitter
from shared.settings import MqttSettings
from shared.topics import ALL_STATES, shared_events

log = logging.getLogger(__name__)

BATCH: Final = 64
RETRY_CAP_S: Final = 10.0
PATIENCE_S: Final = 3.0
"""How long the network thread waits for room: less than any keep-alive interval."""


class Intake:
    """Takes messages and hands them to the pipeline.

    Args:
        settings: where the broker is.
        client_id: stable, so that the broker keeps our session.
        group: hubs of one group divide the events among themselves.
        capacity: most messages received and not yet handled.
        handle: the pipeline's `handle_all`.
        metrics: counters.
    """

    def __init__(
        self,
        *,
        settings: MqttSettings,
        client_id: str,
        group: str,
        capacity: int,
        handle: Callable[[Sequence[tuple[str, bytes]]], Iterator[Handled]],
        metrics: HubMetrics,
    ) -> None:
        self._group = group
        self._capacity = capacity
        self._handle = handle
        self._metrics = metrics
        self._queue: queue.SimpleQueue[Signal] = queue.SimpleQueue()
        self._suspended = threading.Event()
        self._offered = 0  # counted by the network thread
        self._taken = 0  # counted by the worker
        self._room = threading.Condition()
        self._acknowledged = 0  # on this connection
        self._stopping = threading.Event()
        self._link = Link(settings, client_id, receive_maximum=capacity, on_signal=self._offer)
        metrics.queue_length.set_function(self._queue.qsize)

    @property
    def connected(self) -> bool:
        """Whether the broker is there; a hub that is draining counts as connected."""
        return self._link.connected or self._suspended.is_set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    def run(self) -> None:
        """Take messages until `stop`; what was not handled by then stays with the broker."""
        self._link.start()
        try:
            while not self._stopping.is_set():
                try:
                    self._act(self._queue.get(timeout=0.2))
                except queue.Empty:
                    self._resume_when_drained()
        finally:
            self._let_on()
            self._link.stop()

    def stop(self) -> None:
        """End `run` after the message in hand."""
        self._stopping.set()

    def _offer(self, signal: Signal) -> None:
        """Runs in the network thread: enqueue, wait for room, and step back from the broker if there is none."""
        self._queue.put(signal)
        if not isinstance(signal, Received):
            return
        self._offered += 1
        if self._suspended.is_set():
            return
        with self._room:
            found = self._room.wait_for(self._has_room, PATIENCE_S)
        if not found and self._acknowledged >= self._capacity:
            self._suspended.set()
            self._link.suspend()
            self._metrics.pauses.inc()

    def _has_room(self) -> bool:
        return self._offered - self._taken < self._capacity or self._stopping.is_set()

    def _let_on(self) -> None:
        """Have the network thread look again whether there is room."""
        with self._room:
            self._room.notify()

    def _resume_when_drained(self) -> None:
        if self._suspended.is_set():
            self._suspended.clear()
            self._link.resume()

    def _act(self, first: Signal) -> None:
        """Deal with a signal, and with the messages that wait behind it."""
        match first:
            case Connected():
                self._metrics.connected.set(1)
                self._acknowledged = 0
                self._link.subscribe(shared_events(self._group))
                self._link.subscribe(ALL_STATES)
                log.info("connected to the broker", extra={"session_present": first.session_present})
            case Disconnected():
                self._metrics.connected.set(0)
            case Received():
                messages, other = self._waiting(first)
                self._receive(messages)
                self._let_on()
                if other is not None:
                    self._act(other)

    def _waiting(self, first: Received) -> tuple[list[Received], Signal | None]:
        """What waits, up to `BATCH` messages, and the signal of another kind that ended it."""
        messages = [first]
        while len(messages) < BATCH:
            try:
                signal = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(signal, Received):
                return messages, signal
            messages.append(signal)
        return messages, None

    def _receive(self, messages: list[Received]) -> None:
        """Handle messages, waiting out servers that are away; those left when we are stopped stay with the broker."""
        attempt = 0
        while messages and not self._stopping.is_set():
            try:
                for handled in self._handle([(message.topic, message.payload) for message in messages]):
                    self._handled(messages.pop(0), handled)
                    attempt = 0
            except (Unavailable, Busy) as error:
                log.warning("waiting to archive", extra={"reason": str(error), "attempt": attempt})
                self._metrics.retries.inc()
                self._stopping.wait(full_jitter(attempt, RETRY_CAP_S, random.random))
                attempt += 1
        self._taken += len(messages)

    def _handled(self, message: Received, handled: Handled) -> None:
        self._taken += 1
        if handled.outcome is not Outcome.STATE:
            self._metrics.received.inc()
        if handled.alert is not None:
            self._metrics.alert_delay.observe(time.monotonic() - message.received_s)
        self._link.acknowledge(message)
        self._acknowledged += 1

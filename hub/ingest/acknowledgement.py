"""Acknowledge messages once their results are on the store's disk: many at a time, in order.

The store writes its disk at least once a second (`appendfsync everysec`), and a message waits for that; those behind
it are handled meanwhile. At most `ingest.max_in_flight` messages are received and not acknowledged.
"""

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from shared.errors import UnavailableError
from shared.mqtt.signals import Received
from shared.worker import Worker

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.2
_RETRY_CAP_S: Final = 5.0


class DurableStore(Protocol):
    """A store that reports when what it took is on its disk."""

    def wait_for_disk(self) -> None:
        """Wait until all that was written before is on disk.

        Raises:
            UnavailableError: it is not on disk in time.
        """
        ...


class DurableAcknowledger:
    """Takes messages that were handled, and acknowledges them when that is durable.

    Args:
        store: in which handled messages were written.
        acknowledge: sends the acknowledgement to the broker.
    """

    def __init__(self, store: DurableStore, acknowledge: Callable[[Received], None]) -> None:
        self._store = store
        self._acknowledge = acknowledge
        self._waiting: queue.Queue[Received] = queue.Queue()
        self._held: deque[Received] = deque()
        self._put = 0  # counted by `put`
        self._done = 0  # counted by the worker
        self._progress_s = time.monotonic()  # when messages were acknowledged last, or the first one came
        self.worker = Worker("acknowledge", self._step, finish=self._finish, cap_s=_RETRY_CAP_S)

    @property
    def stalled_s(self) -> float:
        """For how long messages wait without one being acknowledged, in seconds; 0 if none waits."""
        return 0.0 if self._put == self._done else time.monotonic() - self._progress_s

    def start(self) -> None:
        """Begin to acknowledge."""
        self.worker.start()

    def put(self, message: Received) -> None:
        """Take a message that was handled."""
        if self._put == self._done:
            self._progress_s = time.monotonic()
        self._put += 1
        self._waiting.put(message)

    def stop(self) -> None:
        """End; what is not on disk by then, the broker sends again."""
        self.worker.stop()

    def _step(self) -> float:
        """Take what waits, wait for the disk, and acknowledge.

        Raises:
            UnavailableError: it is not on the disk in time; it is held.
        """
        self._take()
        if self._held:
            self._store.wait_for_disk()
        while self._held:
            self._acknowledge(self._held[0])
            self._held.popleft()
            self._done += 1
            self._progress_s = time.monotonic()
        return 0.0

    def _finish(self) -> None:
        try:
            self._step()
        except UnavailableError as error:
            log.warning("not acknowledged", extra={"reason": str(error), "messages": len(self._held)})

    def _take(self) -> None:
        """Take all that wait; if there are none, wait a while for one."""
        try:
            if not self._held:
                self._held.append(self._waiting.get(timeout=_LOOK_EVERY_S))
            while True:
                self._held.append(self._waiting.get_nowait())
        except queue.Empty:
            return

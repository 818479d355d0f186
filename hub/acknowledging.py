"""Acknowledges messages once what came of them is on the store's disk: many at a time, in order.

The store writes its disk at least once a second (`appendfsync everysec`), and a message waits for that; those behind
it are handled meanwhile. At most `intake.capacity` messages are received and not acknowledged.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable
from typing import Final

from shared.backoff import full_jitter
from shared.errors import Unavailable
from shared.signals import Received

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.2
_RETRY_CAP_S: Final = 5.0


class DurableAcknowledger:
    """Takes messages that were handled, and acknowledges them when that is durable.

    Args:
        sync: waits until all that was written before is on disk; raises `Unavailable` if it is not in time.
        acknowledge: tells the broker.
    """

    def __init__(self, sync: Callable[[], None], acknowledge: Callable[[Received], None]) -> None:
        self._sync = sync
        self._acknowledge = acknowledge
        self._waiting: queue.Queue[Received] = queue.Queue()
        self._held: list[Received] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acknowledge", daemon=True)

    def start(self) -> None:
        """Begin to acknowledge."""
        self._thread.start()

    def put(self, message: Received) -> None:
        """Take a message that was handled."""
        self._waiting.put(message)

    def stop(self) -> None:
        """End; what is not on disk by then, the broker sends again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        attempt = 0
        while True:
            last = self._stopping.is_set()
            self._take()
            try:
                if self._held:
                    self._sync()
                    attempt = 0
            except Unavailable as error:
                log.warning("waiting to acknowledge", extra={"reason": str(error), "messages": len(self._held)})
                self._stopping.wait(full_jitter(attempt, _RETRY_CAP_S, random.random))
                attempt += 1
            else:
                for message in self._held:
                    self._acknowledge(message)
                self._held = []
            if last:
                return

    def _take(self) -> None:
        """Take all that wait; if there are none, wait a while for one."""
        try:
            if not self._held:
                self._held.append(self._waiting.get(timeout=_LOOK_EVERY_S))
            while True:
                self._held.append(self._waiting.get_nowait())
        except queue.Empty:
            return

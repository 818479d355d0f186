"""The messages that were received and are not yet handled: how many, how many bytes, and whether there is room.

The network thread counts what is offered, the second worker what is handled; each number has one writer.
"""

import threading
import time
from typing import Final

from hub.metrics.definitions import HubMetrics

CAPACITY_BYTES: Final = 32 * 1024 * 1024


class Backlog:
    """Counts messages and bytes, and makes the network thread wait for room.

    Args:
        capacity: most messages received and not yet handled, at least 1.
        capacity_bytes: most bytes of these.
    """

    def __init__(self, capacity: int, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self._offered = 0
        self._handled = 0
        self._offered_bytes = 0
        self._handled_bytes = 0
        self._room = threading.Condition()
        self._progress_s = time.monotonic()  # when a message was handled last, or the first one came

    @property
    def is_empty(self) -> bool:
        """Return whether every message is handled."""
        return self._offered == self._handled

    @property
    def stalled_s(self) -> float:
        """For how long messages wait without one being handled, in seconds; 0 if none waits."""
        return 0.0 if self.is_empty else time.monotonic() - self._progress_s

    @property
    def has_memory(self) -> bool:
        """Return whether the bytes are below the limit."""
        return self._offered_bytes - self._handled_bytes < self.capacity_bytes

    @property
    def has_room(self) -> bool:
        """Return whether another message may be received."""
        return self._offered - self._handled < self.capacity and self.has_memory

    def messages(self) -> float:
        """Return how many messages are not handled."""
        return max(0, self._offered - self._handled)

    def bytes(self) -> float:
        """Return how many bytes are not handled."""
        return max(0, self._offered_bytes - self._handled_bytes)

    def export_to(self, metrics: HubMetrics) -> None:
        """Let the metrics read the numbers and limits."""
        metrics.queue_length.set_function(self.messages)
        metrics.capacity.set(self.capacity)
        metrics.queue_bytes.set_function(self.bytes)
        metrics.capacity_bytes.set(self.capacity_bytes)

    def offer(self, payload_bytes: int) -> None:
        """Count a message that was received."""
        if self.is_empty:
            self._progress_s = time.monotonic()
        self._offered += 1
        self._offered_bytes += payload_bytes

    def handled(self, payload_bytes: int) -> None:
        """Count a message that was handled."""
        self._progress_s = time.monotonic()
        self._handled += 1
        self._handled_bytes += payload_bytes

    def wait_for_room(self, stopping: threading.Event, within_s: float) -> bool:
        """Wait until another message may be received, or the consumer stops; return whether it is so."""
        with self._room:
            return self._room.wait_for(lambda: self.has_room or stopping.is_set(), within_s)

    def notify_room(self) -> None:
        """Have the network thread look again whether there is room."""
        with self._room:
            self._room.notify()

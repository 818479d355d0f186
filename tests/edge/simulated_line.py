"""A line to the broker that is simulated: it carries one message at a time."""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.errors import UnavailableError
from shared.mqtt.session import Acknowledged


@dataclass
class Line:
    """A line that takes `message_s` and the time of its bytes for each message. Its owner ends connections."""

    message_s: float = 0.0
    bytes_per_s: float = math.inf
    up: bool = False
    epoch: int = 0
    now_s: float = 0.0
    busy_until_s: float = 0.0
    mids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    queue: deque[tuple[int, bytes, float]] = field(default_factory=deque)
    delivered: list[tuple[float, bytes]] = field(default_factory=list)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        assert (topic, retain, qos, content_type) == ("t", False, 1, "application/cbor")
        if not self.up:
            raise UnavailableError("down")
        mid = next(self.mids)
        self.queue.append((mid, payload, self.now_s))
        return mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        assert (topic_filter, qos) == ("earwitness/v1/hubs/+/intake", 0)

    def rival(self) -> None:
        """No other client is here."""

    def settled(self) -> None:
        """Waits between connections are this model's own."""

    def carry(self, now_s: float) -> list[Acknowledged]:
        """What arrived by now, acknowledged."""
        self.now_s = now_s
        answers = []
        while self.queue and self.up:
            mid, payload, sent_s = self.queue[0]
            done_s = max(self.busy_until_s, sent_s) + self.message_s + len(payload) / self.bytes_per_s
            if done_s > now_s:
                break
            self.busy_until_s = done_s
            self.queue.popleft()
            self.delivered.append((done_s, payload))
            answers.append(Acknowledged(mid, 0, self.epoch))
        return answers

    def first(self) -> dict[bytes, float]:
        """When each payload came first."""
        return {payload: at_s for at_s, payload in reversed(self.delivered)}

"""From the spool to the broker: at most a few messages under way, nothing forgotten before its PUBACK.

`Window` holds the rules and no I/O: what is under way, what an answer means, when to try again. `Publisher`
is the shell around it: spool on one side, broker on the other.

paho sends unacknowledged messages again after a reconnection, under the same ids, so the window keeps them
across connections and never hands the same row out twice.
"""

import logging
from dataclasses import dataclass
from typing import Final, Protocol

from edge.hubs import Hubs
from edge.spool import Spool
from shared.errors import Unavailable
from shared.messages import EVENT_CONTENT_TYPE
from shared.mqtt import FAILURE, NO_MATCHING_SUBSCRIBERS, Acknowledged, Connected, Disconnected, Received, Signal
from shared.topics import ALL_INTAKES

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 16
"""Most messages under way; below paho's own limit of 20, so that paho queues none."""
BACKOFF_START_S: Final = 2.0
BACKOFF_CAP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker has this row."""

    row: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The broker did not take this row, or nobody was there to receive it: it stays in the spool."""

    row: int
    reason: int
    wait_s: float


class Window:
    """Which rows are under way, and when more may follow.

    A refusal (reason >= 0x80) or "no matching subscribers" (0x10) starts a wait of 2 s that doubles up to
    30 s; after it a single message probes, and its success reopens the whole window. Several bad answers
    within one wait count once.

    Args:
        limit: most messages under way.

    Source: MQTT 5.0, 3.4.2.1 (PUBACK reason codes).
    """

    def __init__(self, limit: int = IN_FLIGHT) -> None:
        self._limit = limit
        self._rows: dict[int, int] = {}
        self._attempts = 0
        self._until_s = 0.0

    @property
    def rows(self) -> frozenset[int]:
        """Rows under way."""
        return frozenset(self._rows.values())

    def room(self, now_s: float) -> int:
        """How many more messages may be sent now; `now_s` is monotonic."""
        if now_s < self._until_s:
            return 0
        limit = 1 if self._attempts else self._limit
        return max(0, limit - len(self._rows))

    def sent(self, mid: int, row: int) -> None:
        """A row is under way as message `mid`."""
        self._rows[mid] = row

    def answered(self, mid: int, reason: int, now_s: float) -> Delivered | Kept | None:
        """Judge a PUBACK; None if the message is not one of ours."""
        row = self._rows.pop(mid, None)
        if row is None:
            return None
        if reason < FAILURE and reason != NO_MATCHING_SUBSCRIBERS:
            self._attempts = 0
            self._until_s = 0.0
            return Delivered(row)
        if now_s >= self._until_s:
            wait_s = min(BACKOFF_CAP_S, BACKOFF_START_S * 2.0 ** min(self._attempts, 16))
            self._until_s = now_s + wait_s
            self._attempts += 1
        return Kept(row, reason, self._until_s - now_s)


class Outlet(Protocol):
    """What the publisher needs of the broker's side; `shared.mqtt.Link` is one."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, content_type: str | None = None
    ) -> int:
        """Send; return the message id, or raise `Unavailable`."""

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Ask for messages."""


class Publisher:
    """Moves rows from the spool to the broker. All methods belong to one thread; attributes may be read from any.

    Args:
        outlet: the broker's side.
        spool: where rows come from and are acknowledged.
        resend_window_s: how far back rows are sent again after a reconnection.
        patience_s: how long no hub may take events before they are held.
        window: the rules; a new one by default.

    Attributes:
        published: events the broker took so far, with backlog and repeats.
        last_published_s: when it last took one, in seconds since the epoch; 0 if none yet.
    """

    def __init__(
        self,
        outlet: Outlet,
        spool: Spool,
        *,
        resend_window_s: float,
        patience_s: float,
        window: Window | None = None,
    ) -> None:
        self._outlet = outlet
        self._spool = spool
        self._resend_window_s = resend_window_s
        self._window = window or Window()
        self._hubs = Hubs(patience_s)
        self._online = False
        self._held = False
        self._warned = False
        self.published = 0
        self.last_published_s = 0.0

    @property
    def online(self) -> bool:
        """Whether the broker is connected, as far as the signals handled so far tell."""
        return self._online

    @property
    def held(self) -> bool:
        """Whether events stay in the spool because no hub takes them, as of the last `pump`."""
        return self._held

    def handle(self, signals: list[Signal], now_s: float, wall_s: float) -> None:
        """Take note of what the broker said, in order.

        Args:
            signals: since the last call.
            now_s: monotonic time.
            wall_s: seconds since the epoch, kept with acknowledged rows.
        """
        delivered: list[int] = []
        for signal in signals:
            match signal:
                case Connected():
                    self._online = True
                    self._hubs.reconnected()
                    self._outlet.subscribe(ALL_INTAKES, qos=0)
                    self._acknowledge(delivered, wall_s)
                    delivered = []
                    self._reopen(wall_s)
                case Disconnected():
                    self._online = False
                case Acknowledged(mid=mid, reason=reason):
                    delivered += self._judge(mid, reason, now_s)
                case Received(topic=topic, payload=payload):
                    self._hubs.heard(topic, payload, now_s)
        self._acknowledge(delivered, wall_s)

    def pump(self, now_s: float) -> int:
        """Send as many rows as the window allows; returns how many."""
        held = self._hubs.hold(now_s)
        if held != self._held:
            self._held = held
            log.warning("no hub takes events: they are kept here" if held else "a hub takes events again")
        room = self._window.room(now_s) if self._online and not held else 0
        if room == 0:
            return 0
        sent = 0
        for waiting in self._spool.next(room, skip=self._window.rows):
            try:
                mid = self._outlet.publish(waiting.topic, waiting.payload, content_type=EVENT_CONTENT_TYPE)
            except Unavailable:
                break
            self._window.sent(mid, waiting.row)
            sent += 1
        return sent

    def _judge(self, mid: int, reason: int, now_s: float) -> list[int]:
        match self._window.answered(mid, reason, now_s):
            case Delivered(row):
                self._warned = False
                return [row]
            case Kept(row, reason, wait_s):
                nobody = reason == NO_MATCHING_SUBSCRIBERS
                log.log(
                    logging.DEBUG if self._warned else logging.WARNING,
                    "no hub is subscribed; events are kept" if nobody else "broker refused an event; it is kept",
                    extra={"row": row, "reason": reason, "retry_in_s": round(wait_s, 1)},
                )
                self._warned = True
        return []

    def _acknowledge(self, delivered: list[int], wall_s: float) -> None:
        if delivered and (taken := self._spool.acknowledge(delivered, wall_s)):
            self.published += taken
            self.last_published_s = wall_s

    def _reopen(self, wall_s: float) -> None:
        """Send again what the broker may have acknowledged and lost: if it was killed, nothing tells."""
        reopened = self._spool.reopen(wall_s - self._resend_window_s)
        if reopened:
            log.info("connected again; the latest events are sent once more", extra={"events": reopened})

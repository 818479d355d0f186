"""From the spool to the broker: at most a few messages under way, nothing forgotten before its PUBACK.

`Window` (`edge.in_flight`) holds the rules and no I/O: what is under way, what an answer means, when to try again.
`Publisher` is the shell around it: spool on one side, broker on the other.

1. New events go first. What the broker acknowledged lately is sent again after a reconnection, since a broker that
   was killed forgets what it had not written; these repeats go when no new event waits.
2. An acknowledgement is kept in memory until the disk takes it. A disk that fails stops nothing here.
3. A message that the broker cannot take is set aside in the spool, and the others go on. One that it refuses waits
   behind all others.
"""

import logging
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Final

from edge.broker_protocol import MqttPublisher
from edge.connection_clock import ConnectedTime
from edge.disk_guard import DiskGuard
from edge.hub_availability import HubAvailability
from edge.in_flight import Acked, InFlightWindow, Rejected
from edge.spool import Spool
from edge.spool_entries import ENDS_CONNECTIONS, TOO_LARGE, UNSENDABLE, SpoolEntry
from shared.errors import UnavailableError
from shared.messages import EVENT_CONTENT_TYPE
from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER, publish_bytes
from shared.mqtt.signals import Acknowledged, Connected, Disconnected, MqttEvent, Received
from shared.mqtt.topics import ALL_INTAKES

log = logging.getLogger(__name__)

REPEATS_IN_FLIGHT: Final = 4
"""Most messages under way when a repeat is sent: a new event never waits behind many repeats."""
TAKEN_OVER: Final = "taken_over"
"""Under this name the spool keeps when another client last took over the session, for `check`."""
CALM_S: Final = 600.0
"""After a connection that lives this long, ends of connections are no longer taken for a rival's doing."""
SECOND_CHANCE_S: Final = 600.0
"""How often one of the messages during which connections ended is tried again, when nothing else waits."""


class SpoolPublisher:
    """Moves rows from the spool to the broker. All methods belong to one thread; attributes may be read from any.

    No method raises because of the disk or the broker.

    Args:
        outlet: the broker's side; it sends nothing again by itself.
        spool: where rows come from and are acknowledged.
        resend_window_s: for how many seconds of connection acknowledged rows are sent again after a reconnection.
        patience_s: how long no hub may take events before they are held.
        window: the rules; a new one by default.

    Attributes:
        published: events the broker took so far, with backlog and repeats.
        last_published_s: when it last took one, in seconds since the epoch; 0 if none yet.
        taken_over: how often another client with this sensor's client id ended the connection.
    """

    def __init__(
        self,
        outlet: MqttPublisher,
        spool: Spool,
        *,
        resend_window_s: float,
        patience_s: float,
        window: InFlightWindow | None = None,
    ) -> None:
        self._outlet = outlet
        self._spool = spool
        self._resend_window_s = resend_window_s
        self._window = window or InFlightWindow()
        self._hubs = HubAvailability(patience_s)
        self._time = ConnectedTime(spool.latest_stamp())
        self._maximum_packet: int | None = None
        self._owed: dict[int, float] = {}
        self._aside: dict[int, str] = {}
        self._repeats: dict[int, None] = {}
        self._refused: set[int] = set()
        self._look_back = False
        self._look_aside = False
        self._second_chance_s = 0.0
        self._second_chance_row = -1
        self._disk = DiskGuard()
        self._rival = False
        self._up_since_s = 0.0
        self._end_code: int | None = None
        self._online = False
        self._held = False
        self._warned = False
        self.published = 0
        self.last_published_s = 0.0
        self.taken_over = 0
        self._noted = 0

    @property
    def online(self) -> bool:
        """Whether the broker is connected, as far as the signals handled so far tell."""
        return self._online

    @property
    def holding(self) -> bool:
        """Whether events stay in the spool because no hub takes them, as of the last `pump`."""
        return self._held

    @property
    def drained(self) -> bool:
        """Whether all events that can be read are at the broker or set aside, and repeats are there, too."""
        repeating = self._look_back or bool(self._repeats)
        settled = len(self._owed) + len(self._aside) + self._spool.unreadable()
        return not repeating and self._spool.pending() <= settled

    def handle(self, signals: list[MqttEvent], now_s: float, wall_s: float) -> None:
        """Handle the broker's signals, in order.

        Args:
            signals: since the last call.
            now_s: monotonic time.
            wall_s: seconds since the epoch.
        """
        for signal in signals:
            match signal:
                case Connected():
                    self._connected(signal, now_s)
                case Disconnected(code=code):
                    self._ended(code)
                case Acknowledged(mid=mid, reason=reason):
                    self._answered(mid, reason, now_s, wall_s)
                case Received(topic=topic, payload=payload):
                    self._hubs.on_intake_message(topic, payload, now_s)
        self._disk.attempt("acknowledge", self._keep_marks, now_s)
        if self.taken_over > self._noted:
            self._noted = self.taken_over
            at = datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
            self._disk.attempt("note", lambda: self._spool.set_note(TAKEN_OVER, at), now_s)

    def rival(self) -> None:
        """Take note that another client announces this sensor: it ends our connections, though no broker says so."""
        self._rival = True
        self._outlet.rival()
        if self._end_code != SESSION_TAKEN_OVER:  # that was counted
            self._count_takeover()

    def publish_pending(self, now_s: float) -> int:
        """Send as many rows as the window allows; returns how many."""
        held = self._hubs.should_hold(now_s)
        if held != self._held:
            self._held = held
            log.warning("no hub takes events: they are kept here" if held else "a hub takes events again")
        if not self._online:
            return 0
        if self._look_aside:
            self._disk.attempt("release", self._release, now_s)
        if self._look_back:
            self._disk.attempt("repeat", self._find_repeats, now_s)
        room = 0 if held else self._window.available(now_s)
        chosen: list[SpoolEntry] = []
        if room:
            self._disk.attempt("read", lambda: chosen.extend(self._choose(room, now_s)), now_s)
        return self._send(chosen)

    def purge(self, now_s: float) -> int:
        """Forget what was acknowledged long enough ago, in time of connection; return how many rows."""
        if not self._online or self._look_back:
            return 0
        before_s = self._time.now_s - self._resend_window_s
        keep, purged = {*self._repeats, *self._window.rows.values()}, list[int]()
        self._disk.attempt("purge", lambda: purged.append(self._spool.purge(before_s, keep)), now_s)
        return sum(purged)

    def _connected(self, signal: Connected, now_s: float) -> None:
        self._online = True
        self._up_since_s = now_s
        self._look_back = self._resend_window_s > 0
        self._look_aside = True
        self._maximum_packet = signal.maximum_packet
        most = signal.receive_maximum
        self._window.connected(None if most is None else most - 1)  # one is left for the state
        self._time.connected(now_s)
        self._hubs.reset()
        self._outlet.subscribe(ALL_INTAKES, qos=0)

    def _ended(self, code: int | None) -> None:
        row = self._window.ended(SESSION_TAKEN_OVER if self._rival else code)
        if row is not None:
            self._put_aside(row, ENDS_CONNECTIONS)
        if self._online:
            self._end_code = code
            if code == SESSION_TAKEN_OVER:
                self._count_takeover()
        self._online = False
        self._time.ended()

    def _count_takeover(self) -> None:
        self.taken_over += 1
        log.error(
            "another client uses this name and took over the session: give each sensor a name of its own"
            " (sensor.name; is a card copied, or does an agent run twice?)",
            extra={"times": self.taken_over},
        )

    def _answered(self, mid: int, reason: int, now_s: float, wall_s: float) -> None:
        stamp_s = self._time.answered(now_s)
        if now_s - self._up_since_s >= CALM_S:
            self._rival = False
        match self._window.on_puback(mid, reason, now_s):
            case Acked(row):
                self._warned = False
                self._refused.discard(row)
                if row in self._repeats:  # acknowledged before, which counts
                    del self._repeats[row]
                else:
                    self._owed[row] = stamp_s
                self.published += 1
                self.last_published_s = wall_s
                self._outlet.settled()
            case Rejected(row, reason, wait_s):
                nobody = reason == NO_MATCHING_SUBSCRIBERS
                if reason >= FAILURE:
                    self._refused.add(row)
                log.log(
                    logging.DEBUG if self._warned else logging.WARNING,
                    "no hub is subscribed; events are kept" if nobody else "broker refused an event; it is kept",
                    extra={"row": row, "reason": reason, "retry_in_s": round(wait_s, 1)},
                )
                self._warned = True

    def _put_aside(self, row: int, reason: str, **numbers: int) -> None:
        log.error(
            "the broker does not take an event: it is set aside in the spool, the others go on",
            extra={"row": row, "reason": reason, **numbers},
        )
        self._repeats.pop(row, None)
        self._aside[row] = reason

    def _keep_marks(self) -> None:
        """Write down what is acknowledged and what is set aside.

        Raises:
            Unavailable: the disk does not take it.
        """
        for stamp_s, marks in groupby(list(self._owed.items()), key=itemgetter(1)):
            rows = [row for row, _ in marks]
            self._spool.acknowledge(rows, stamp_s)
            for row in rows:
                del self._owed[row]
        while self._aside:
            row, reason = next(iter(self._aside.items()))
            self._spool.set_aside(row, reason)
            del self._aside[row]

    def _find_repeats(self) -> None:
        """After a reconnection, find what goes out again.

        A broker that was killed may have lost all that it acknowledged within the window, and does not say so.

        Raises:
            Unavailable: the disk does not tell.
        """
        since_s = self._time.now_s - self._resend_window_s
        self._repeats |= dict.fromkeys(self._spool.acknowledged(since_s))
        self._repeats |= dict.fromkeys(row for row, stamp_s in self._owed.items() if stamp_s >= since_s)
        self._look_back = False
        if self._repeats:
            log.info("connected again; the latest events are sent once more", extra={"events": len(self._repeats)})

    def _release(self) -> None:
        """After a reconnection, release rows that were too large for the broker and are not any more.

        Raises:
            Unavailable: the disk does not take it.
        """
        large = [one for one in self._spool.all_aside() if one.reason == TOO_LARGE]
        self._spool.release(one.row for one in large if self._fits(one.topic, one.size_bytes))
        self._look_aside = False

    def _choose(self, room: int, now_s: float) -> list[SpoolEntry]:
        """Return what to send next: the suspect alone, else new events, repeats, what was refused or set aside.

        Raises:
            Unavailable: the disk does not tell.
        """
        if (suspect := self._window.suspect) is not None:
            found = self._spool.load([suspect])
            if not found:
                self._window.acquit(suspect)
            return found
        under_way = set(self._window.rows.values())
        skip = under_way | self._owed.keys() | self._aside.keys()
        fresh = self._spool.peek(room, skip=skip | self._refused)
        if fresh:
            return fresh
        few = min(room, REPEATS_IN_FLIGHT - len(under_way))
        if few > 0 and self._repeats:
            rows = [row for row in self._repeats if row not in under_way | self._refused][:few]
            found = self._spool.load(rows)
            for row in set(rows) - {one.row for one in found}:  # evicted meanwhile
                del self._repeats[row]
            if found:
                return found
        if self._refused:
            self._refused.clear()
            return self._spool.peek(room, skip=skip)
        if not under_way and now_s >= self._second_chance_s:
            self._second_chance_s = now_s + SECOND_CHANCE_S
            return self._second_chance()
        return []

    def _second_chance(self) -> list[SpoolEntry]:
        """One of the messages during which connections ended, each in its turn: pending again until it ends one."""
        rows = [one.row for one in self._spool.all_aside() if one.reason == ENDS_CONNECTIONS]
        row = next((row for row in rows if row > self._second_chance_row), next(iter(rows), None))
        if row is None:
            return []
        self._second_chance_row = row
        self._spool.release([row])
        return self._spool.load([row])

    def _send(self, chosen: list[SpoolEntry]) -> int:
        sent = 0
        for one in chosen:
            if not self._fits(one.topic, len(one.payload)):
                self._window.acquit(one.row)
                self._put_aside(one.row, TOO_LARGE, size=len(one.payload), limit=self._maximum_packet or 0)
                continue
            try:
                mid = self._outlet.publish(one.topic, one.payload, content_type=EVENT_CONTENT_TYPE)
            except UnavailableError:
                break
            except ValueError:  # what paho says of a topic
                self._window.acquit(one.row)
                self._put_aside(one.row, UNSENDABLE)
                continue
            self._window.on_sent(mid, one.row)
            sent += 1
        return sent

    def _fits(self, topic: str, payload_bytes: int) -> bool:
        most = self._maximum_packet
        return most is None or publish_bytes(topic, payload_bytes, EVENT_CONTENT_TYPE) <= most

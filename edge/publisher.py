"""Publish events from the spool to the broker. An event stays in the spool until its PUBACK.

`InFlightWindow` (`edge.in_flight`) holds the rules: which rows are under way, what a PUBACK means, when to retry.
`SpoolPublisher` connects it with the spool and the broker.

1. New events are sent first. After a reconnection the recently acknowledged events are sent again, when no new event
   waits. A broker that was killed loses acknowledged events that it had not written.
2. An acknowledgement is kept in memory until the disk has it. A failing disk does not stop publishing.
3. A message that the broker cannot take is set aside in the spool. A message that it refuses waits behind all others.
4. Level series that it refuses, or that no hub receives, wait while events go on (`edge.refused_series`).
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
from edge.refused_series import RefusedSeries
from edge.spool import Spool
from edge.spool_entries import ENDS_CONNECTIONS, TOO_LARGE, UNSENDABLE, SpoolEntry
from shared.errors import UnavailableError
from shared.messages import EVENT_CONTENT_TYPE
from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER, publish_bytes
from shared.mqtt.signals import Acknowledged, Connected, Disconnected, MqttEvent, Received
from shared.mqtt.topics import ALL_INTAKES

log = logging.getLogger(__name__)

REPEATS_IN_FLIGHT: Final = 4
"""Most messages under way when a repeat is sent, so that a new event never waits behind many repeats."""
TAKEN_OVER: Final = "taken_over"
"""Name of the spool's note with the time of the latest takeover of the session, for `check`."""
CALM_S: Final = 600.0
"""A connection that lives this many seconds shows that no rival client ends the connections."""
SECOND_CHANCE_S: Final = 600.0
"""Seconds between retries of a message that was set aside because connections ended, when nothing else waits."""


class SpoolPublisher:
    """Move rows from the spool to the broker. Only one thread may call the methods; any may read the attributes.

    No method raises because of the disk or the broker.

    Args:
        outlet: connection to the broker; it repeats no message by itself.
        spool: source of the rows; it stores their acknowledgements.
        resend_window_s: seconds of connection for which acknowledged rows are sent again after a reconnection.
        patience_s: seconds without an accepting hub before events are held.
        window: rules of the messages under way; a new one by default.

    Attributes:
        published: events that the broker acknowledged, including backlog and repeats.
        last_published_s: time of the latest acknowledgement, in seconds since the epoch; 0 before the first.
        taken_over: connections that another client with this sensor's client id ended.
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
        self._series = RefusedSeries()
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
        """Return whether the broker is connected, according to the signals handled so far."""
        return self._online

    @property
    def holding(self) -> bool:
        """Return whether the last `publish_pending` kept events in the spool because no hub accepts them."""
        return self._held

    @property
    def drained(self) -> bool:
        """Return whether the broker has all readable events and repeats, except those that are set aside.

        Level series that it refuses stay in the spool for the next run.
        """
        repeating = self._look_back or bool(self._repeats)
        settled = len(self._owed) + len(self._aside) + self._spool.unreadable()
        if repeating:
            return False
        return self._spool.pending() <= settled or (self._series.refused and not self._events_wait())

    def handle(self, signals: list[MqttEvent], now_s: float, wall_s: float) -> None:
        """Handle the broker's signals, in order.

        Args:
            signals: signals since the last call.
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
        """Record that another client announces this sensor. It ends this agent's connections."""
        self._rival = True
        self._outlet.rival()
        if self._end_code != SESSION_TAKEN_OVER:  # `_ended` has counted it
            self._count_takeover()

    def publish_pending(self, now_s: float) -> int:
        """Send as many rows as the window allows; return their number."""
        held = self._hubs.should_hold(now_s)
        if held != self._held:
            self._held = held
            log.warning("no hub takes events; they stay in the spool" if held else "a hub takes events again")
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
        """Delete rows acknowledged before the resend window, in time of connection; return their number."""
        if not self._online or self._look_back:
            return 0
        before_s = self._time.now_s - self._resend_window_s
        keep, purged = {*self._repeats, *self._window.rows.values()}, list[int]()
        self._disk.attempt("purge", lambda: purged.append(self._spool.purge(before_s, keep)), now_s)
        return sum(purged)

    def _events_wait(self) -> bool:
        """Return whether the spool has events to send, beside level series."""
        try:
            settled = {*self._owed, *self._aside}
            return bool(self._window.rows) or bool(self._spool.peek(1, skip=settled, levels=False))
        except UnavailableError:
            return True

    def _connected(self, signal: Connected, now_s: float) -> None:
        self._online = True
        self._up_since_s = now_s
        self._look_back = self._resend_window_s > 0
        self._look_aside = True
        self._maximum_packet = signal.maximum_packet
        most = signal.receive_maximum
        self._window.connected(None if most is None else most - 2)  # reserved for the state and for a reply
        self._time.connected(now_s)
        self._hubs.reset()
        self._series.connected()
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
        match self._window.on_puback(mid, reason, now_s, apart=self._series.under_way):
            case Rejected(row, reason) if row in self._series.under_way:
                self._series.on_rejected(row, reason, now_s)
                self._repeats.pop(row, None)
            case Acked(row):
                self._warned = False
                self._refused.discard(row)
                if row in self._repeats:  # the first acknowledgement counts
                    del self._repeats[row]
                else:
                    self._owed[row] = stamp_s
                self.published += not self._series.on_acked(row)
                self.last_published_s = wall_s
                self._outlet.settled()
            case Rejected(row, reason, wait_s):
                no_hub = reason == NO_MATCHING_SUBSCRIBERS
                if reason >= FAILURE:
                    self._refused.add(row)
                log.log(
                    logging.DEBUG if self._warned else logging.WARNING,
                    "no hub is subscribed; events are kept" if no_hub else "broker refused an event; it is kept",
                    extra={"row": row, "reason": reason, "retry_in_s": round(wait_s, 1)},
                )
                self._warned = True

    def _put_aside(self, row: int, reason: str, **numbers: int) -> None:
        log.error(
            "the broker does not take an event; it is set aside in the spool",
            extra={"row": row, "reason": reason, **numbers},
        )
        self._repeats.pop(row, None)
        self._aside[row] = reason

    def _keep_marks(self) -> None:
        """Write to the spool which rows are acknowledged and which are set aside.

        Raises:
            UnavailableError: the disk does not take it.
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
        """After a reconnection, select the rows to send again.

        A broker that was killed may have lost everything that it acknowledged within the window.

        Raises:
            UnavailableError: the disk cannot be read.
        """
        since_s = self._time.now_s - self._resend_window_s
        self._repeats |= dict.fromkeys(self._spool.acknowledged(since_s))
        self._repeats |= dict.fromkeys(row for row, stamp_s in self._owed.items() if stamp_s >= since_s)
        self._look_back = False
        if self._repeats:
            log.info("connected again; the latest events are sent again", extra={"events": len(self._repeats)})

    def _release(self) -> None:
        """After a reconnection, release rows that were too large for the broker and now fit.

        Raises:
            UnavailableError: the disk does not take it.
        """
        large = [message for message in self._spool.all_aside() if message.reason == TOO_LARGE]
        self._spool.release(message.row for message in large if self._fits(message.topic, message.size_bytes))
        self._look_aside = False

    def _choose(self, room: int, now_s: float) -> list[SpoolEntry]:
        """Return the entries to send next: the suspect alone, else new, repeated, refused or set-aside ones.

        Raises:
            UnavailableError: the disk cannot be read.
        """
        if (suspect := self._window.suspect) is not None:
            entries = self._spool.load([suspect])
            if not entries:
                self._window.acquit(suspect)
            return entries
        under_way = set(self._window.rows.values())
        skip = under_way | self._owed.keys() | self._aside.keys()
        levels = self._series.may_send(now_s)
        fresh = self._spool.peek(room, skip=skip | self._refused, levels=levels)
        if fresh:
            return fresh
        few = min(room, REPEATS_IN_FLIGHT - len(under_way))
        if few > 0 and self._repeats:
            rows = [row for row in self._repeats if row not in under_way | self._refused][:few]
            entries = self._spool.load(rows)
            for row in set(rows) - {entry.row for entry in entries}:  # evicted meanwhile
                del self._repeats[row]
            if entries:
                return entries
        if self._refused:
            self._refused.clear()
            return self._spool.peek(room, skip=skip, levels=levels)
        if not under_way and now_s >= self._second_chance_s:
            self._second_chance_s = now_s + SECOND_CHANCE_S
            return self._second_chance()
        return []

    def _second_chance(self) -> list[SpoolEntry]:
        """Release the next message that was set aside because connections ended; return it, if there is one."""
        rows = [message.row for message in self._spool.all_aside() if message.reason == ENDS_CONNECTIONS]
        row = next((row for row in rows if row > self._second_chance_row), next(iter(rows), None))
        if row is None:
            return []
        self._second_chance_row = row
        self._spool.release([row])
        return self._spool.load([row])

    def _send(self, chosen: list[SpoolEntry]) -> int:
        sent = 0
        for entry in chosen:
            if not self._fits(entry.topic, len(entry.payload)):
                self._window.acquit(entry.row)
                self._put_aside(entry.row, TOO_LARGE, size=len(entry.payload), limit=self._maximum_packet or 0)
                continue
            try:
                mid = self._outlet.publish(entry.topic, entry.payload, content_type=entry.content_type)
            except UnavailableError:
                break
            except ValueError:  # paho rejects the topic
                self._window.acquit(entry.row)
                self._put_aside(entry.row, UNSENDABLE)
                continue
            self._window.on_sent(mid, entry.row)
            if entry.has_levels:
                self._series.under_way.add(entry.row)
            sent += 1
        return sent

    def _fits(self, topic: str, payload_bytes: int) -> bool:
        most = self._maximum_packet
        return most is None or publish_bytes(topic, payload_bytes, EVENT_CONTENT_TYPE) <= most

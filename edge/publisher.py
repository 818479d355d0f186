"""Publish events from the spool to the broker. An event stays in the spool until its PUBACK.

`SpoolPublisher` connects the spool and the broker with the rules:

1. `InFlightWindow` (`edge.in_flight`): which rows are under way, what a PUBACK means, when to retry.
2. `SendQueue` (`edge.send_queue`): which rows are next. Live events are sent before the backlog, which is marked as
   such in each message. The events acknowledged recently on an earlier connection are sent again, because a broker
   that was killed loses acknowledged events that it had not written.
3. `SpoolMarks` (`edge.spool_marks`): an acknowledgement is kept in memory until the disk has it. A failing disk does
   not stop publishing.
4. `RefusedSeries` (`edge.refused_series`): level series that it refuses wait while events go on.

A message that the broker cannot take is set aside in the spool. A message that it refuses waits behind all others.
"""

import logging
from datetime import UTC, datetime
from typing import Final

from edge.broker_protocol import MqttPublisher
from edge.connection_clock import ConnectedTime
from edge.disk_guard import DiskGuard
from edge.hub_availability import HubAvailability
from edge.in_flight import Acked, InFlightWindow, Rejected
from edge.refused_series import RefusedSeries
from edge.send_queue import SendQueue
from edge.spool import Spool
from edge.spool_entries import ENDS_CONNECTIONS, TOO_LARGE, UNSENDABLE, SpoolEntry
from edge.spool_marks import SpoolMarks
from shared.errors import UnavailableError
from shared.messages.event import EVENT_CONTENT_TYPE
from shared.messages.event_edits import mark_backlog
from shared.mqtt.session import FAILURE, NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER, publish_bytes
from shared.mqtt.signals import Acknowledged, Connected, Disconnected, MqttEvent, Received
from shared.mqtt.topics import ALL_INTAKES

log = logging.getLogger(__name__)

TAKEN_OVER: Final = "taken_over"
"""Name of the spool's note with the time of the latest takeover of the session, for `check`."""
CALM_S: Final = 600.0
"""A connection that lives this many seconds shows that no rival client ends the connections."""


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
        self._marks = SpoolMarks(spool)
        self._queue = SendQueue(spool, self._marks, self._window)
        self._series = RefusedSeries()
        self._look_back = False
        self._look_aside = False
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
        if self._look_back or self._queue.repeats:
            return False
        settled = len(self._marks) + self._spool.unreadable()
        return self._spool.pending() <= settled or (self._series.refused and not self._queue.events_wait())

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
        self._disk.attempt("acknowledge", self._marks.write, now_s)
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
            self._queue.start_backlog()
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
            levels = self._series.may_send(now_s)
            self._disk.attempt("read", lambda: chosen.extend(self._queue.choose(room, now_s, levels=levels)), now_s)
        return self._send(chosen)

    def purge(self, now_s: float) -> int:
        """Delete rows acknowledged before the resend window, in time of connection; return their number."""
        if not self._online or self._look_back:
            return 0
        before_s = self._time.now_s - self._resend_window_s
        keep, purged = {*self._queue.repeats, *self._window.rows.values()}, list[int]()
        self._disk.attempt("purge", lambda: purged.append(self._spool.purge(before_s, keep)), now_s)
        return sum(purged)

    def expire(self, max_age_s: float, now_s: float) -> int:
        """Delete events that were in the spool for more than `max_age_s`; return their number."""
        expired: list[int] = []
        self._disk.attempt("expire", lambda: expired.append(self._spool.expire(max_age_s)), now_s)
        if any(expired):
            log.warning("events in the spool are too old and are dropped", extra={"events": sum(expired)})
        return sum(expired)

    def _connected(self, signal: Connected, now_s: float) -> None:
        self._online = True
        self._queue.start_backlog()
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
                self._queue.remove(row)
            case Acked(row):
                if self._warned:
                    self._queue.start_backlog()
                self._warned = False
                if not self._queue.remove(row):  # the first acknowledgement counts
                    self._marks.acknowledge(row, stamp_s)
                self.published += not self._series.on_acked(row)
                self.last_published_s = wall_s
                self._outlet.settled()
            case Rejected(row, reason, wait_s):
                no_hub = reason == NO_MATCHING_SUBSCRIBERS
                if reason >= FAILURE:
                    self._queue.refuse(row)
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
        self._queue.remove(row)
        self._marks.set_aside(row, reason)

    def _find_repeats(self) -> None:
        """After a reconnection, select the rows to send again.

        A broker that was killed may have lost everything that it acknowledged within the window.

        Raises:
            UnavailableError: the disk cannot be read.
        """
        self._queue.add_repeats(self._time.now_s - self._resend_window_s)
        self._look_back = False

    def _release(self) -> None:
        """After a reconnection, release rows that were too large for the broker and now fit.

        Raises:
            UnavailableError: the disk does not take it.
        """
        large = [message for message in self._spool.all_aside() if message.reason == TOO_LARGE]
        self._spool.release(message.row for message in large if self._fits(message.topic, message.size_bytes))
        self._look_aside = False

    def _send(self, chosen: list[SpoolEntry]) -> int:
        sent = 0
        for entry in chosen:
            marked = self._queue.is_backlog(entry.row) and not entry.has_levels
            payload = mark_backlog(entry.payload) if marked else entry.payload
            if not self._fits(entry.topic, len(payload)):
                self._window.acquit(entry.row)
                self._put_aside(entry.row, TOO_LARGE, size=len(payload), limit=self._maximum_packet or 0)
                continue
            try:
                mid = self._outlet.publish(entry.topic, payload, content_type=entry.content_type)
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

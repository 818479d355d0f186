"""Take level series from the broker to the store, on a connection and a thread of their own.

1. Hubs of a group divide the series by a shared subscription. A burst of series holds up no event.
2. A series is acknowledged once the store has it. At most `CAPACITY` messages are received and not acknowledged. When
   the store is away and that many wait, the hub disconnects until they are stored: the broker keeps the rest.
3. A message that is not valid becomes a dead letter with the reason. So does one whose time cannot be and cannot be
   corrected (`hub.ingest.level_times`), once it has waited `HOLD_S` for a report of its sensor.
"""

import logging
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hub.ingest.capture_times import ClockRules
from hub.ingest.consumer import MAX_BLOCK_S
from hub.ingest.event_subscription import ASK_AGAIN_S
from hub.ingest.level_times import LevelTimes, PlacedSeries, Unplaced
from hub.ingest.subscription import level_client_id
from hub.metrics.definitions import HubMetrics
from hub.store.dead_letters import HEAD_BYTES, LetterKind
from hub.store.events import EventStore
from hub.store.level_offsets import LevelOffsets
from hub.store.levels import LevelStore
from shared.errors import InvalidError, OverloadedError, UnavailableError, UnsupportedError
from shared.level_series import SERIES_CAP_BYTES, LevelSeries, decode_series
from shared.mqtt.session import FAILURE, Connected, MqttEvent, MqttSession, Received, Subscribed
from shared.mqtt.topics import SensorTopic, shared_level_subscription
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

CAPACITY: Final = 256
HOLD_S: Final = 5.0
"""Seconds for which a series with a wrong time waits: the report of its sensor comes on another connection."""
_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class LevelRules:
    """Who takes series, and how they are judged and acknowledged.

    Attributes:
        hub: name of the hub.
        group: hubs of one group divide the series among themselves.
        clock: how far clocks are believed.
        durable: whether series must be on the store's disk before they are acknowledged.
    """

    hub: str
    group: str
    clock: ClockRules
    durable: bool = False


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A message that becomes a dead letter, and why."""

    message: Received
    reason: str
    kind: LetterKind


class LevelConsumer:
    """Takes level series and stores them.

    Args:
        settings: connection to the broker.
        archive: store of sensors and dead letters, whose client keeps the levels.
        metrics: the hub's metrics.
        rules: who takes series, and how they are judged and acknowledged.
    """

    def __init__(self, settings: MqttSettings, archive: EventStore, metrics: HubMetrics, rules: LevelRules) -> None:
        self._subscription = shared_level_subscription(rules.group)
        self._archive = archive
        self._levels = LevelStore(archive.client, archive.rows)
        self._metrics = metrics
        self._rules = rules
        self._offsets = LevelOffsets(archive.client, archive.rows)
        self._times = LevelTimes(archive.sensors, self._offsets, rules.clock.tolerance)
        self._signals: queue.Queue[MqttEvent] = queue.Queue(maxsize=CAPACITY)
        self._suspended = threading.Event()
        self._ask_again_s: float | None = None
        self._received: list[Received] = []
        self._held: list[tuple[Received, LevelSeries, float]] = []
        self._series: deque[tuple[Received, PlacedSeries]] = deque()
        self._rejected: deque[_Rejected] = deque()
        self._handled: deque[Received] = deque()
        self._link = MqttSession(
            settings, level_client_id(rules.hub), receive_maximum=CAPACITY, on_signal=self._on_mqtt_event
        )
        self.worker = Worker("levels", self._step)

    def start(self) -> None:
        """Start to receive series."""
        self._link.start()
        self.worker.start()

    def stop(self) -> None:
        """Stop; the broker keeps what was not acknowledged."""
        self.worker.stop()
        self._link.stop()

    def _on_mqtt_event(self, signal: MqttEvent) -> None:
        """Enqueue; without room for long, step back from the broker. This runs in the network thread."""
        if isinstance(signal, Received) and len(signal.payload) > HEAD_BYTES:
            signal = replace(signal, payload=signal.payload[: HEAD_BYTES + 1])  # it is over the cap anyway
        try:
            self._signals.put(signal, timeout=MAX_BLOCK_S)
        except queue.Full:
            self._suspended.set()
            self._link.pause()
            self._metrics.pauses.inc()

    def _step(self) -> float:
        """Handle what waits; after an error, all that is not acknowledged is handled again."""
        if not (self._received or self._series or self._rejected or self._handled):
            self._receive()
        self._sort()
        while self._rejected:
            self._bury(self._rejected[0])
            self._handled.append(self._rejected.popleft().message)
        self._store()
        if self._handled and self._rules.durable:
            self._archive.wait_for_disk()
        while self._handled:
            self._link.acknowledge(self._handled.popleft())
        return 0.0

    def _receive(self) -> None:
        """Take all that waits; if there is nothing, wait a while."""
        try:
            self._take(self._signals.get(timeout=_WAIT_S))
            while len(self._received) < CAPACITY:
                self._take(self._signals.get_nowait())
        except queue.Empty:
            pass
        if self._suspended.is_set() and not self._received:
            self._suspended.clear()
            self._link.resume()
        if self._ask_again_s is not None and time.monotonic() >= self._ask_again_s and self._link.connected:
            self._ask_again_s = None
            self._link.subscribe(self._subscription)

    def _take(self, signal: MqttEvent) -> None:
        match signal:
            case Connected():
                self._ask_again_s = None
                self._link.subscribe(self._subscription)
            case Subscribed(reason=reason) if reason >= FAILURE:  # its ACL may be corrected
                self._ask_again_s = time.monotonic() + ASK_AGAIN_S
            case Received():
                self._received.append(signal)

    def _sort(self) -> None:
        """Decode what was received; hold or reject what has no time, and reject what is not valid."""
        held, until_s = list(self._held), time.monotonic() + HOLD_S
        rejected: list[_Rejected] = []
        for message in self._received:
            try:
                held.append((message, _decoded(message), until_s))
            except InvalidError as error:
                kind: LetterKind = "unsupported" if isinstance(error, UnsupportedError) else "invalid"
                rejected.append(_Rejected(message, str(error), kind))
        placed = self._times.place([one for _, one, _ in held], self._rules.clock.now(), self._rules.clock.doubts())
        self._received, self._held = [], []
        self._rejected += rejected
        for (message, one, hold_s), found in zip(held, placed, strict=True):
            if isinstance(found, PlacedSeries):
                self._series.append((message, found))
            elif found.waits and time.monotonic() < hold_s:
                self._held.append((message, one, hold_s))
            else:
                self._reject(message, one, found)

    def _reject(self, message: Received, one: LevelSeries, why: Unplaced) -> None:
        self._rejected.append(_Rejected(message, why.reason, "invalid"))
        self._metrics.level_seconds.labels("rejected").inc(one.duration_s)

    def _store(self) -> None:
        """Store the series, all at once; if that raises an unexpected error, one by one."""
        if not self._series:
            return
        try:
            self._add([one for _, one in self._series])
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            log.exception("level series could not be stored: they are tried one by one")
            self._store_singly()
        self._handled += [message for message, _ in self._series]
        self._series.clear()

    def _store_singly(self) -> None:
        while self._series:
            message, one = self._series[0]
            try:
                self._add([one])
            except (UnavailableError, OverloadedError):
                raise
            except Exception:  # noqa: BLE001 - the dead letter holds it
                self._bury(_Rejected(message, traceback.format_exc(), "bug"))
            self._handled.append(message)
            self._series.popleft()

    def _add(self, placed: Sequence[PlacedSeries]) -> None:
        for one in placed:
            if one.offset is not None:
                self._offsets.add(one.series.place, one.offset)
        self._levels.add_many([one.series for one in placed], self._rules.clock.now())
        for one in placed:
            present = int(one.series.present.sum())
            self._metrics.level_seconds.labels("stored" if one.offset is None else "retimed").inc(present)
            self._metrics.level_seconds.labels("missing").inc(one.series.duration_s - present)

    def _bury(self, rejected: _Rejected) -> None:
        message = rejected.message
        self._archive.letters.put(
            topic=message.topic,
            payload=message.payload,
            reason=rejected.reason,
            received_at=self._rules.clock.now(),
            kind=rejected.kind,
        )
        self._metrics.dead_letters.inc()
        if rejected.kind == "bug":
            self._metrics.quarantined.inc()
        log.warning(
            "level series dead-lettered",
            extra={"topic": message.topic[:500], "kind": rejected.kind, "reason": rejected.reason[-500:]},
        )


def _decoded(message: Received) -> LevelSeries:
    """Return the series in a message.

    Raises:
        InvalidError: not a series, or one on the topic of another sensor.
    """
    if len(message.payload) > SERIES_CAP_BYTES:
        raise InvalidError(f"the message of a level series is over the cap of {SERIES_CAP_BYTES} bytes")
    return decode_series(message.payload, SensorTopic.parse(message.topic))

"""The agent of one sensor: a worker thread captures into the spool, the main thread publishes from it.

1. The worker (`edge.capture`) puts events in the spool and wakes the main thread.
2. The main thread handles the broker's signals and publishes events (`edge.publisher`). It logs and counts an
   unexpected error in a step, and continues with the next step after a wait.
3. After each connect the main thread publishes the retained state `ready` before any event. It publishes the state
   again every `sensor.report_interval_s`, with a report of the spool (`edge.sensor_report`).
4. The last will is the state `lost` with the same boot id. A clean stop publishes `disconnected` first.
5. If a port is set, the metrics server reads plain values of both threads on threads of its own (`edge.metrics`).
6. If `commands.enabled` is set, the main thread runs the commands of hubs (`edge.commands`). Some end the run.
7. The run ends when the source has ended and the spool is empty, or when a signal stops it.
"""

import logging
import queue
import threading
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal

from edge.capture import Capture
from edge.commands.remote_settings import RemoteSettings
from edge.commands.service import CommandService
from edge.event_times import TimeCorrectingPublisher
from edge.extractor import open_extractor
from edge.publisher import SpoolPublisher
from edge.run_summary import RunSummary
from edge.sensor_report import Announcer, Running, announced, payload_format, previous_event
from edge.settings import EdgeSettings
from edge.sources import Source, open_source
from edge.spool import Spool
from edge.spool_writer import Destination
from edge.system_health import SystemHealth
from shared.errors import UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE, encode_json
from shared.messages.sensor import STATE_EXPIRY_S, StateMessage
from shared.mqtt.diagnostics import client_certificate_expiry
from shared.mqtt.session import Acknowledged, Connected, LastWill, MqttEvent, MqttSession, Received
from shared.mqtt.topics import SensorTopic
from shared.service_manager import Watchdog

log = logging.getLogger(__name__)

TICK_S: Final = 0.2
"""Longest sleep of the main thread in seconds. It bounds the delay of a stop, of a retry and of a purge."""
FAREWELL_S: Final = 2.0
"""Seconds that a clean stop waits for the PUBACK of the state `disconnected`."""
PURGE_S: Final = 1.0
STUCK_S: Final = 120.0
"""A live source without progress for this many seconds is stuck; a missing microphone is tried more often."""
LONGEST_REST_S: Final = 30.0
"""Longest wait of the main thread after consecutive unexpected errors."""


@dataclass(frozen=True, slots=True)
class _WakeUp:
    """The worker has put an event in the spool, or has ended."""


class Agent:
    """One run of a sensor, from opened source to summary.

    Args:
        settings: settings of this sensor.
        remote: settings that hubs may change; None accepts no commands.

    Raises:
        InvalidError: the source's data does not match the settings.
        UnavailableError: the source of a replay or the spool cannot be opened.
    """

    def __init__(self, settings: EdgeSettings, remote: RemoteSettings | None = None) -> None:
        self._settings = settings
        self._boot = uuid.uuid4().hex[:12]
        self._source: Source = open_source(settings)
        self._extractor = open_extractor(settings)
        self._spool = Spool(settings.spool_path(), settings.spool.max_bytes)
        self._inbox: queue.Queue[MqttEvent | _WakeUp] = queue.Queue()
        self._topic = str(SensorTopic(settings.sensor.site, settings.sensor.name, "state"))
        self._announcer = Announcer(
            settings,
            self._boot,
            form=payload_format(settings, self._extractor, self._source),
            certificate_end=client_certificate_expiry(settings.mqtt),
            previous=previous_event(self._spool),
        )
        self._link = MqttSession(
            settings.mqtt,
            settings.client_id(),
            will=LastWill(self._topic, encode_json(self._announcer.state("lost"))),
            on_signal=self._inbox.put,
        )
        self._capture = Capture(
            settings, self._source, Destination(self._spool, self._notify), self._boot, self._extractor
        )
        self._publisher = SpoolPublisher(
            TimeCorrectingPublisher(self._link, self._capture.clock, self._boot),
            self._spool,
            resend_window_s=settings.spool.resend_window_s,
            patience_s=settings.spool.hold_after_s,
        )
        self._stop_capture = threading.Event()
        self._failure: BaseException | None = None
        self._worker = threading.Thread(target=self._run_capture, name="capture", daemon=True)
        self._purge_due_s = 0.0
        self._report_due_s = 0.0
        health = SystemHealth(settings.spool_path())
        self._running = Running(self._capture.tally, self._spool, self._publisher, health)
        self._commands: CommandService | None = None
        if remote is not None and settings.commands.enabled:
            self._commands = CommandService(self._link, remote, self._capture.clip_requests, self._ready)
        self._watchdog = Watchdog.of_this_process()
        self._reported_faults: object = None
        self._announced = False
        self._errors = 0

    @property
    def restart_due(self) -> bool:
        """Return whether a command of a hub asks the program to start itself again."""
        return self._commands is not None and self._commands.restart_due(time.monotonic())

    def run(self, stop: threading.Event, drain_s: float = 10.0) -> RunSummary:
        """Run until the source has ended and the spool is empty, or until `stop` is set.

        Args:
            stop: flag set by a signal handler. Capture then ends at once, publishing after at most `drain_s`.
            drain_s: seconds that a stop may wait for the spool to empty while the broker is connected.

        Raises:
            UnavailableError: the source failed for good.
        """
        log.info(
            "sensor starts",
            extra={
                "place": f"{self._settings.sensor.site}/{self._settings.sensor.name}",
                "boot": self._boot,
                "source": self._source.description,
                "levels": self._capture.calibration.description,
                "backlog": self._spool.pending(),
            },
        )
        self._link.start(owner_resends=True)
        self._worker.start()
        try:
            with self._metrics():
                self._loop(stop, drain_s)
                self._publish_offline()
        finally:
            self._stop_capture.set()
            self._link.stop()
            self._worker.join()
            summary = self._summary()
            self._spool.close()
        log.info("sensor stops", extra={"captured": summary.captured, "left_in_spool": summary.spooled})
        return summary

    def _metrics(self) -> AbstractContextManager[None]:
        """Return a context that serves metrics if a port is set."""
        if self._settings.metrics.port == 0:
            return nullcontext()
        try:
            from edge.metrics import EdgeMetrics, serve_metrics  # noqa: PLC0415 - others need no prometheus_client
        except ImportError as error:
            log.warning(
                "metrics are not served: pip install 'earwitness[edge]', or set metrics.port to 0",
                extra={"reason": str(error)},
            )
            return nullcontext()
        metrics = EdgeMetrics(self._announcer.state("ready"), self._running, self._unexpected_errors)
        return serve_metrics(metrics, self._settings.metrics)

    def _unexpected_errors(self) -> int:
        return self._errors

    def _loop(self, stop: threading.Event, drain_s: float) -> None:
        deadline_s: float | None = None
        rest_s = TICK_S
        while True:
            try:
                self._step()
                rest_s = TICK_S
            except Exception:
                self._errors += 1
                log.exception("unexpected error; the agent goes on", extra={"errors": self._errors, "rest_s": rest_s})
                stop.wait(rest_s)
                rest_s = min(LONGEST_REST_S, 2 * rest_s)
            if self._failure is not None:
                raise self._failure
            if self.restart_due:
                return
            ended = not self._worker.is_alive()
            if ended and self._publisher.drained:
                return
            if stop.is_set():
                self._stop_capture.set()
                now_s = time.monotonic()
                deadline_s = now_s + drain_s if deadline_s is None else deadline_s
                if ended and (now_s >= deadline_s or not self._publisher.online):
                    return

    def _step(self) -> None:
        """Wait for signals, handle all of them, and publish the events that may be sent now."""
        signals = self._receive(TICK_S)
        now_s = time.monotonic()
        self._look_for_rivals(signals)
        self._publisher.handle(signals, now_s, time.time())
        if self._commands is not None:
            self._commands.handle(signals, now_s)
        fill = self._spool.usage()
        faults = (fill.aside, fill.lost, bool(self._capture.tally.failure), self._capture.tally.clock_jumps)
        if faults != self._reported_faults or any(isinstance(signal, Connected) for signal in signals):
            self._reported_faults, self._report_due_s = faults, now_s
        if self._publisher.online and now_s >= self._report_due_s:
            self._report_due_s = now_s + self._settings.sensor.report_interval_s
            self._announce("ready")
        self._publisher.publish_pending(now_s)
        waits = not self._source.live or not self._worker.is_alive()
        if waits or now_s - self._capture.tally.progress_s < STUCK_S:
            self._watchdog.report(now_s)
        if now_s >= self._purge_due_s:
            self._purge_due_s = now_s + PURGE_S
            self._publisher.purge(now_s)
            self._publisher.expire(self._settings.spool.max_age_s, now_s)

    def _look_for_rivals(self, signals: list[MqttEvent]) -> None:
        """Detect another client with this name by its state message after this agent's own.

        Mosquitto 2.0.11 ends the connection of a session that is taken over without sending the reason.
        """
        for signal in signals:
            match signal:
                case Connected():
                    self._link.subscribe(self._topic, qos=0)
                case Received(topic=self._topic, payload=payload):
                    boot, ready = announced(payload)
                    if boot == self._boot:
                        self._announced = True
                    elif ready and self._announced:
                        self._publisher.rival()

    def _receive(self, timeout_s: float) -> list[MqttEvent]:
        signals: list[MqttEvent] = []
        try:
            news = self._inbox.get(timeout=timeout_s)
            while True:
                if not isinstance(news, _WakeUp):
                    signals.append(news)
                news = self._inbox.get_nowait()
        except queue.Empty:
            return signals

    def _ready(self) -> StateMessage:
        return self._announcer.state("ready", self._running)

    def _announce(self, state: Literal["ready", "disconnected"]) -> int | None:
        try:
            payload = encode_json(self._announcer.state(state, self._running))
            return self._link.publish(
                self._topic, payload, retain=True, content_type=JSON_CONTENT_TYPE, expiry_s=STATE_EXPIRY_S
            )
        except UnavailableError:
            return None

    def _publish_offline(self) -> None:
        """Publish `disconnected` and wait at most `FAREWELL_S` for the PUBACK."""
        mid = self._announce("disconnected") if self._publisher.online else None
        deadline_s = time.monotonic() + FAREWELL_S
        while mid is not None and time.monotonic() < deadline_s:
            signals = self._receive(TICK_S)
            self._publisher.handle(signals, time.monotonic(), time.time())
            if any(isinstance(signal, Acknowledged) and signal.mid == mid for signal in signals):
                return

    def _run_capture(self) -> None:
        try:
            self._capture.run(self._stop_capture)
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
            self._failure = error
        finally:
            self._notify()

    def _notify(self) -> None:
        self._inbox.put(_WakeUp())

    def _summary(self) -> RunSummary:
        tally = self._capture.tally
        return RunSummary(
            sensor=self._settings.sensor.name,
            captured=tally.captured,
            published=self._publisher.published,
            spooled=self._spool.pending(),
            set_aside=self._spool.usage().aside,
            dropped=tally.dropped,
            unreadable=tally.unreadable,
        )

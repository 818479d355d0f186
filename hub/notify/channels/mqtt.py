"""Publish alerts on the site's alert topic, with QoS 1; this channel is always enabled.

Subscribers receive every alert at once, without digests or quiet hours. The publisher has its own connection: a full
hub disconnects its consumer from the broker, which must neither delay alerts nor repeat them. Hubs of one archive
share the alerts. Another hub publishes an alert that a hub claimed and did not bring to the broker.
"""

import logging
import queue
import time
from contextlib import suppress
from typing import Final

from hub.metrics.definitions import HubMetrics
from hub.notify.outbox import Notification, Outbox
from shared.errors import UnavailableError
from shared.messages.codec import JSON_CONTENT_TYPE, encode_json
from shared.mqtt.session import FAILURE, Acknowledged, MqttSession
from shared.mqtt.topics import HEARTBEAT_SITE, AlertTopic
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

_AT_ONCE: Final = 256
"""Maximum number of alerts without a PUBACK."""
_WAIT_S: Final = 0.2
_LEFT_OVER_EVERY_S: Final = 30.0
_GRACE_S: Final = 2.0
"""Time that a stopping hub waits for the broker's last PUBACKs, in seconds."""


class MqttAlertPublisher:
    """Publishes alerts on its own thread.

    Args:
        outbox: keeps each alert until the broker acknowledged it.
        settings: connection to the broker.
        client_id: MQTT client id, stable over restarts.
        hub: name of this hub, which claims alerts under it.
        metrics: the hub's metrics.
    """

    def __init__(
        self, *, outbox: Outbox, settings: MqttSettings, client_id: str, hub: str, metrics: HubMetrics
    ) -> None:
        self._outbox = outbox
        self._hub = hub
        self._metrics = metrics
        self._link = MqttSession(settings, client_id)
        self._under_way: dict[int, Notification] = {}
        self._taken: list[Notification] = []  # the broker has them, the outbox does not know it yet
        self._look_at = 0.0
        self.worker = Worker("alerts", self._step, finish=self._finish)

    def start(self) -> None:
        """Start publishing."""
        self._link.start()
        self.worker.start()

    def stop(self) -> None:
        """Stop; this hub publishes the remaining alerts after its next start, or another hub does."""
        self.worker.stop()
        self._link.stop()

    def _step(self) -> float:
        """Publish pending alerts, or wait for some; handle the broker's PUBACKs."""
        ready = self._link.connected and len(self._under_way) < _AT_ONCE
        if ready:
            self._send_due()
        self._handle_pubacks(wait_s=0.0 if ready else _WAIT_S)
        return 0.0

    def _finish(self) -> None:
        """Wait at most `_GRACE_S` for the broker's last PUBACKs, and handle them."""
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until and (self._taken or (self._under_way and self._link.connected)):
            with suppress(UnavailableError):
                self._handle_pubacks(wait_s=_WAIT_S)

    def _send_due(self) -> None:
        left_over = time.monotonic() >= self._look_at
        due = self._outbox.claim(
            self._hub, limit=_AT_ONCE - len(self._under_way), wait_s=_WAIT_S, left_over=left_over
        )
        if left_over:
            self._look_at = time.monotonic() + _LEFT_OVER_EVERY_S
        under_way = {message.name for message in (*self._under_way.values(), *self._taken)}
        for message in due:
            if message.name not in under_way:
                self._send(message)

    def _send(self, message: Notification) -> None:
        try:
            for alert in message.alerts:  # one, unless another program wrote the entry
                topic = str(AlertTopic(alert.site))
                mid = self._link.publish(topic, encode_json(alert), content_type=JSON_CONTENT_TYPE)
        except UnavailableError:  # the connection ended just now
            self._look_at = 0.0
        else:
            self._under_way[mid] = message

    def _handle_pubacks(self, wait_s: float) -> None:
        """Handle PUBACKs; wait at most `wait_s` seconds for the first. A rejected alert is retried later."""
        try:
            signal = self._link.signals.get(timeout=wait_s) if wait_s else self._link.signals.get_nowait()
            while True:
                match signal:
                    case Acknowledged(mid=mid, reason=reason) if mid in self._under_way:
                        message = self._under_way.pop(mid)
                        if reason < FAILURE:
                            self._taken.append(message)
                        else:
                            log.warning("alert refused by the broker", extra={"reason_code": reason})
                signal = self._link.signals.get_nowait()
        except queue.Empty:
            pass
        if self._taken:
            self._outbox.ack([message.name for message in self._taken])
            self._metrics.published.inc(sum(not _is_beat(message) for message in self._taken))
            self._taken = []


def _is_beat(message: Notification) -> bool:
    return all(alert.site == HEARTBEAT_SITE for alert in message.alerts)

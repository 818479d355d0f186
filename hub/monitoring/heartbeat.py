"""The heartbeat: a message that the hub periodically sends from a sensor's topic through the pipeline and back.

1. `HeartbeatMonitor` publishes an event of the site `heartbeat` on its own topic, as a sensor would.
2. Consumer and pipeline handle it like any event and search for matches, but do not archive it or raise alerts.
   `HeartbeatResponder` keeps an alert of it for a minute, in no list, and puts it into the outbox of MQTT.
3. The alert publisher sends it to a topic to which only hubs subscribe.
4. `HeartbeatMonitor` receives it and measures the round-trip time.

While heartbeats return, the hub publishes on a retained topic that its intake is open. It publishes that the intake
is closed before the first heartbeat of a connection and when one is missed; its last will does so when it ends.
Sensors then keep events in their spools instead of filling the broker (`edge.hub_availability`). If the broker
rejects heartbeats, the hub publishes nothing about its intake.

The round-trip time covers broker, consumer, models, Redis, outbox and publisher. It does not cover the dispatcher and
the other channels; see `earwitness_store_alerts_unpublished` and the metrics of the channels.
"""

import logging
import queue
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import numpy as np

from hub.metrics.definitions import HubMetrics, exemplar
from hub.notify.heartbeat_echo import KEPT_S
from shared.errors import InvalidError, UnavailableError
from shared.events import CLIP_S, Embedding, Event, EventId, Levels
from shared.feature_space import FeatureSpace
from shared.messages.alert import AlertMessage
from shared.messages.codec import decode_json
from shared.messages.event import EVENT_CONTENT_TYPE, encode_event
from shared.mqtt.session import (
    FAILURE,
    NO_MATCHING_SUBSCRIBERS,
    Acknowledged,
    Connected,
    Disconnected,
    LastWill,
    MqttSession,
    Received,
)
from shared.mqtt.topics import (
    HEARTBEAT_REPLY_TOPIC,
    HEARTBEAT_SITE,
    INTAKE_CLOSED,
    INTAKE_OPEN,
    ROOT,
    HubTopic,
    SensorTopic,
)
from shared.settings import MqttSettings
from shared.worker import Worker

log = logging.getLogger(__name__)

_FORGOTTEN_S: Final = 600
"""Time after which the monitor forgets a heartbeat, in seconds."""
_TICK_S: Final = 0.5
_AGAIN_S: Final = 1.0
"""Wait before repeating a heartbeat that was sent before the consumer had subscribed, in seconds."""
_NOTHING: Final = b""
"""Removes the retained state of the intake. Source: MQTT 5.0, 3.3.1.3 (a retained message of no bytes)."""


def build_heartbeat(hub: str, boot: str, number: int, space: FeatureSpace, now: datetime) -> Event:
    """Return a heartbeat: a sensor's event of silence."""
    return Event(
        id=EventId(HEARTBEAT_SITE, hub, boot, number),
        captured_at=now,
        duration_s=CLIP_S,
        rate_hz=16_000,
        levels=Levels(-100.0, -100.0),
        body=Embedding(space.id, np.zeros(space.shape, dtype=np.uint8)),
    )


class HeartbeatMonitor:
    """Sends heartbeats on its own thread while a hub runs.

    Args:
        settings: connection to the broker.
        hub: name of this hub.
        space: a feature space for which the hub has a model.
        interval_s: time between heartbeats, in seconds.
        metrics: the hub's metrics.
    """

    def __init__(
        self, settings: MqttSettings, *, hub: str, space: FeatureSpace, interval_s: float, metrics: HubMetrics
    ) -> None:
        self._hub = hub
        self._space = space
        self._interval_s = interval_s
        self._metrics = metrics
        self._boot = uuid.uuid4().hex[:12]
        self._number = 0
        self._sent: dict[str, float] = {}  # monotonic time by event, of heartbeats in flight
        self._missed: set[str] = set()  # events of these
        self._unanswered: dict[int, str] = {}  # event by message id, until the broker acknowledges it
        self._due_s = 0.0
        self._warned = False
        self._listening = False
        self._intake = str(HubTopic(hub, "intake"))
        self._published: bytes | None = None
        will = LastWill(self._intake, INTAKE_CLOSED, at_stop=True)
        self._link = MqttSession(settings.without_session(), f"earwitness-hub-{hub}-heartbeat", will=will)
        self.worker = Worker("heartbeat", self._step)

    @property
    def missing(self) -> bool:
        """Return whether heartbeats that the broker accepted did not return in time."""
        return bool(self._missed)

    def start(self) -> None:
        """Start sending heartbeats."""
        self._metrics.last_beat.set(0)
        self._link.start()
        self.worker.start()

    def stop(self) -> None:
        """Stop the thread and the connection."""
        self.worker.stop()
        self._link.stop()

    def _step(self) -> float:
        now_s = time.monotonic()
        if now_s >= self._due_s and self._listening:
            self._count_missed(now_s)
            self._beat(now_s)
            self._due_s = now_s + self._interval_s
        with suppress(queue.Empty):
            self._on_mqtt_event(self._link.signals.get(timeout=min(_TICK_S, max(0.01, self._due_s - now_s))))
        return 0.0

    def _beat(self, now_s: float) -> None:
        event = build_heartbeat(self._hub, self._boot, self._number, self._space, datetime.now(UTC))
        topic = str(SensorTopic(HEARTBEAT_SITE, self._hub, "heartbeat"))
        try:
            mid = self._link.publish(topic, encode_event(event), content_type=EVENT_CONTENT_TYPE)
        except UnavailableError:
            return
        self._number += 1
        self._unanswered[mid] = str(event.id)
        self._sent[str(event.id)] = now_s

    def _count_missed(self, now_s: float) -> None:
        """Count heartbeats that did not return in time as missed; forget them after `_FORGOTTEN_S`."""
        for event, sent_s in list(self._sent.items()):
            if now_s - sent_s > KEPT_S and event not in self._missed:
                self._missed.add(event)
                self._metrics.beats.labels("missed").inc()
                log.warning("heartbeat missed", extra={"event": event, "after_s": KEPT_S})
                self._publish_intake_state(INTAKE_CLOSED)
            if now_s - sent_s > _FORGOTTEN_S:
                del self._sent[event]
                self._missed.discard(event)

    def _on_mqtt_event(self, signal: object) -> None:
        match signal:
            case Connected():
                self._link.subscribe(HEARTBEAT_REPLY_TOPIC)
                self._listening = True
                self._published = None
                self._publish_intake_state(INTAKE_CLOSED)  # this connection may be up before the consumer's
                self._due_s = 0.0
            case Disconnected():
                self._listening = False
            case Acknowledged(mid=mid, reason=reason):
                self._on_puback(self._unanswered.pop(mid, None), reason)
            case Received() as received:
                self._link.acknowledge(received)
                self._on_reply(received)

    def _on_puback(self, event: str | None, reason: int) -> None:
        """Handle the broker's answer to a heartbeat, or, if `event` is None, to the intake state."""
        if event is not None and (reason >= FAILURE or reason == NO_MATCHING_SUBSCRIBERS):
            self._sent.pop(event, None)
            if reason >= FAILURE:
                self._publish_intake_state(_NOTHING)
            else:
                self._due_s = min(self._due_s, time.monotonic() + _AGAIN_S)
        if reason >= FAILURE and not self._warned:
            self._warned = True
            log.warning(
                "the broker rejects %s: its ACL must let hubs read and write %s",
                "the intake state" if event is None else "heartbeats",
                self._intake if event is None else f"{ROOT}/{HEARTBEAT_SITE}/{self._hub}/#",
                extra={"reason_code": reason},
            )

    def _on_reply(self, received: Received) -> None:
        try:
            event = decode_json(AlertMessage, received.payload).event
        except InvalidError as error:
            log.warning("not a heartbeat", extra={"topic": received.topic, "reason": str(error)})
            return
        sent_s = self._sent.pop(event, None)
        if sent_s is None:  # of another hub, or a duplicate
            return
        self._metrics.beat_delay.observe(received.received_s - sent_s, exemplar(event))
        self._metrics.last_beat.set(time.time())
        if event in self._missed:  # a backlog that the hub is working on; the intake stays closed
            self._missed.discard(event)
            return
        self._metrics.beats.labels("ok").inc()
        self._publish_intake_state(INTAKE_OPEN)

    def _publish_intake_state(self, intake: bytes) -> None:
        """Publish whether this hub receives events, if the published state differs."""
        if intake == self._published:
            return
        with suppress(UnavailableError):
            self._link.publish(self._intake, intake, retain=True)
            self._published = intake

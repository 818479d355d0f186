"""The heartbeat: a message that goes all the way from a sensor's topic to the alerts and back, again and again.

1. `Heart` publishes an event of the site `heartbeat` on a topic of its own, as a sensor would.
2. Intake and pipeline take it like any event, and search what resembles it, but archive nothing of it and judge
   nothing: `answer` keeps an alert of it for a minute, in no list, and puts that into the outbox of the way to MQTT.
3. The publisher of alerts sends it to the topic on which hubs alone listen.
4. `Heart` hears it, and knows how long all of that took.

While they come back, the hub says on a retained topic that its intake is open; before the first on a connection, and
when one does not, that it is closed, as its last will does when it ends. Sensors then keep what they hear instead of
filling the broker (`edge.hub_availability`). Where the broker refuses heartbeats nothing is known, and nothing said.

So one number says that broker, intake, models, store, outbox and publisher work together; what it does not pass is
the teller and the other ways out, for which `earwitness_store_alerts_unpublished` and the notifiers' own metrics are.
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
from shared.messages import EVENT_CONTENT_TYPE, AlertMessage, decode_json, encode_event
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
"""After which nobody waits for it any more."""
_TICK_S: Final = 0.5
_AGAIN_S: Final = 1.0
"""After which a heartbeat is sent again that came before the intake had subscribed to it."""
_NOTHING: Final = b""
"""Withdraws what was said of the intake. Source: MQTT 5.0, 3.3.1.3 (a retained message of no bytes)."""


def build_heartbeat(hub: str, boot: str, number: int, space: FeatureSpace, now: datetime) -> Event:
    """A heartbeat as a sensor's event, silent."""
    return Event(
        id=EventId(HEARTBEAT_SITE, hub, boot, number),
        captured_at=now,
        duration_s=CLIP_S,
        rate_hz=16_000,
        levels=Levels(-100.0, -100.0),
        body=Embedding(space.id, np.zeros(space.shape, dtype=np.uint8)),
    )


class HeartbeatMonitor:
    """Beats, in a thread of its own, while a hub runs.

    Args:
        settings: where the broker is.
        hub: name of this hub.
        space: a feature space that it has a model of.
        interval_s: time between beats, in seconds.
        metrics: where round trips are told.
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
        self._sent: dict[str, float] = {}  # monotonic time by event, of those that are under way
        self._missed: set[str] = set()  # of these
        self._unanswered: dict[int, str] = {}  # event by message id, of those that the broker did not acknowledge yet
        self._due_s = 0.0
        self._warned = False
        self._listening = False
        self._intake = str(HubTopic(hub, "intake"))
        self._said: bytes | None = None
        will = LastWill(self._intake, INTAKE_CLOSED, at_stop=True)
        self._link = MqttSession(settings.without_session(), f"earwitness-hub-{hub}-heartbeat", will=will)
        self.worker = Worker("heartbeat", self._step)

    @property
    def missing(self) -> bool:
        """Whether heartbeats that the broker took are not back in time."""
        return bool(self._missed)

    def start(self) -> None:
        """Begin to beat."""
        self._metrics.last_beat.set(0)
        self._link.start()
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()
        self._link.stop()

    def _step(self) -> float:
        now_s = time.monotonic()
        if now_s >= self._due_s and self._listening:
            self._give_up(now_s)
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

    def _give_up(self, now_s: float) -> None:
        """Count beats as missed that are not back in time; forget those that will never be."""
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
                self._said = None
                self._publish_intake_state(INTAKE_CLOSED)  # this connection may be up before the intake's
                self._due_s = 0.0
            case Disconnected():
                self._listening = False
            case Acknowledged(mid=mid, reason=reason):
                self._sent_or_not(self._unanswered.pop(mid, None), reason)
            case Received() as received:
                self._link.acknowledge(received)
                self._on_reply(received)

    def _sent_or_not(self, event: str | None, reason: int) -> None:
        """The broker said what became of a heartbeat, or, if `event` is None, of what was said of the intake."""
        if event is not None and (reason >= FAILURE or reason == NO_MATCHING_SUBSCRIBERS):
            self._sent.pop(event, None)
            if reason >= FAILURE:
                self._publish_intake_state(_NOTHING)
            else:
                self._due_s = min(self._due_s, time.monotonic() + _AGAIN_S)
        if reason >= FAILURE and not self._warned:
            self._warned = True
            log.warning(
                "the broker refuses %s: its ACL must let hubs read and write %s",
                "what is said of the intake" if event is None else "heartbeats",
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
        if sent_s is None:  # another hub's, or told twice
            return
        self._metrics.beat_delay.observe(received.received_s - sent_s, exemplar(event))
        self._metrics.last_beat.set(time.time())
        if event in self._missed:  # a backlog: it is worked on, and need not grow
            self._missed.discard(event)
            return
        self._metrics.beats.labels("ok").inc()
        self._publish_intake_state(INTAKE_OPEN)

    def _publish_intake_state(self, intake: bytes) -> None:
        """Tell sensors whether events are taken, if they were told otherwise."""
        if intake == self._said:
            return
        with suppress(UnavailableError):
            self._link.publish(self._intake, intake, retain=True)
            self._said = intake

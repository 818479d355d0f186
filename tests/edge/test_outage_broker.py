"""An outage of six hours with a real broker: what was shed is reported, and live events overtake the backlog.

The spool's clock is injected, so that the outage takes no time. How many events of the backlog arrive between a live
event's capture and its receipt does not depend on the speed of the machine. `tests/edge/test_outage.py` has the
seconds on a slow line.
"""

import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edge.capture_stats import CaptureStats
from edge.publisher import SpoolPublisher
from edge.sensor_report import Announcer, Running
from edge.settings import EdgeSettings
from edge.spool import Spool
from hub.runtime.embedded_servers import Servers
from shared.events import Embedding, Event, EventId, Flac, Levels
from shared.feature_space import EARWITNESS_SMALL
from shared.messages.codec import decode_json, encode_json
from shared.messages.event import decode_event, encode_event
from shared.messages.sensor import StateMessage
from shared.mqtt.session import Connected, MqttEvent, MqttSession, Received, Subscribed
from shared.mqtt.topics import SensorTopic
from shared.settings import MqttSettings, load_settings

CLIP_S = 10.0
CLIPS = int(6 * 3_600 / CLIP_S)
LIVE = 20
TOPIC = str(SensorTopic("outage", "roof", "event"))
SOUND = Flac(b"fLaC" + bytes(2_000))
EMBEDDING = Embedding(EARWITNESS_SMALL.id, np.zeros((EARWITNESS_SMALL.frames, EARWITNESS_SMALL.dimension), np.uint8))
MOST_BETWEEN = 20
"""Most events of the backlog that may arrive first: those under way, and those in the broker's and our queues."""


def message(seq: int, *, sound: bool = True) -> bytes:
    return encode_event(
        Event(
            id=EventId("outage", "roof", "boot", seq),
            captured_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=CLIP_S * seq),
            duration_s=CLIP_S,
            rate_hz=16_000,
            levels=Levels(-50.0, -40.0),
            body=EMBEDDING,
            sound=SOUND if sound else None,
        )
    )


SOUND_BYTES, FEATURE_BYTES = len(message(CLIPS)), len(message(CLIPS, sound=False))


@dataclass
class Clock:
    """A clock that a test moves."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Run:
    """A sensor's spool and connections to a broker.

    Attributes:
        arrived: events in order of receipt.
        received_before: number of events received before each live event was captured.
    """

    spool: Spool
    clock: Clock
    arrived: list[Event] = field(default_factory=list)
    received_before: dict[int, int] = field(default_factory=dict)
    seq: int = 0

    def capture(self) -> None:
        self.clock.now_s += CLIP_S
        self.spool.put(f"outage.roof.boot.{self.seq}", TOPIC, message(self.seq), evict=True, content="sound")
        self.seq += 1

    def receive(self, listener: MqttSession) -> None:
        for signal in signals_of(listener):
            if isinstance(signal, Received):
                listener.acknowledge(signal)
                self.arrived.append(decode_event(signal.payload))

    def drain(self, port: int) -> SpoolPublisher:
        """Connect, and capture live events, one after every tenth event of the backlog that arrived."""
        listener, sender = (MqttSession(MqttSettings(port=port), name) for name in ("outage-hub", "outage-sensor"))
        publisher = SpoolPublisher(sender, self.spool, resend_window_s=0.0, patience_s=1e9)
        try:
            listener.start()
            wait_for(listener, Connected)
            listener.subscribe(TOPIC)
            wait_for(listener, Subscribed)
            sender.start(owner_resends=True)
            while not publisher.drained or len(self.received_before) < LIVE or len(self.arrived) < self.expected:
                now_s = time.monotonic()
                publisher.handle(signals_of(sender), now_s, now_s)
                publisher.publish_pending(now_s)
                self.receive(listener)
                if len(self.received_before) < LIVE and len(self.arrived) >= 10 * (len(self.received_before) + 1):
                    self.received_before[self.seq] = len(self.arrived)
                    self.capture()
                threading.Event().wait(0.0005)
        finally:
            sender.stop()
            listener.stop()
        return publisher

    @property
    def expected(self) -> int:
        """Number of events that arrive in the end."""
        lost = sum(shed.events for shed in self.spool.shed_ranges() if shed.content != "sound")
        return self.seq - lost


def signals_of(session: MqttSession) -> list[MqttEvent]:
    signals = []
    while True:
        try:
            signals.append(session.signals.get_nowait())
        except queue.Empty:
            return signals


def wait_for(session: MqttSession, kind: type[MqttEvent]) -> None:
    while not isinstance(session.signals.get(timeout=20), kind):
        pass


def reported(spool: Spool, publisher: SpoolPublisher) -> StateMessage:
    """The state message as a hub reads it."""
    settings = load_settings(EdgeSettings, None, ["sensor.site=outage", "sensor.name=roof"])
    announcer = Announcer(settings, "boot", form="flac", certificate_end=None, previous=None)
    state = announcer.state("ready", Running(CaptureStats(), spool, publisher))
    return decode_json(StateMessage, encode_json(state))


def test_a_full_spool_reports_what_it_shed_and_live_events_overtake_the_backlog(
    embedded: Servers, memory_folder: Path
) -> None:
    clock = Clock()
    run = Run(Spool(memory_folder / "s.db", 400 * FEATURE_BYTES, clock), clock)
    for _ in range(CLIPS):
        run.capture()
    publisher = run.drain(embedded.mqtt_port)
    report = reported(run.spool, publisher).report
    assert report is not None
    (features,) = [shed for shed in report.shed if shed.content == "features"]
    assert (features.boot, features.reason, features.first_seq) == ("boot", "full", 0)
    assert features.events == features.last_seq + 1 >= CLIPS - 400
    assert sorted(event.id.seq for event in run.arrived) == list(range(features.events, CLIPS + LIVE))
    backlog = [event for event in run.arrived if event.backlog]
    assert [event.id.seq for event in backlog] == sorted(event.id.seq for event in backlog)
    assert {event.id.seq for event in backlog} == set(range(features.events, CLIPS))
    without_sound = {event.id.seq for event in run.arrived if event.sound is None}
    counted = [shed for shed in report.shed if shed.content == "sound"]
    assert without_sound <= {seq for shed in counted for seq in range(shed.first_seq, shed.last_seq + 1)}
    for seq, before in run.received_before.items():
        at = next(index for index, event in enumerate(run.arrived) if event.id.seq == seq)
        assert at - before <= MOST_BETWEEN
    run.spool.close()

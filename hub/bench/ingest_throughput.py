"""Events per second that a hub acknowledges, compared with a bare subscriber that only acknowledges.

Broker, Redis, hub and sender run on this machine; the first three are separate processes. Redis already holds events,
and the hub searches every new event among them. The benchmark counts the stored events: none may be lost.
"""

import contextlib
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from hub.bench.server_processes import ProgressFn, events_of, hub_process, prefill_store, servers, wait_until
from hub.bench.synthetic_archive import real_clips
from hub.store.events import EventStore
from shared.errors import UnavailableError
from shared.feature_space import VGGISH, Features
from shared.messages.event import encode_event
from shared.mqtt.topics import ALL_ALERTS, SensorTopic
from shared.synthetic_features import splice_clips

_NO_BUDGET: Final = "alerts.max_false_alerts_per_day=1000000"
"""All events are dated from one day and their alerts are timed, so the alert budget must not limit them."""
_ALL_FLAGGED: Final = (
    "alerts.default_threshold=0",
    "alerts.min_shared_probability=0",
    "alerts.min_category_probability=0",
)
"""Random embeddings match nothing. These settings make the hub raise alerts nevertheless."""


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """Figures that `bench ingest` prints.

    Attributes:
        events_per_s: stored events per second while events are sent.
        p95_alert_s: 95th percentile of the time from sending an event to the arrival of its alert, s.
        median_alert_s: median of that time, s.
        alerts: alerts that arrived.
        sent: events that the broker acknowledged.
        lost: sent events that are not stored at the end.
        bare_paho_per_s: messages per second of a subscriber that only acknowledges.
        times_bare: ratio of `events_per_s` and `bare_paho_per_s`.
        seconds: measured time, s.
        archive: events stored before.
        drained_per_s: sent events per second, from the first one sent until all are stored.
    """

    events_per_s: float
    p95_alert_s: float
    median_alert_s: float
    alerts: int
    sent: int
    lost: int
    bare_paho_per_s: float
    times_bare: float
    seconds: float
    archive: int
    drained_per_s: float


def ingest_figures(
    data: Path | None,
    *,
    archive: int,
    seconds: float,
    rate: float,
    settings: tuple[str, ...] = (),
    progress: ProgressFn = lambda *_: None,
) -> IngestFigures:
    """Measure the ingest throughput of a whole hub.

    Args:
        data: folder of real embeddings; None: random ones.
        archive: events stored before.
        seconds: time during which events are sent, s.
        rate: events sent per second; 0: as fast as the broker acknowledges them.
        settings: further settings of the hub, each as for `--set`.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        UnavailableError: `mosquitto` or `redis-server` is not installed, or a program does not start.
    """
    rng = np.random.default_rng(0)
    clips, others = real_clips(data, VGGISH, rng)
    with tempfile.TemporaryDirectory(prefix="earwitness-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        mqtt_port, url = stack.enter_context(servers(folder))
        store = EventStore(url)
        stack.callback(store.close)
        prefill_store(store, clips, archive, rng, progress)
        messages = [encode_event(event) for event in events_of(splice_clips(others, 2_000, rng))]
        bare = _bare(mqtt_port, messages)
        extra = (*settings, _NO_BUDGET, *(_ALL_FLAGGED if data is None else ()))
        stack.enter_context(hub_process(folder, mqtt_port, url, extra, progress))
        progress("encoding events", 0.0)
        sender = _Sender(mqtt_port, splice_clips(others, round((rate or 3_000) * seconds), rng))
        stack.callback(sender.stop)
        before = store.count()
        started = time.monotonic()
        sender.send(seconds, rate, lambda share: progress("sending", share))
        taken, measured = store.count() - before, time.monotonic() - started
        sent = sender.sent
        wait_until(lambda: store.count() - before >= sent, 120.0, lambda: progress("draining", 1.0))
        drained = time.monotonic() - started
        waits = sender.waits()
        lost = sent - (store.count() - before)
    return IngestFigures(
        events_per_s=taken / measured,
        p95_alert_s=float(np.quantile(waits, 0.95)) if waits else float("nan"),
        median_alert_s=float(np.median(waits)) if waits else float("nan"),
        alerts=len(waits),
        sent=sent,
        lost=lost,
        bare_paho_per_s=bare,
        times_bare=taken / measured / bare,
        seconds=measured,
        archive=archive,
        drained_per_s=sent / drained,
    )


class _Sender:
    """Sends events as sensors do, and measures the time until their alerts arrive."""

    def __init__(self, port: int, features: Features) -> None:
        self._messages = [  # encoded beforehand: sensors do that on their own processors
            (str(event.id), str(SensorTopic(event.site, event.id.sensor, "event")), encode_event(event))
            for event in events_of(features, "live")
        ]
        self._sent_s: dict[str, float] = {}
        self._waits: list[float] = []
        self._under_way = threading.Semaphore(200)
        self._client = _client(port, "bench-sender")
        self._client.on_publish = lambda *_: self._under_way.release()
        self._listener = _client(port, "bench-listener")
        self._listener.on_message = self._alert
        self._listener.subscribe(ALL_ALERTS, qos=0)
        self.sent = 0

    def send(self, seconds: float, rate: float, progress: Callable[[float], None]) -> None:
        """Publish events for `seconds`, then wait until the broker has acknowledged all."""
        started = time.monotonic()
        for event, topic, payload in self._messages:
            now = time.monotonic() - started
            if now >= seconds:
                break
            if rate and (ahead := self.sent / rate - now) > 0:
                time.sleep(ahead)
            self._under_way.acquire()
            self._sent_s[event] = time.monotonic()
            self._client.publish(topic, payload, qos=1)
            self.sent += 1
            if self.sent % 100 == 0:
                progress(now / seconds)
        for _ in range(200):
            self._under_way.acquire()

    def waits(self) -> list[float]:
        """Return the time from sending an event to its alert, s, of all alerts so far."""
        return list(self._waits)

    def stop(self) -> None:
        """Disconnect."""
        for client in (self._client, self._listener):
            client.disconnect()
            client.loop_stop()

    def _alert(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        sent = self._sent_s.get(json.loads(message.payload)["event"])
        if sent is not None:
            self._waits.append(time.monotonic() - sent)


def _client(port: int, name: str, **arguments: Any) -> paho.Client:  # noqa: ANN401 - paho's own
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, **arguments)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _bare(port: int, messages: list[bytes]) -> float:
    """Return the messages per second of a subscriber that only acknowledges them."""
    arrived: queue.Queue[float] = queue.Queue()
    topic, count = "bench/bare", 5 * len(messages)
    listener = _client(port, "bench-bare", manual_ack=True)

    def take(client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        arrived.put(time.monotonic())

    subscribed = threading.Event()
    listener.on_message = take
    listener.on_subscribe = lambda *_: subscribed.set()
    listener.subscribe(topic, qos=1)
    if not subscribed.wait(10.0):
        raise UnavailableError("the broker did not answer a subscription within 10 s")
    sender = _client(port, "bench-bare-sender")
    started = time.monotonic()
    for number in range(count):
        sender.publish(topic, messages[number % len(messages)], qos=1)
    last = started
    for _ in range(count):
        last = arrived.get(timeout=60.0)
    for client in (sender, listener):
        client.disconnect()
        client.loop_stop()
    return count / (last - started)

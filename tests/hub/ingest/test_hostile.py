"""A hub that is sent hostile messages in a loop archives everything of healthy sensors and answers every page.

By default for 4 seconds; `EARWITNESS_HOSTILE_S=60` makes it a minute, `EARWITNESS_HOSTILE_SEED` other mutations.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from hub.store.events import EventStore
from shared.messages.codec import encode_json
from shared.messages.event import encode_event
from shared.messages.sensor import StateMessage
from shared.mqtt.session import Acknowledged, Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.pages import broken
from tests.server_processes import HubProcess, Mosquitto, Store, eventually

pytestmark = pytest.mark.faults

LENGTH_S = float(os.environ.get("EARWITNESS_HOSTILE_S", "4"))
SEED = int(os.environ.get("EARWITNESS_HOSTILE_SEED", "21"))
HEALTHY = ("street-1", "street-2")
DIGITS = int("9" * 400)
ODD: tuple[Any, ...] = (
    DIGITS,
    -DIGITS,
    -1,
    2**64,
    float("nan"),
    float("inf"),
    1e308,
    "",
    "\0" * 50,
    "[/b]",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    None,
    [],
    {},
    [[[]]],
    b"\xff" * 100_000,
    cbor2.CBORTag(1, 1e300),
    cbor2.CBORTag(5, [10**6, 3]),
    cbor2.CBORTag(35, "(a+)+$"),
)

Sent = tuple[str, bytes]


def topic(sensor: str, kind: Any = "event") -> str:
    return str(SensorTopic("demo", sensor, kind))


def state(**report: object) -> bytes:
    reported = StateMessage(
        site="demo",
        sensor="bad",
        boot="boot",
        state="ready",
        source="synthetic",
        payload_format="flac",
        software="1",
        started_at=NOON,
    )
    fields = json.loads(encode_json(reported))
    fields["report"] = {"at": NOON.isoformat(), "waiting": 1, "spool": 0.5, "dropped": 0} | report
    return json.dumps(fields, default=str).encode()


def rows() -> Iterator[Sent]:
    """Rows 1 and 2 of the audit: what took hubs down for good."""
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        yield topic("bad"), cbor2.dumps(cbor2.loads(encode_event(event(sensor="bad"))) | {"captured_at": at})
        yield topic("bad", "state"), state(at=at)
        yield topic("bad", "state"), state(certificate_end=at)
    yield topic("bad", "state"), state(waiting=DIGITS)


def mutated(rng: np.random.Generator, number: int) -> Sent:
    """A valid message with something changed: a field, its bytes, or its topic."""
    how = number % 5
    valid = encode_event(event(10_000 + number, sensor="bad"))
    if how == 0:
        fields = cbor2.loads(valid)
        fields[str(rng.choice(sorted(fields)))] = ODD[rng.integers(len(ODD))]
        return topic("bad"), cbor2.dumps(fields)
    if how == 1:
        odd = [one for one in ODD if not isinstance(one, bytes | cbor2.CBORTag)]
        name = str(rng.choice(["at", "waiting", "spool", "dropped", "certificate_end", "new"]))
        return topic("bad", "state"), state(**{name: odd[rng.integers(len(odd))]})
    payload = bytearray(valid if how < 4 else state())
    for _ in range(int(rng.integers(1, 20))):
        payload[int(rng.integers(len(payload)))] = int(rng.integers(256))
    if how == 2:
        payload = payload[: int(rng.integers(len(payload)))]
    where = [topic("bad"), topic("bad", "state"), "earwitness/v1/demo/x y/event", "earwitness/v1/heartbeat/a/event"]
    return where[int(rng.integers(len(where)))], bytes(payload)


@pytest.fixture
def link(mosquitto: Mosquitto) -> Iterator[MqttSession]:
    opened = MqttSession(mosquitto.settings, "stranger")
    opened.start()
    assert isinstance(opened.signals.get(timeout=20), Connected)
    yield opened
    opened.stop()


def publish(link: MqttSession, messages: list[Sent]) -> None:
    """Publish messages, and wait until the broker has them all."""
    under_way = {link.publish(where, payload) for where, payload in messages}
    while under_way:
        signal = link.signals.get(timeout=20)
        if isinstance(signal, Acknowledged):
            under_way.discard(signal.mid)


def test_hostile_messages_in_a_loop_stop_nothing(
    tmp_path: Path, mosquitto: Mosquitto, store: Store, link: MqttSession
) -> None:
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url)
    hub.start()
    base, archive = f"http://127.0.0.1:{hub.port}", EventStore(store.url)
    rng = np.random.default_rng(SEED)
    hostile = [*rows(), *(mutated(rng, number) for number in range(100))]
    sent: set[str] = set()
    seq, began = 0, time.monotonic()
    try:
        while time.monotonic() - began < LENGTH_S or seq < 2 * len(hostile) // 10:
            some = [hostile[(10 * seq + n) % len(hostile)] for n in range(10)]
            healthy = [event(seq, sensor=sensor, after_s=10.0 * seq) for sensor in HEALTHY]
            publish(link, [*some, *((topic(one.id.sensor), encode_event(one)) for one in healthy)])
            sent |= {str(one.id) for one in healthy}
            seq += 1
            if seq % 50 == 1:
                assert broken(base) == {}
        eventually(
            lambda: sent <= {one for page in archive.ids() for one in page}, 60, f"all {len(sent)} are archived"
        )
        assert broken(base) == {}
        assert hub.process is not None
        assert hub.process.poll() is None
        assert hub.metric("earwitness_hub_messages_quarantined_total") == 0
        kept = {archive.letters.payload(one.id) for one in archive.letters.page(100_000)}
        assert {payload for _, payload in rows()} <= kept
        hub.stop()
        hub.start()
        assert broken(base) == {}
        assert {one.place for one in archive.sensors.all()} >= {f"demo/{sensor}" for sensor in HEALTHY}
    finally:
        hub.stop()
        archive.close()

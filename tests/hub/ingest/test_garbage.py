"""Garbage on the event topic ends in dead letters with the reason; the hub goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest

from hub.store.dead_letters import HEAD_BYTES
from hub.store.events import EventStore
from shared.messages.event import EVENT_CAP_BYTES, encode_event
from shared.mqtt.session import Acknowledged, Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.factories import event
from tests.forked import finished
from tests.server_processes import Broker, HubProcess, Store, eventually

pytestmark = pytest.mark.faults

TOPIC = str(SensorTopic("demo", "street-1", "event"))


@pytest.fixture
def hub(tmp_path: Path, broker: Broker, store: Store) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path / "hub", broker.port, store.url)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def link(broker: Broker) -> Iterator[MqttSession]:
    opened = MqttSession(broker.settings, "stranger")
    opened.start()
    assert isinstance(opened.signals.get(timeout=20), Connected)
    yield opened
    opened.stop()


def changed(**fields: object) -> bytes:
    return cbor2.dumps(cbor2.loads(encode_event(event())) | fields)


GARBAGE = [
    (TOPIC, b"\xff\xfe garbage", "not CBOR"),
    (TOPIC, b"", "not CBOR"),
    (TOPIC, b"\0" * (EVENT_CAP_BYTES + 1), "over the cap"),
    (TOPIC, changed(embedding=b"\0" * 100), "10 x 128"),
    (TOPIC, changed(laeq=float("nan")), "laeq"),
    (TOPIC, changed(space="yamnet/1"), "unknown feature space"),
    (TOPIC, changed(embedding=None, space=None, flac=b"fLaC" + b"\0" * 50), "FLAC"),
    (str(SensorTopic("demo", "street-2", "event")), changed(), "came on the topic of demo/street-2"),
    ("earwitness/v1/demo/Street One/event", changed(), "Street One"),
    (str(SensorTopic("demo", "street-1", "state")), b"not json", "StateMessage"),
]


def kept(payload: bytes) -> bytes:
    return payload[:HEAD_BYTES]


def dead_letters(broker: Broker, store: Store, *arguments: str) -> str:
    settings = ("--set", f"mqtt.port={broker.port}", "--set", f"redis.url={store.url}")
    code, printed, errors = finished("hub", ["dead-letters", *arguments, *settings])
    assert code == 0, errors
    return printed


def publish(link: MqttSession, topic: str, payload: bytes) -> None:
    mid = link.publish(topic, payload)
    while True:
        signal = link.signals.get(timeout=20)
        if isinstance(signal, Acknowledged) and signal.mid == mid:
            return


def test_garbage_is_dead_lettered_with_the_reason_and_the_hub_goes_on(
    broker: Broker, store: Store, hub: HubProcess, link: MqttSession
) -> None:
    archive = EventStore(store.url)
    for topic, payload, _ in GARBAGE:
        publish(link, topic, payload)
    publish(link, TOPIC, encode_event(event()))
    eventually(lambda: archive.count() == 1, 60, "the good event is archived")
    eventually(lambda: archive.letters.count() == len(GARBAGE), 60, "all garbage is dead-lettered")
    by_content = {(one.topic, archive.letters.payload(one.id)): one for one in archive.letters.page()}
    for topic, payload, reason in GARBAGE:
        letter = by_content[topic, kept(payload)]
        assert reason in letter.reason
        assert letter.size == len(payload)
        assert letter.is_complete == (len(payload) <= HEAD_BYTES)
        assert letter.kind == ("unsupported" if "feature space" in reason else "invalid")
    assert hub.metric("earwitness_hub_messages_dead_lettered_total") == len(GARBAGE)
    assert hub.ready()
    listed = json.loads(dead_letters(broker, store, "list", "--json"))
    assert {letter["reason"] for letter in listed} == {letter.reason for letter in by_content.values()}


def test_a_dead_letter_can_be_sent_again(broker: Broker, store: Store, hub: HubProcess, link: MqttSession) -> None:
    archive = EventStore(store.url)
    good = event(3)
    archive.letters.put(topic=TOPIC, payload=encode_event(good), reason="an older hub", received_at=good.captured_at)
    publish(link, TOPIC, b"still bad")
    eventually(lambda: archive.letters.count() == 2, 30, "both wait")
    report = json.loads(dead_letters(broker, store, "requeue", "--all", "--json"))
    assert report == {"reinjected": 2, "kept": 0}
    eventually(lambda: archive.get(good.id) is not None, 30, "the good one is archived")
    eventually(lambda: archive.letters.count() == 1, 30, "the bad one is back")
    (letter,) = archive.letters.page()
    dead_letters(broker, store, "remove", letter.id)
    assert archive.letters.count() == 0
    assert hub.ready()

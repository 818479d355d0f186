"""Rubbish that the broker retains on the topics of old devices counts once, however often the hub connects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.events import EventStore
from shared.messages.codec import encode_json
from shared.messages.sensor import StateMessage
from shared.mqtt.session import Acknowledged, Connected, MqttSession
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON
from tests.server_processes import HubProcess, Mosquitto, Store, eventually

pytestmark = pytest.mark.e2e

RUBBISH = [
    ("earwitness/v1/demo/old-1/state", b"online"),
    ("earwitness/v1/demo/Old Device/state", b"{}"),
    ("earwitness/v1/demo/old-3/state", b"\xff" * 100),
]


@pytest.fixture
def link(mosquitto: Mosquitto) -> Iterator[MqttSession]:
    opened = MqttSession(mosquitto.settings, "stranger")
    opened.start()
    assert isinstance(opened.signals.get(timeout=20), Connected)
    yield opened
    opened.stop()


def retain(link: MqttSession, topic: str, payload: bytes) -> None:
    mid = link.publish(topic, payload, retain=True)
    while not (isinstance(signal := link.signals.get(timeout=20), Acknowledged) and signal.mid == mid):
        pass


def announce(link: MqttSession, boot: str) -> None:
    state = StateMessage(
        site="demo",
        sensor="new",
        boot=boot,
        state="ready",
        source="synthetic",
        payload_format="flac",
        software="1",
        started_at=NOON,
    )
    retain(link, str(SensorTopic("demo", "new", "state")), encode_json(state))


def test_retained_rubbish_counts_once(tmp_path: Path, mosquitto: Mosquitto, store: Store, link: MqttSession) -> None:
    archive = EventStore(store.url)
    for topic, payload in RUBBISH:
        retain(link, topic, payload)
    hub = HubProcess(tmp_path / "hub", mosquitto.port, store.url)
    for run in range(3):
        boot = f"boot-{run}"
        announce(link, boot)
        hub.start()
        try:  # what is retained comes in one go at the subscription, and this state may not be the last of it
            eventually(lambda: [s.boot for s in archive.sensors.all()] == [boot], 30, "the state came")  # noqa: B023
            announce(link, f"{boot}-again")
            eventually(lambda: [s.boot for s in archive.sensors.all()] == [f"{boot}-again"], 30, "so did all")  # noqa: B023
            assert archive.letters.count() == len(RUBBISH)
            assert hub.metric("earwitness_hub_messages_dead_lettered_total") == (len(RUBBISH) if run == 0 else 0)
        finally:
            hub.stop()
    archive.close()

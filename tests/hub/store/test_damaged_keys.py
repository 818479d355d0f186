"""A key of the store that holds something else than the hub writes there stops only the messages that need it."""

import pytest

from hub.ingest.messages import Outcome
from hub.ingest.quarantine import Quarantine
from hub.store.events import EventStore
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import event
from tests.hub.ingest.test_pipeline import pipeline

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("key", ["ew:sensor:demo/street-1", "ew:event:demo.street-1.boot.1"])
def test_a_message_that_needs_a_damaged_key_is_set_aside_and_stops_no_other(archive: EventStore, key: str) -> None:
    archive.client.set(key, "nothing of the kind")
    sent = [event(1), event(1, sensor="street-2")]
    messages = [(str(SensorTopic("demo", one.id.sensor, "event")), encode_event(one)) for one in sent]
    line = Quarantine(pipeline(archive))
    assert [one.outcome for one in line.process(line.prepare(messages))] == [Outcome.DEAD_LETTER, Outcome.ARCHIVED]
    assert [letter.kind for letter in archive.letters.page()] == ["bug"]

"""A hub with sealed sound: it archives by the sensor's embedding, keeps ciphertext, and removes it with retention."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge.sealing import Sealer
from hub.app.retention import Retention
from hub.ingest.messages import Outcome
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.audio_files import AudioFileStore
from hub.store.events import EventStore
from hub.store.named_sounds import NamedSounds
from hub.store.stores import Stores
from shared.events import Event, Flac
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from shared.sealed_sound import SealedSound
from tests.factories import NOON, event
from tests.hub.cli.test_sealed import FLAC
from tests.pipelines import SCORERS, pipeline_of
from tests.sealing import LOCKED

pytestmark = pytest.mark.redis


@pytest.fixture
def sent() -> Event:
    return Sealer([LOCKED.public]).seal(replace(event(), sound=Flac(FLAC)))


@pytest.fixture
def root(tmp_path: Path, archive: EventStore, sent: Event) -> Path:
    """The audio folder of a hub that archived the event."""
    stores = Stores.of(archive, AudioFileStore(tmp_path))
    pipeline = pipeline_of(stores, lambda: NOON + timedelta(seconds=11))
    handled = pipeline.handle(str(SensorTopic("demo", "street-1", "event")), encode_event(sent))
    assert handled.outcome is Outcome.ARCHIVED
    return tmp_path


def test_the_hub_keeps_the_ciphertext_as_it_came(root: Path, archive: EventStore, sent: Event) -> None:
    stored = archive.get(sent.id)
    assert stored is not None
    assert isinstance(sent.sound, SealedSound)
    assert (stored.sealed_to, stored.clip) == ((LOCKED.public,), f"demo/street-1/2026-06-01/{sent.id}.age")
    assert [path.read_bytes() for path in root.rglob("*.*.*")] == [sent.sound.data]


def test_a_row_of_an_earlier_hub_is_not_sealed(root: Path, archive: EventStore, sent: Event) -> None:
    assert list(root.rglob("*.age"))
    archive.client.hdel(f"ew:event:{sent.id}", "sealed_to")
    stored = archive.get(sent.id)
    assert stored is not None
    assert stored.sealed_to == ()


def test_retention_removes_sealed_sound(root: Path, archive: EventStore) -> None:
    metrics = HubMetrics(CollectorRegistry())
    retention = Retention(Stores.of(archive, AudioFileStore(root)), Retrieval(SCORERS), metrics)
    retention.expire(NOON + timedelta(days=1))
    assert list(root.rglob("*.age")) == []


def test_examples_of_named_sounds_copy_no_sealed_sound(root: Path, archive: EventStore, sent: Event) -> None:
    stored = archive.get(sent.id)
    assert stored is not None
    named = NamedSounds(archive, AudioFileStore(root))
    assert named._keep_clip("fan", stored) == ""
    assert named._keep_clip("fan", replace(stored, sealed_to=())).startswith("_named/fan/")

"""What is old is removed on every store, whatever becomes of the disk that holds the sound.

A file in the place of a directory makes reading, writing and removing fail for every user, root too.
"""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from hub.app.retention import Retention
from hub.features.logmel import LogMel
from hub.ingest.messages import Outcome
from hub.ingest.pipeline import Recognition
from hub.metrics.definitions import HubMetrics
from hub.search.retrieval import Retrieval
from hub.store.audio_files import SETTLED_S, AudioFileStore
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.audio import encode_flac
from shared.errors import UnavailableError
from shared.events import Flac
from shared.messages.event import encode_event
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, event
from tests.pipelines import SCORERS, pipeline_of

pytestmark = pytest.mark.redis

RATE_HZ = 16_000
LATE = NOON + timedelta(days=1)


class Hub:
    """A pipeline with clips, and what removes them."""

    def __init__(self, archive: EventStore, root: Path) -> None:
        self.archive = archive
        self.root = root
        self.now = NOON
        self.metrics = HubMetrics(CollectorRegistry())
        self.retrieval = Retrieval(SCORERS)
        self.episode_store = EpisodeStore(archive)
        stores = Stores.of(archive, AudioFileStore(root))
        recognition = Recognition(LogMel(), self.retrieval)
        self._pipeline = pipeline_of(stores, lambda: self.now, recognition=recognition, metrics=self.metrics)
        self.retention = Retention(stores, self.retrieval, self.metrics)

    def receive(self, seq: int, *, after_s: float = 0.0) -> bool:
        """Send a clip of sound; whether it is archived with an alert."""
        noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ * 10).clip(-1, 1).astype(np.float32)
        sent = replace(event(seq, after_s=after_s), rate_hz=RATE_HZ, body=Flac(encode_flac(noise, RATE_HZ)))
        self.now = sent.captured_at + timedelta(seconds=11)
        handled = self._pipeline.handle(str(SensorTopic("demo", "street-1", "event")), encode_event(sent))
        assert handled.outcome is Outcome.ARCHIVED
        return handled.alert is not None

    def failures(self, operation: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "earwitness_hub_audio_file_failures_total", {"operation": operation}
        )

    def files(self) -> set[str]:
        return {path.name for path in self.root.rglob("*.flac")}


@pytest.fixture
def hub(archive: EventStore, tmp_path: Path) -> Hub:
    return Hub(archive, tmp_path / "clips")


def break_(root: Path) -> Path:
    """Put a file in the place of the directory; the directory's new place."""
    aside = root.with_name("aside")
    root.rename(aside)
    root.write_text("in the way")
    return aside


def mend(root: Path) -> None:
    root.unlink()
    root.with_name("aside").rename(root)
    for file in root.rglob("*.flac"):
        age(file)


def age(file: Path) -> None:
    settled = file.stat().st_mtime - 2 * SETTLED_S
    os.utime(file, (settled, settled))


def test_a_disk_that_fails_stops_no_event_and_no_alert(hub: Hub) -> None:
    hub.receive(0)
    break_(hub.root)
    assert hub.receive(1, after_s=600.0), "an alert is raised"
    assert hub.failures("write") == 1
    mend(hub.root)
    assert hub.receive(2, after_s=1200.0)
    sound = {one.id.seq: bool(one.clip) for one in hub.archive.events()}
    assert sound == {0: True, 1: False, 2: True}
    assert hub.failures("write") == 1


def test_old_events_are_removed_while_the_disk_fails_and_their_sound_once_it_works(hub: Hub) -> None:
    for seq in range(3):
        hub.receive(seq, after_s=3600.0 * seq)
    break_(hub.root)
    hub.retention.expire(NOON + timedelta(hours=2))
    assert [one.id.seq for one in hub.archive.events()] == [2]
    assert len(hub.retrieval) == 1
    assert hub.failures("remove") == 2
    mend(hub.root)
    hub.retention.sweep(NOON + timedelta(hours=2))
    assert hub.files() == {"demo.street-1.boot.2.flac"}


def test_a_sweep_that_fails_is_made_again_and_otherwise_one_a_day(hub: Hub) -> None:
    hub.receive(0)
    (folder,) = {file.parent for file in hub.root.rglob("*.flac")}
    for file in hub.root.rglob("*.flac"):
        age(file)
    hub.archive.delete_before(LATE, LATE)
    orphan = folder / "demo.street-1.boot.7.flac"
    orphan.mkdir()  # a directory cannot be unlinked
    os.utime(orphan, (0, 0))
    with pytest.raises(UnavailableError, match="cannot remove clips"):
        hub.retention.sweep(LATE)
    orphan.rmdir()
    hub.retention.sweep(LATE)
    assert not folder.exists(), "an empty day leaves no directory"
    folder.mkdir()
    (folder / orphan.name).touch()
    age(folder / orphan.name)
    hub.retention.sweep(LATE)
    assert (folder / orphan.name).exists(), "swept a moment ago"


def test_a_sweep_leaves_alone_what_may_be_needed(hub: Hub) -> None:
    hub.receive(0)
    (kept,) = hub.root.rglob("*.flac")
    young = kept.with_name("demo.street-1.boot.8.flac")
    shutil.copy(kept, young)
    foreign = kept.with_name("notes.txt")
    later = kept.parent.with_name("2026-06-03") / "demo.street-1.boot.9.flac"
    later.parent.mkdir()
    for file in (foreign, later):
        file.touch()
    for file in (kept, foreign, later):
        age(file)
    hub.retention.sweep(LATE)
    assert all(file.exists() for file in (kept, young, foreign, later))

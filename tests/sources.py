"""Events of a few sources that identities distinguish, for tests of what is done with sources."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import torch

from hub.alerting.detector import AlertDetector
from hub.domain.alert_rule import AlertRule, SearchResult
from hub.domain.match import Match
from hub.domain.presence_matrix import BOTH
from hub.domain.records import StoredEvent, to_ms
from hub.domain.sensor_map import SensorMap
from hub.model.checkpoint import default_checkpoint, load
from hub.search.retrieval import Retrieval
from hub.search.scoring.scorer import Scorer
from hub.store.episodes import EpisodeStore
from hub.store.events import EventStore
from shared.events import EventId, Levels
from shared.feature_space import VGGISH, Features
from shared.messages.alert import AlertMessage
from shared.taxonomy import CATEGORIES
from tests.identities import identified

MONDAY = datetime(2026, 11, 2, 7, tzinfo=UTC)
DOG = CATEGORIES.index("dog")


def features(source: int, clip: int = 0) -> Features:
    """Features of a clip of a source: the same but for a little noise."""
    pattern = np.random.default_rng(1_000 + source).integers(40, 216, VGGISH.dimension)
    noise = np.random.default_rng(clip).integers(-6, 7, VGGISH.shape)
    return np.asarray(np.clip(pattern + noise, 0, 255), dtype=np.uint8)


@cache
def retrieval(seed: int = 0) -> Retrieval:
    """Retrieval with an untrained identity, of two clips of one source near 1 and of others near 0."""
    checkpoint = identified(replace(load(default_checkpoint(VGGISH.id)), identity=None), seed=seed)
    assert checkpoint.identity is not None
    many = np.stack([features(source) for source in range(100, 400)])
    network = checkpoint.identity.network
    with torch.no_grad():
        network.centre.copy_(network.pooled(torch.from_numpy(VGGISH.dequantise(many))).mean(dim=0))
    return Retrieval([Scorer(checkpoint)])


def source_event(
    seq: int, source: int, at: datetime, *, sensor: str = "s1", site: str = "demo", dog: float = 0.9
) -> StoredEvent:
    """A clip of a dog."""
    return StoredEvent(
        id=EventId(site, sensor, "boot", seq),
        captured_at=at,
        received_at=at + timedelta(seconds=11),
        duration_s=10.0,
        levels=Levels(60.0, 65.0, "dB"),
        space=VGGISH.id,
        features=features(source, seq),
        presence=tuple(dog if number == DOG else 0.0 for number in range(len(CATEGORIES))),
    )


def alike(match: StoredEvent | None = None) -> SearchResult:
    """What is found for a clip that is surely like a past one."""
    matrix = np.zeros((len(CATEGORIES), 3), np.float32)
    matrix[DOG, BOTH] = 1.0
    row = np.zeros((1, len(CATEGORIES)), np.float32)
    row[0, DOG] = 0.9
    name, place, at = (
        ("demo.s9.boot.0", "demo/s9", MONDAY)
        if match is None
        else (
            str(match.id),
            match.place,
            match.captured_at,
        )
    )
    return SearchResult([Match(name, place, to_ms(at), 8.0, 8.0, matrix)], row)


def conclude(
    archive: EventStore,
    episode_store: EpisodeStore,
    places: SensorMap,
    events: list[StoredEvent],
    match: StoredEvent | None = None,
) -> list[AlertMessage | None]:
    """Archive and judge events; each that opens an episode raises an alert."""
    archive.add_many(events)
    detector = AlertDetector(episode_store, places, AlertRule(threshold=0.5, others_per_day=1e9, cooldown_s=0.0))
    return detector.process(events, [alike(match)] * len(events))

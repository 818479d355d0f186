"""Drift on a real store: first a reference, then how far the present is from it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from prometheus_client import CollectorRegistry

from hub.domain.psi import Reference
from hub.domain.records import StoredEvent
from hub.metrics.definitions import HubMetrics
from hub.monitoring.drift import DriftProbe, DriftRule, MonitoredModel
from hub.store.events import EventStore
from hub.store.stores import Stores
from shared.feature_space import LOGMEL, VGGISH
from tests.factories import NOON, stored

SPACE = {"space": VGGISH.id}
PSI = {**SPACE, "reference": "deployment"}
PSI_TRAINED = {**SPACE, "reference": "training"}


def look_of(archive: EventStore, metrics: HubMetrics, record: dict[str, object] | None = None) -> DriftProbe:
    return DriftProbe(
        Stores.of(archive),
        metrics,
        [MonitoredModel(VGGISH, "network", record or {}), MonitoredModel(LOGMEL, "other", {})],
        DriftRule(window=timedelta(days=1), least=100, first=timedelta(days=3)),
    )


def some(first: int, count: int, at: datetime, presence: Sequence[float]) -> list[StoredEvent]:
    """Events of one day, the first category more or less present."""
    rng = np.random.default_rng(first)
    return [
        replace(
            stored(seq, after_s=(at - NOON).total_seconds() + 600 * (seq - first)),
            presence=(float(np.clip(rng.normal(presence[0], 0.1), 0, 1)), 0.0, 0.25, 0.0, 1.0, 0.0, 0.0, 0.0),
        )
        for seq in range(first, first + count)
    ]


def value(metrics: HubMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earwitness_model_{name}", labels)


def test_the_first_days_become_the_reference_and_what_differs_later_is_reported(archive: EventStore) -> None:
    metrics = HubMetrics(CollectorRegistry())
    look = look_of(archive, metrics)
    look.run(NOON)
    for day in range(3):
        archive.add_many(some(1_000 * day, 140, NOON + timedelta(days=day), [0.3]))
    look.run(NOON + timedelta(days=2))
    assert value(metrics, "presence_psi", category="engine", **PSI) is None
    assert value(metrics, "reference_events", **PSI) is None
    look.run(NOON + timedelta(days=3))
    assert value(metrics, "reference_events", **PSI) == 420
    same = value(metrics, "presence_psi", category="engine", **PSI)
    assert same is not None
    assert same < 0.1
    assert value(metrics, "embedding_psi", **PSI) is not None
    assert value(metrics, "presence_ratio", category="alert-signal", **SPACE) == 1.0
    archive.add_many(some(9_000, 140, NOON + timedelta(days=9), [0.8]))
    look.run(NOON + timedelta(days=10))
    moved = value(metrics, "presence_psi", category="engine", **PSI)
    assert moved is not None
    assert moved > 0.25
    assert value(metrics, "presence_psi", category="dog", **PSI) == 0.0
    assert value(metrics, "reference_events", **PSI) == 420


def test_what_was_learned_from_is_a_reference_at_once(archive: EventStore) -> None:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (500, *VGGISH.shape), dtype=np.uint8)
    trained = Reference.from_sample(rng.random((500, 8), dtype=np.float32), features, 500)
    metrics = HubMetrics(CollectorRegistry())
    look = look_of(archive, metrics, {"reference": trained.document(), "positives": [5] * 8, "clips": 50})
    archive.add_many(some(0, 120, NOON, [0.3]))
    look.run(NOON + timedelta(days=1))
    assert value(metrics, "reference_events", **PSI_TRAINED) == 500
    assert value(metrics, "training_presence_ratio", category="dog", **SPACE) == 0.1
    moved = value(metrics, "presence_psi", category="engine", **PSI_TRAINED)
    assert moved is not None
    assert moved > 0.25
    embedding = value(metrics, "embedding_psi", **PSI_TRAINED)
    assert embedding is not None
    assert embedding < 0.25


def test_too_few_events_give_no_figure(archive: EventStore) -> None:
    metrics = HubMetrics(CollectorRegistry())
    archive.add_many(some(0, 99, NOON, [0.3]))
    look = look_of(archive, metrics)
    look.run(NOON)
    look.run(NOON + timedelta(days=4))
    assert value(metrics, "presence_psi", category="engine", **PSI) is None
    assert value(metrics, "reference_events", **PSI) is None


def test_a_feature_space_that_few_events_have_is_measured_all_the_same(archive: EventStore) -> None:
    metrics = HubMetrics(CollectorRegistry())
    others = [replace(event, space="another/1") for event in some(5_000, 3_000, NOON, [0.3])]
    archive.add_many([replace(event, captured_at=NOON + timedelta(seconds=n)) for n, event in enumerate(others)])
    archive.add_many(some(0, 120, NOON, [0.3]))
    look_of(archive, metrics).run(NOON + timedelta(days=1))
    assert value(metrics, "drift_events", **SPACE) == 120

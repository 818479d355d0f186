"""A probe of people's verdicts."""

import math
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from hub.app.factory import build_feedback, build_threshold_tuner
from hub.domain.verdicts import VerdictKind
from hub.metrics.definitions import HubMetrics
from hub.monitoring.verdicts import VerdictProbe
from hub.settings import AlertsSettings
from hub.store.events import EventStore
from hub.store.stores import Stores
from tests.factories import NOON, alert


def value(metrics: HubMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earwitness_{name}", labels)


def test_how_sure_alerts_were_is_reported_beside_how_often_they_were_right(archive: EventStore) -> None:
    metrics = HubMetrics(CollectorRegistry())
    stores = Stores.of(archive)
    feedback = build_feedback(stores, build_threshold_tuner(AlertsSettings(), stores))
    look = VerdictProbe(archive, feedback, metrics)
    look.run(NOON)
    assert math.isnan(value(metrics, "model_mean_predicted_probability") or 0.0)
    given: list[tuple[VerdictKind, float]] = [("same", 0.9), ("different", 0.7), ("different", 0.8), ("ignore", 0.1)]
    for number, (verdict, match_probability) in enumerate(given):
        about = alert(f"demo.street-1.boot.{number}").model_copy(
            update={"categories": ["dog"], "match_probability": match_probability, "threshold": 0.6}
        )
        feedback.submit(alert=about, match=None, verdict=verdict, now=NOON + timedelta(seconds=number))
    look.run(NOON + timedelta(minutes=1))
    assert value(metrics, "model_mean_predicted_probability") == pytest.approx(0.8)
    assert value(metrics, "model_observed_precision") == pytest.approx(1 / 3)
    assert value(metrics, "store_verdicts", verdict="different") == 2
    assert value(metrics, "model_alerts_with_verdict") == 3
    look.run(NOON + timedelta(days=31))
    assert value(metrics, "model_alerts_with_verdict") == 0
    assert math.isnan(value(metrics, "model_observed_precision") or 0.0)
    assert value(metrics, "store_verdicts", verdict="different") == 2

"""A look at what people said."""

import math
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from hub.alerting.feedback import Feedback
from hub.app.factory import learner_of
from hub.domain.verdicts import VerdictKind
from hub.metrics.definitions import HubMetrics
from hub.monitoring.verdicts import VerdictLook
from hub.settings import FlaggingSettings
from hub.store.episodes import Casebook
from hub.store.events import Archive
from tests.values import NOON, alert


def value(metrics: HubMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earwitness_{name}", labels)


def test_how_sure_alerts_were_is_told_beside_how_often_they_were_right(archive: Archive) -> None:
    metrics = HubMetrics(CollectorRegistry())
    casebook = Casebook(archive)
    feedback = Feedback(archive, casebook, learner_of(FlaggingSettings(), archive, casebook))
    look = VerdictLook(archive, feedback, metrics)
    look.look(NOON)
    assert math.isnan(value(metrics, "model_stated_ratio") or 0.0)
    given: list[tuple[VerdictKind, float]] = [("same", 0.9), ("different", 0.7), ("different", 0.8), ("ignore", 0.1)]
    for number, (verdict, likeness) in enumerate(given):
        about = alert(f"demo.street-1.boot.{number}").model_copy(
            update={"categories": ["dog"], "probability": likeness, "threshold": 0.6}
        )
        feedback.give(alert=about, match=None, verdict=verdict, now=NOON + timedelta(seconds=number))
    look.look(NOON + timedelta(minutes=1))
    assert value(metrics, "model_stated_ratio") == pytest.approx(0.8)
    assert value(metrics, "model_right_ratio") == pytest.approx(1 / 3)
    assert value(metrics, "store_verdicts", verdict="different") == 2
    assert value(metrics, "model_judged_alerts") == 3
    look.look(NOON + timedelta(days=31))
    assert value(metrics, "model_judged_alerts") == 0
    assert math.isnan(value(metrics, "model_right_ratio") or 0.0)
    assert value(metrics, "store_verdicts", verdict="different") == 2

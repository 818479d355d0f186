"""A look at the store: what waits in it, and what people said."""

import math
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hub.archive import Archive
from hub.casebook import Casebook
from hub.feedback import Feedback, VerdictKind
from hub.health.store import StoreLook
from hub.metrics import HubMetrics
from hub.notify.outbox import Outbox
from hub.opening import learner_of
from hub.settings import FlaggingSettings
from tests.values import NOON, alert, stored


def feedback_of(archive: Archive) -> Feedback:
    casebook = Casebook(archive)
    return Feedback(archive, casebook, learner_of(FlaggingSettings(), archive, casebook))


def value(metrics: HubMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earwitness_{name}", labels)


@pytest.fixture
def metrics() -> HubMetrics:
    return HubMetrics(CollectorRegistry())


def test_what_is_kept_and_what_waits_is_told(archive: Archive, metrics: HubMetrics, tmp_path: Path) -> None:
    archive.record_all([stored(0), stored(1, after_s=10)])
    archive.bury(topic="t", payload=b"?", reason="none", received_at=NOON, cap_bytes=10)
    archive.complete_all([(stored(0).id, alert())])
    outbox = Outbox(archive.client, "desk")
    with archive.client.pipeline() as pipe:
        outbox.put(pipe, [alert().event])
        pipe.execute()
    (message,) = outbox.take("hub")
    outbox.bury(message, "refused", 1)
    folders = {"clips": tmp_path, "snapshots": tmp_path / "not-there"}
    StoreLook(archive, feedback_of(archive), metrics, folders).look(NOON)
    told = {
        name: value(metrics, f"store_{name}") for name in ("up", "events", "alerts", "dead_letters", "alerts_waiting")
    }
    assert told == {"up": 1, "events": 2, "alerts": 1, "dead_letters": 1, "alerts_waiting": 1}
    assert value(metrics, "store_oldest_event_timestamp_seconds") == NOON.timestamp()
    assert value(metrics, "store_notifications_dead", notifier="desk") == 1
    assert (value(metrics, "store_memory_limit_bytes") or 0) > (value(metrics, "store_memory_used_bytes") or 0) > 0
    assert (value(metrics, "hub_disk_free_bytes", folder="clips") or 0) > 0
    assert value(metrics, "hub_disk_free_bytes", folder="snapshots") is None


def test_how_sure_alerts_were_is_told_beside_how_often_they_were_right(archive: Archive, metrics: HubMetrics) -> None:
    feedback = feedback_of(archive)
    look = StoreLook(archive, feedback, metrics, {})
    look.look(NOON)
    assert math.isnan(value(metrics, "model_stated_ratio") or 0.0)
    given: list[tuple[VerdictKind, float]] = [("same", 0.9), ("different", 0.7), ("different", 0.8), ("ignore", 0.1)]
    for number, (verdict, likeness) in enumerate(given):
        about = alert(f"street-1.boot.{number}").model_copy(
            update={"categories": ["dog"], "probability": likeness, "threshold": 0.6}
        )
        feedback.give(alert=about, match=None, verdict=verdict, now=NOON + timedelta(seconds=number))
    look.look(NOON + timedelta(minutes=1))
    assert value(metrics, "model_stated_ratio") == pytest.approx(0.8)
    assert value(metrics, "model_right_ratio") == pytest.approx(1 / 3)
    assert value(metrics, "store_verdicts", verdict="different") == 2
    look.look(NOON + timedelta(days=31))
    assert math.isnan(value(metrics, "model_right_ratio") or 0.0)
    assert value(metrics, "store_verdicts", verdict="different") == 2


def test_a_store_that_is_away_leaves_no_figure_behind(archive: Archive, metrics: HubMetrics) -> None:
    look = StoreLook(archive, feedback_of(archive), metrics, {})
    look.look(NOON)
    look.lost()
    assert value(metrics, "store_up") == 0
    assert math.isnan(value(metrics, "store_events") or 0.0)

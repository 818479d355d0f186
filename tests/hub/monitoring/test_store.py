"""A look at the store: what is kept, and what waits in it."""

import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hub.metrics.definitions import HubMetrics
from hub.monitoring.store import StoreProbe
from hub.notify.outbox import Outbox
from hub.store.events import EventStore
from tests.factories import NOON, alert, stored


def value(metrics: HubMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earwitness_{name}", labels)


@pytest.fixture
def metrics() -> HubMetrics:
    return HubMetrics(CollectorRegistry())


def test_what_is_kept_and_what_waits_is_reported(archive: EventStore, metrics: HubMetrics, tmp_path: Path) -> None:
    archive.add_many([stored(0), stored(1, after_s=10)])
    archive.letters.put(topic="t", payload=b"?", reason="none", received_at=NOON)
    archive.mark_processed([(stored(0).id, alert())])
    outbox = Outbox(archive.client, "desk")
    with archive.client.pipeline() as pipe:
        outbox.put(pipe, [alert().event])
        pipe.execute()
    (message,) = outbox.claim("hub")
    outbox.move_to_dead_letters(message, "refused", 1)
    with archive.client.pipeline() as pipe:
        outbox.put(pipe, ["another"])
        pipe.execute()
    folders = {"clips": tmp_path, "snapshots": tmp_path / "not-there"}
    StoreProbe(archive, metrics, folders).run(NOON)
    reported = {
        name: value(metrics, f"store_{name}")
        for name in ("up", "events", "alerts", "dead_letters", "alerts_unpublished")
    }
    assert reported == {"up": 1, "events": 2, "alerts": 1, "dead_letters": 1, "alerts_unpublished": 1}
    assert value(metrics, "store_oldest_event_timestamp_seconds") == NOON.timestamp()
    assert value(metrics, "store_notification_dead_letters", channel="desk") == 1
    assert value(metrics, "store_notifications_pending", channel="desk") == 1
    assert (value(metrics, "store_memory_limit_bytes") or 0) > (value(metrics, "store_memory_used_bytes") or 0) > 0
    assert (value(metrics, "hub_disk_free_bytes", folder="clips") or 0) > 0
    assert value(metrics, "hub_disk_free_bytes", folder="snapshots") is None


def test_a_store_that_is_away_leaves_no_figure_behind(archive: EventStore, metrics: HubMetrics) -> None:
    look = StoreProbe(archive, metrics, {})
    look.run(NOON)
    look.on_store_unavailable()
    assert value(metrics, "store_up") == 0
    assert math.isnan(value(metrics, "store_events") or 0.0)

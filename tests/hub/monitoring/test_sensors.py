"""Which sensors have metrics, and for how long."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from hub.metrics.definitions import HubMetrics
from hub.monitoring.sensors import SensorProbe
from hub.store.events import EventStore
from shared.messages.sensor import ShedRange, StateMessage
from tests.factories import NOON, stored

RECEIVED = NOON + timedelta(seconds=11)
DAY_S = 86_400.0


@pytest.fixture
def metrics() -> HubMetrics:
    return HubMetrics(CollectorRegistry())


def state_of(sensor: str, state: str = "ready", **report: object) -> StateMessage:
    return StateMessage.model_validate(
        {
            "site": "demo",
            "sensor": sensor,
            "boot": "boot",
            "state": state,
            "source": "scene",
            "payload_format": "flac",
            "software": "0",
            "started_at": NOON,
            "report": report or None,
        }
    )


def series(metrics: HubMetrics, name: str) -> dict[str, float]:
    """Values by sensor."""
    samples: Iterator[tuple[str, float]] = (
        (sample.labels["sensor"], sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and sample.labels.get("state", "online") == "online"
    )
    return dict(samples)


def test_a_sensor_that_is_online_is_reported_with_its_level(archive: EventStore, metrics: HubMetrics) -> None:
    archive.add_many([stored(0), stored(2)])
    archive.sensors.update_state(state_of("street-1"))
    SensorProbe(archive, metrics, most=10, forget_s=DAY_S).run(RECEIVED)
    assert series(metrics, "earwitness_sensor_state") == {"street-1": 1.0}
    assert series(metrics, "earwitness_sensor_laeq_decibels") == {"street-1": -40.0}
    assert series(metrics, "earwitness_sensor_events_total") == {"street-1": 2.0}
    assert series(metrics, "earwitness_sensor_events_missing") == {"street-1": 1.0}
    assert series(metrics, "earwitness_sensor_last_delivery_delay_seconds") == {"street-1": 11.0}
    assert series(metrics, "earwitness_sensor_last_event_timestamp_seconds") == {"street-1": RECEIVED.timestamp()}


def test_what_a_sensor_reports_is_exported_and_of_its_spool_only_while_it_is_connected(
    archive: EventStore, metrics: HubMetrics
) -> None:
    end = NOON + timedelta(days=30)
    look = SensorProbe(archive, metrics, most=10, forget_s=DAY_S)
    archive.add(stored(0))
    archive.sensors.update_state(state_of("street-1", at=NOON, waiting=7, spool=0.25, dropped=2, certificate_end=end))
    look.run(RECEIVED)
    assert series(metrics, "earwitness_sensor_capture_gap_seconds_total") == {}, "not reported"
    assert series(metrics, "earwitness_sensor_spool_events") == {"street-1": 7.0}
    assert series(metrics, "earwitness_sensor_spool_used_ratio") == {"street-1": 0.25}
    assert series(metrics, "earwitness_sensor_clips_dropped_total") == {"street-1": 2.0}
    assert series(metrics, "earwitness_sensor_certificate_expiry_timestamp_seconds") == {"street-1": end.timestamp()}
    archive.sensors.update_state(state_of("street-1", "lost"))
    look.run(RECEIVED)
    assert series(metrics, "earwitness_sensor_spool_events") == {}
    assert series(metrics, "earwitness_sensor_spool_used_ratio") == {}
    assert series(metrics, "earwitness_sensor_clips_dropped_total") == {"street-1": 2.0}
    last = state_of("street-1", at=NOON, waiting=0, spool=0.0, dropped=0, capture_gap_s=35.5)
    archive.sensors.update_state(last)
    look.run(RECEIVED)
    assert series(metrics, "earwitness_sensor_capture_gap_seconds_total") == {"street-1": 35.5}
    assert series(metrics, "earwitness_sensor_certificate_expiry_timestamp_seconds") == {}, "it has none any more"


def test_a_dead_sensor_does_not_stay_at_its_last_level_and_is_forgotten_in_the_end(
    archive: EventStore, metrics: HubMetrics
) -> None:
    archive.add(stored(0))
    look = SensorProbe(archive, metrics, most=10, forget_s=DAY_S)
    look.run(RECEIVED + timedelta(minutes=11))
    assert series(metrics, "earwitness_sensor_laeq_decibels") == {}
    assert series(metrics, "earwitness_sensor_state") == {"street-1": 0.0}
    assert series(metrics, "earwitness_sensor_last_event_timestamp_seconds")
    look.run(RECEIVED + timedelta(days=1))
    assert series(metrics, "earwitness_sensor_state") == {}
    assert series(metrics, "earwitness_sensor_last_event_timestamp_seconds") == {}


def test_of_too_many_sensors_the_first_by_name_are_exported_online_or_not(
    archive: EventStore, metrics: HubMetrics
) -> None:
    archive.add_many([stored(n, sensor=f"s-{n}", after_s=n) for n in range(5)])
    SensorProbe(archive, metrics, most=2, forget_s=DAY_S).run(RECEIVED)
    assert sorted(series(metrics, "earwitness_sensor_state")) == ["s-0", "s-1"]
    assert metrics.registry.get_sample_value("earwitness_store_sensors_unexported") == 3
    assert metrics.registry.get_sample_value("earwitness_store_sensors") == 5


def test_a_sensor_without_events_is_exported_while_it_is_ready(archive: EventStore, metrics: HubMetrics) -> None:
    archive.sensors.update_state(state_of("new"))
    archive.sensors.update_state(state_of("gone", "disconnected"))
    SensorProbe(archive, metrics, most=10, forget_s=DAY_S).run(NOON)
    assert series(metrics, "earwitness_sensor_state") == {"new": 0.0}
    assert series(metrics, "earwitness_sensor_last_event_timestamp_seconds") == {}


def test_without_a_store_nothing_is_reported_of_any_sensor(archive: EventStore, metrics: HubMetrics) -> None:
    archive.add(stored(0))
    look = SensorProbe(archive, metrics, most=10, forget_s=DAY_S)
    look.run(RECEIVED)
    look.on_store_unavailable()
    assert series(metrics, "earwitness_sensor_state") == {}


def test_what_a_spool_shed_is_exported_by_content(archive: EventStore, metrics: HubMetrics) -> None:
    archive.add(stored(0))
    ranges = [
        ShedRange(boot="a", content=content, reason="full", first_seq=0, last_seq=9, events=events)
        for content, events in (("sound", 10), ("features", 4), ("sound", 7))
    ]
    archive.sensors.update_state(state_of("street-1", at=NOON, waiting=0, spool=1.0, dropped=4, shed=ranges))
    SensorProbe(archive, metrics, most=10, forget_s=DAY_S).run(RECEIVED)
    values = {
        sample.labels["content"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "earwitness_sensor_spool_shed_events"
    }
    assert values == {"sound": 17.0, "features": 4.0, "levels": 0.0}

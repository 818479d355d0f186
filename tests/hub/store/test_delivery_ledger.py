"""Delivery ledgers, on every store."""

from datetime import timedelta

from hub.store import keys
from hub.store.delivery_ledger import FIELD, DeliveryLedger
from hub.store.events import EventStore
from hub.store.rows import recording
from tests.factories import NOON
from tests.hub.domain.test_delivery_ledger import state
from tests.hub.store.test_sensor_signals import state_message

PLACE = "demo/street-1"


def test_states_are_read_as_they_came_with_the_latest_last(archive: EventStore) -> None:
    ledger = DeliveryLedger(archive.client, archive.rows)
    assert ledger.rows(PLACE) == []
    for number, message in enumerate((state_message("one", None), state_message("one", 7), state("lost", None))):
        archive.sensors.update_state(message, 0.5, NOON + timedelta(minutes=number))
    archive.sensors.update_state(state_message("two", None, before=("one", 9)), None, NOON + timedelta(hours=1))
    archive.sensors.update_state(state_message("two", 3), None, NOON + timedelta(hours=2))
    rows = ledger.rows(PLACE)
    assert [(row.boot, row.state, row.last_seq) for row in rows] == [
        ("one", "ready", None),
        ("one", "ready", 7),
        ("one", "lost", 7),
        ("two", "ready", None),
        ("two", "ready", 3),
    ]
    assert rows[3].previous_seq == 9


def test_damaged_rows_are_named_and_stop_no_state(archive: EventStore) -> None:
    ledger = DeliveryLedger(archive.client, archive.rows)
    archive.sensors.update_state(state_message("one", None), None, NOON)
    archive.client.zadd(keys.delivery_ledger(PLACE), {b'{"at_ms": "noon"}': 0})
    archive.client.hset(keys.sensor(PLACE), FIELD, b'{"row": 5}')
    with recording() as damaged:
        assert len(ledger.rows(PLACE)) == 1
    assert damaged == {("ledger", f"{PLACE}:0"), ("ledger", f"{PLACE}:latest")}
    assert archive.sensors.update_state(state_message("two", None), None, NOON + timedelta(minutes=1))
    assert ledger.rows(PLACE)[-1].boot == "two"
    archive.client.set(keys.delivery_ledger(PLACE), "x")
    with recording() as damaged:
        assert [row.boot for row in ledger.rows(PLACE)] == ["two"]
    assert damaged == {("ledger", PLACE)}

"""Levels of seconds in every store: each second once, gaps as gaps; the sensor that sends them."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from hub.domain.sensor_status import sensor_status
from hub.store import level_keys
from hub.store.events import EventStore
from hub.store.levels import LevelStore
from shared.events import Calibration
from shared.level_series import NO_LEVEL, LevelSeries
from tests.factories import NOON

pytestmark = pytest.mark.redis

PLACE = "demo/street-1"
NOON_S = int(NOON.timestamp())


@pytest.fixture
def levels(archive: EventStore) -> LevelStore:
    return LevelStore(archive.client, archive.rows)


def series(*laeq: float | None, at: datetime = NOON) -> LevelSeries:
    tenths = [
        [NO_LEVEL] * 3 if level is None else [round(10 * level + more) for more in (0, 100, 20)] for level in laeq
    ]
    return LevelSeries("demo", "street-1", "boot", at, np.array(tenths, dtype=np.int16), "dB", "synchronised")


def laeq(levels: LevelStore, start_s: int, end_s: int) -> list[float | None]:
    table = levels.series(PLACE, start_s, end_s)
    return [None if np.isnan(level) else level for level in table.levels[:, 0].tolist()]


def test_seconds_come_back_and_gaps_stay_gaps(levels: LevelStore) -> None:
    levels.add_many([series(60.0, None, 61.5), series(50.0, at=NOON + timedelta(seconds=5))], NOON)
    assert laeq(levels, NOON_S - 1, NOON_S + 7) == [None, 60.0, None, 61.5, None, None, 50.0, None]
    table = levels.series(PLACE, NOON_S, NOON_S + 1)
    assert (table.levels.tolist(), table.unit) == ([[60.0, 70.0, 62.0]], "dB")
    assert laeq(levels, NOON_S, NOON_S) == []
    assert levels.series("demo/other", NOON_S, NOON_S + 2).seconds.tolist() == [0, 0]


def test_a_repeat_and_another_order_change_nothing(levels: LevelStore, archive: EventStore) -> None:
    first, second = series(*[60.0] * 30), series(*[50.0] * 30, at=NOON + timedelta(seconds=30))
    levels.add_many([second, first], NOON)
    before = archive.client.get(level_keys.level_seconds(PLACE, NOON_S // 3_600))
    levels.add_many([first], NOON)
    levels.add_many([second, series(None, None)], NOON)
    assert archive.client.get(level_keys.level_seconds(PLACE, NOON_S // 3_600)) == before
    assert laeq(levels, NOON_S, NOON_S + 60) == [60.0] * 30 + [50.0] * 30


def test_a_series_may_cross_hours(levels: LevelStore) -> None:
    at = NOON + timedelta(minutes=59, seconds=50)
    levels.add_many([series(*range(40, 60), at=at)], NOON)
    start_s = int(at.timestamp())
    assert laeq(levels, start_s, start_s + 20) == list(range(40, 60))


def test_calibrations_are_known_by_the_first_second_that_they_apply_to(levels: LevelStore) -> None:
    old, new = Calibration("c1", NOON - timedelta(days=9)), Calibration("c2", NOON)
    hour = timedelta(hours=1)
    sent = [(NOON + hour, new), (NOON - hour, old), (NOON + 2 * hour, new), (NOON, new)]
    levels.add_many([replace(series(60.0, at=at), calibration=made) for at, made in sent], NOON)
    found = levels.calibrations(PLACE, NOON_S + 1)
    assert [(one.id, one.since_s - NOON_S) for one in found] == [("c1", -3_600), ("c2", 0)]
    assert datetime.fromisoformat(found[0].at) == old.at
    assert [one.id for one in levels.calibrations(PLACE, NOON_S)] == ["c1"]


def test_a_damaged_row_is_left_out_and_counted(levels: LevelStore, archive: EventStore) -> None:
    levels.add_many([series(60.0), series(60.0, at=NOON + timedelta(hours=1))], NOON)
    archive.client.set(level_keys.level_seconds(PLACE, NOON_S // 3_600), b"odd")
    assert laeq(levels, NOON_S, NOON_S + 1) == [None]
    assert laeq(levels, NOON_S + 3_600, NOON_S + 3_601) == [60.0]
    assert archive.rows.left_out == {"levels": 1}


def test_a_sensor_that_sends_levels_only_is_known_and_not_silent(levels: LevelStore, archive: EventStore) -> None:
    levels.add_many([series(60.0)], NOON)
    (sensor,) = archive.sensors.all()
    assert (sensor.place, sensor.last_levels_at, sensor.last_received_at) == (PLACE, NOON, None)
    assert sensor_status(sensor, NOON + timedelta(minutes=9)).word == "online"
    assert sensor_status(sensor, NOON + timedelta(minutes=11)).word == "silent"

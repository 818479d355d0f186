"""Levels in every store: each second once, gaps as gaps, statistics that outlast the seconds."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from hub.domain.sensor_status import sensor_status
from hub.store import keys
from hub.store.events import EventStore
from hub.store.levels import DAY_S, LevelStore
from shared.events import Calibration
from shared.level_series import NO_LEVEL, LevelSeries
from tests.factories import NOON

pytestmark = pytest.mark.redis

PLACE = "demo/street-1"
NOON_S = int(NOON.timestamp())
NEVER_S = 0


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
    before = archive.client.get(keys.level_seconds(PLACE, NOON_S // 3_600))
    levels.add_many([first], NOON)
    levels.add_many([second, series(None, None)], NOON)
    assert archive.client.get(keys.level_seconds(PLACE, NOON_S // 3_600)) == before
    assert laeq(levels, NOON_S, NOON_S + 60) == [60.0] * 30 + [50.0] * 30


def test_a_series_may_cross_hours(levels: LevelStore) -> None:
    at = NOON + timedelta(minutes=59, seconds=50)
    levels.add_many([series(*range(40, 60), at=at)], NOON)
    start_s = int(at.timestamp())
    assert laeq(levels, start_s, start_s + 20) == list(range(40, 60))
    hours = levels.statistics(PLACE, NOON_S, NOON_S + 2 * 3_600, "hour")
    assert hours.seconds.tolist() == [10, 10]
    assert hours.levels[1].tolist() == pytest.approx([55.4, 69.0, 57.4, 58.1, 50.9], abs=0.051)
    minutes = levels.statistics(PLACE, NOON_S + 59 * 60, NOON_S + 61 * 60, "minute")
    assert minutes.seconds.tolist() == [10, 10]


def test_statistics_outlast_the_seconds_and_later_seconds_complete_them(levels: LevelStore) -> None:
    levels.add_many([series(*[60.0] * 60), series(*[70.0] * 30, at=NOON + timedelta(minutes=2))], NOON)
    before = levels.statistics(PLACE, NOON_S, NOON_S + 300, "minute")
    assert levels.expire(NOON_S + 3_599, NEVER_S) == 0, "the hour has not ended by then"
    assert levels.expire(NOON_S + 3_600, NEVER_S) == 1
    assert laeq(levels, NOON_S, NOON_S + 60) == [None] * 60
    after = levels.statistics(PLACE, NOON_S, NOON_S + 300, "minute")
    np.testing.assert_array_equal(after.levels, before.levels)
    assert after.seconds.tolist() == [60, 0, 30, 0, 0]
    levels.add_many([series(*[80.0] * 60, at=NOON + timedelta(minutes=1)), series(*[10.0] * 30)], NOON)
    for _ in range(2):
        minutes = levels.statistics(PLACE, NOON_S, NOON_S + 300, "minute")
        assert minutes.levels[:3, 0].tolist() == [60.0, 80.0, 70.0]
        levels.expire(NOON_S + 3_600, NEVER_S)


def test_old_statistics_are_removed_with_all_that_belongs_to_them(levels: LevelStore, archive: EventStore) -> None:
    for day in range(3):
        levels.add_many([series(60.0, at=NOON + timedelta(days=day))], NOON)
    assert levels.expire(NOON_S + 10 * DAY_S, NOON_S + DAY_S) == 3
    table = levels.statistics(PLACE, NOON_S - NOON_S % 3_600, NOON_S + 3 * DAY_S, "hour")
    assert table.seconds[[0, 24, 48]].tolist() == [0, 1, 1]
    levels.expire(NOON_S + 10 * DAY_S, NOON_S + 10 * DAY_S)
    assert archive.client.keys("*levels*") == []


def test_a_year_of_one_sensor_takes_less_than_seven_megabytes(levels: LevelStore, archive: EventStore) -> None:
    day_s = NOON_S - NOON_S % DAY_S
    minutes = [series(*[60.0] * 60, at=NOON + timedelta(minutes=n - 720)) for n in range(1_440)]
    levels.add_many(minutes, NOON)
    seconds = sum(archive.client.memory_usage(keys.level_seconds(PLACE, day_s // 3_600 + hour)) for hour in range(24))
    assert seconds < 7 * 10**5
    levels.expire(day_s + DAY_S, NEVER_S)
    assert 365 * archive.client.memory_usage(keys.level_statistics(PLACE, day_s // DAY_S)) < 8 * 10**6
    assert levels.statistics(PLACE, day_s, day_s + DAY_S, "minute").seconds.tolist() == [60] * 1_440


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
    archive.client.set(keys.level_seconds(PLACE, NOON_S // 3_600), b"odd")
    assert laeq(levels, NOON_S, NOON_S + 1) == [None]
    assert levels.statistics(PLACE, NOON_S, NOON_S + 7_200, "hour").seconds.tolist() == [0, 1]
    assert archive.rows.left_out == {"levels": 1}
    assert levels.expire(NOON_S + 7_200, NEVER_S) == 2


@pytest.mark.parametrize("damaged", ["seconds", "statistics", "index", "name"])
def test_a_damaged_key_is_passed_over_and_counted_when_old_levels_are_removed(
    levels: LevelStore, archive: EventStore, damaged: str
) -> None:
    hour, other = NOON_S // 3_600, replace(series(60.0), sensor="street-2")
    levels.add_many([series(60.0), other, series(60.0, at=NOON + timedelta(hours=1))], NOON)
    wrong = {
        "seconds": keys.level_seconds(PLACE, hour),
        "statistics": keys.level_statistics("demo/street-2", NOON_S // DAY_S),
        "index": keys.LEVEL_DAYS,
    }
    if damaged == "name":
        archive.client.zadd(keys.LEVEL_HOURS, {b"\xff": 0, "demo/street-1:odd": 1})
    else:
        archive.client.delete(wrong[damaged])
        archive.client.sadd(wrong[damaged], "something else")
    for _ in range(2):
        removed = levels.expire(NOON_S + 2 * 3_600, NEVER_S)
        assert removed in {0, {"seconds": 2, "statistics": 2, "index": 0, "name": 3}[damaged]}
        assert archive.rows.left_out == {"seconds": {"levels": 1}, "statistics": {"levels": 1}}.get(
            damaged, {"level index": 1 if damaged == "index" else 2}
        )


def test_a_sensor_that_sends_levels_only_is_known_and_not_silent(levels: LevelStore, archive: EventStore) -> None:
    levels.add_many([series(60.0)], NOON)
    (sensor,) = archive.sensors.all()
    assert (sensor.place, sensor.last_levels_at, sensor.last_received_at) == (PLACE, NOON, None)
    assert sensor_status(sensor, NOON + timedelta(minutes=9)).word == "online"
    assert sensor_status(sensor, NOON + timedelta(minutes=11)).word == "silent"

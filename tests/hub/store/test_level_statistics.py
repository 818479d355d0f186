"""Statistics of levels in every store: equal to the seconds, in any order, for longer than those stay."""

import itertools
from datetime import datetime, timedelta

import numpy as np
import pytest

from hub.domain.level_rows import LevelTable
from hub.store import level_keys
from hub.store.events import EventStore
from hub.store.level_statistics import DAY_S, LevelStatistics, Resolution
from hub.store.levels import LevelStore
from shared.level_series import NO_LEVEL, LevelSeries
from tests.factories import NOON

pytestmark = pytest.mark.redis

PLACE = "demo/street-1"
NOON_S = int(NOON.timestamp())
HOUR = timedelta(hours=1)
NEVER_S = 0


@pytest.fixture
def levels(archive: EventStore) -> LevelStore:
    return LevelStore(archive.client, archive.rows)


@pytest.fixture
def statistics(archive: EventStore) -> LevelStatistics:
    return LevelStatistics(archive.client, archive.rows)


def series(*laeq: float | None, at: datetime = NOON, sensor: str = "street-1") -> LevelSeries:
    tenths = [
        [NO_LEVEL] * 3 if level is None else [round(10 * level + more) for more in (0, 100, 20)] for level in laeq
    ]
    return LevelSeries("demo", sensor, "boot", at, np.array(tenths, dtype=np.int16), "dB", "synchronised")


def assert_same(one: LevelTable, other: LevelTable) -> None:
    np.testing.assert_array_equal(one.levels, other.levels)
    np.testing.assert_array_equal(one.seconds, other.seconds)


def test_minutes_and_hours_follow_from_the_seconds(levels: LevelStore, statistics: LevelStatistics) -> None:
    levels.add_many([series(*range(40, 60), at=NOON + timedelta(minutes=59, seconds=50))], NOON)
    hours = statistics.table(PLACE, NOON_S, NOON_S + 2 * 3_600, "hour")
    assert hours.seconds.tolist() == [10, 10]
    assert hours.levels[1].tolist() == pytest.approx([55.4, 69.0, 57.4, 58.1, 54.5, 50.9], abs=0.051)
    minutes = statistics.table(PLACE, NOON_S + 59 * 60, NOON_S + 61 * 60, "minute")
    assert minutes.seconds.tolist() == [10, 10]
    assert statistics.table(PLACE, NOON_S, NOON_S, "hour").seconds.tolist() == []


@pytest.mark.parametrize("resolution", ["minute", "hour"])
def test_written_statistics_are_those_that_were_read_before(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore, resolution: Resolution
) -> None:
    for number in range(4):
        levels.add_many([series(*[50.0 + number] * 60, at=NOON + number * HOUR)], NOON)
    span = (PLACE, NOON_S - 3_600, NOON_S + 5 * 3_600, resolution)
    before = statistics.table(*span)
    assert statistics.update(NOON_S + 2 * 3_600 + 3_599) == 2, "the third hour has not ended"
    assert archive.client.zrange(level_keys.level_changes(PLACE), 0, -1) == [
        str(NOON_S // 3_600 + later).encode() for later in (2, 3)
    ]
    assert_same(statistics.table(*span), before)
    assert (statistics.update(NOON_S + DAY_S), statistics.update(NOON_S + DAY_S)) == (2, 0)
    assert_same(statistics.table(*span), before)


def test_late_seconds_change_what_was_written_and_repeats_do_not(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    first, late = series(*[60.0] * 30), series(*[70.0] * 30, at=NOON + timedelta(seconds=30))
    levels.add_many([first], NOON)
    statistics.update(NOON_S + 3_600)
    levels.add_many([late], NOON)
    for _ in range(2):  # before and after it is written
        table = statistics.table(PLACE, NOON_S, NOON_S + 60, "minute")
        assert (table.seconds.tolist(), table.levels[0, 3]) == ([60], 70.0)
        statistics.update(NOON_S + 3_600)
    written = archive.client.get(level_keys.level_statistics(PLACE, NOON_S // DAY_S))
    levels.add_many([late, first], NOON)
    statistics.update(NOON_S + 3_600)
    assert archive.client.get(level_keys.level_statistics(PLACE, NOON_S // DAY_S)) == written


def test_any_order_of_series_and_updates_leads_to_the_same_statistics(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    parts = [series(*[50.0 + 3 * n] * 20, at=NOON + timedelta(seconds=20 * n)) for n in range(3)]
    found = []
    for order in itertools.permutations(parts):
        archive.client.flushall()
        for one in order:
            levels.add_many([one], NOON)
            statistics.update(NOON_S + 3_600)
        found.append(archive.client.get(level_keys.level_statistics(PLACE, NOON_S // DAY_S)))
    assert len(set(found)) == 1


def test_several_sensors_are_read_at_once(levels: LevelStore, statistics: LevelStatistics) -> None:
    levels.add_many([series(*[50.0 + n], sensor=f"s-{n}") for n in range(3)], NOON)
    statistics.update(NOON_S + 3_600)
    levels.add_many([series(70.0, at=NOON + HOUR, sensor="s-1")], NOON)
    places = [f"demo/s-{n}" for n in range(3)]
    tables = statistics.tables(places, NOON_S - DAY_S, NOON_S + DAY_S, "hour")
    assert [tables[place].seconds.sum() for place in places] == [1, 2, 1]
    for place in places:
        assert_same(tables[place], statistics.table(place, NOON_S - DAY_S, NOON_S + DAY_S, "hour"))
    assert statistics.tables([], NOON_S, NOON_S + DAY_S, "hour") == {}


def test_statistics_outlast_the_seconds_and_later_seconds_complete_them(
    levels: LevelStore, statistics: LevelStatistics
) -> None:
    levels.add_many([series(*[60.0] * 60), series(*[70.0] * 30, at=NOON + timedelta(minutes=2))], NOON)
    before = statistics.table(PLACE, NOON_S, NOON_S + 300, "minute")
    assert statistics.expire(NOON_S + 3_599, NEVER_S) == 0, "the hour has not ended by then"
    assert statistics.expire(NOON_S + 3_600, NEVER_S) == 1
    assert levels.series(PLACE, NOON_S, NOON_S + 60).seconds.tolist() == [0] * 60
    after = statistics.table(PLACE, NOON_S, NOON_S + 300, "minute")
    assert_same(after, before)
    levels.add_many([series(*[80.0] * 60, at=NOON + timedelta(minutes=1)), series(*[10.0] * 30)], NOON)
    for _ in range(2):
        minutes = statistics.table(PLACE, NOON_S, NOON_S + 300, "minute")
        assert minutes.levels[:3, 0].tolist() == [60.0, 80.0, 70.0]
        assert statistics.table(PLACE, NOON_S, NOON_S + 3_600, "hour").seconds.tolist() == [150]
        statistics.expire(NOON_S + 3_600, NEVER_S)


def test_old_statistics_are_removed_with_all_that_belongs_to_them(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    for day in range(3):
        levels.add_many([series(60.0, at=NOON + timedelta(days=day))], NOON)
    assert statistics.expire(NOON_S + 10 * DAY_S, NOON_S + DAY_S) == 3
    table = statistics.table(PLACE, NOON_S - NOON_S % 3_600, NOON_S + 3 * DAY_S, "hour")
    assert table.seconds[[0, 24, 48]].tolist() == [0, 1, 1]
    statistics.expire(NOON_S + 10 * DAY_S, NOON_S + 10 * DAY_S)
    assert archive.client.keys("*levels*") == []


def test_a_year_of_one_sensor_takes_less_than_ten_megabytes(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    day_s = NOON_S - NOON_S % DAY_S
    minutes = [series(*[60.0] * 60, at=NOON + timedelta(minutes=n - 720)) for n in range(1_440)]
    levels.add_many(minutes, NOON)
    seconds = sum(
        archive.client.memory_usage(level_keys.level_seconds(PLACE, day_s // 3_600 + hour)) for hour in range(24)
    )
    assert seconds < 7 * 10**5
    statistics.expire(day_s + DAY_S, NEVER_S)
    assert 365 * archive.client.memory_usage(level_keys.level_statistics(PLACE, day_s // DAY_S)) < 10 * 10**6
    assert statistics.table(PLACE, day_s, day_s + DAY_S, "minute").seconds.tolist() == [60] * 1_440


def test_a_damaged_row_is_left_out_and_counted(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    levels.add_many([series(60.0), series(60.0, at=NOON + timedelta(days=1))], NOON)
    statistics.update(NOON_S + 2 * DAY_S)
    archive.client.set(level_keys.level_statistics(PLACE, NOON_S // DAY_S), b"odd")
    assert statistics.table(PLACE, NOON_S, NOON_S + DAY_S + 3_600, "hour").seconds[[0, 24]].tolist() == [0, 1]
    assert archive.rows.left_out == {"level statistics": 1}
    levels.add_many([series(61.0)], NOON)
    assert statistics.update(NOON_S + DAY_S) == 1
    assert statistics.table(PLACE, NOON_S, NOON_S + 3_600, "hour").seconds.tolist() == [1]


@pytest.mark.parametrize("damaged", ["seconds", "statistics", "index", "name"])
def test_a_damaged_key_is_passed_over_and_counted_when_old_levels_are_removed(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore, damaged: str
) -> None:
    hour, other = NOON_S // 3_600, series(60.0, sensor="street-2")
    levels.add_many([series(60.0), other, series(60.0, at=NOON + HOUR)], NOON)
    wrong = {
        "seconds": level_keys.level_seconds(PLACE, hour),
        "statistics": level_keys.level_statistics("demo/street-2", NOON_S // DAY_S),
        "index": level_keys.LEVEL_DAYS,
    }
    if damaged == "name":
        archive.client.zadd(level_keys.LEVEL_HOURS, {b"\xff": 0, "demo/street-1:odd": 1})
    else:
        archive.client.delete(wrong[damaged])
        archive.client.sadd(wrong[damaged], "something else")
    for _ in range(2):
        removed = statistics.expire(NOON_S + 2 * 3_600, NEVER_S)
        assert removed in {0, {"seconds": 2, "statistics": 2, "index": 0, "name": 3}[damaged]}
        assert archive.rows.left_out == {"seconds": {"levels": 1}, "statistics": {"levels": 1}}.get(
            damaged, {"level index": 1 if damaged == "index" else 2}
        )


@pytest.mark.parametrize("damaged", ["seconds", "statistics", "changes"])
def test_a_damaged_key_of_one_sensor_keeps_the_statistics_of_others(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore, damaged: str
) -> None:
    levels.add_many([series(60.0), series(61.0, sensor="street-2")], NOON)
    wrong = {
        "seconds": level_keys.level_seconds(PLACE, NOON_S // 3_600),
        "statistics": level_keys.level_statistics(PLACE, NOON_S // DAY_S),
        "changes": level_keys.level_changes(PLACE),
    }[damaged]
    archive.client.delete(wrong)
    archive.client.sadd(wrong, "something else")
    places = [PLACE, "demo/street-2"]
    for _ in range(2):
        read = statistics.tables(places, NOON_S, NOON_S + 3_600, "hour")
        assert read["demo/street-2"].levels[0, 0] == 61.0
        assert read[PLACE].seconds.tolist() == [1 if damaged == "statistics" else 0]
        assert statistics.update(NOON_S + DAY_S) in {0, 1}
    assert archive.client.zcard(level_keys.level_changes("demo/street-2")) == 0
    assert archive.rows.left_out


def test_a_change_that_is_no_hour_is_passed_over_and_counted(
    levels: LevelStore, statistics: LevelStatistics, archive: EventStore
) -> None:
    levels.add_many([series(60.0)], NOON)
    archive.client.zadd(level_keys.level_changes(PLACE), {"odd": NOON_S // 3_600})
    assert [statistics.update(NOON_S + DAY_S) for _ in range(2)] == [1, 0]
    assert archive.rows.left_out == {"level index": 1}

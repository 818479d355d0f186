"""Bands in every store: each second once, gaps as gaps, removed by age."""

from datetime import timedelta

import numpy as np
import pytest

from hub.store import level_keys
from hub.store.events import EventStore
from hub.store.level_bands import BandStore
from hub.store.levels import LevelStore
from shared.level_bands import BANDS, band_rows
from shared.level_series import LevelSeries
from shared.levels.values import SecondLevels
from tests.factories import NOON

pytestmark = pytest.mark.redis

PLACE = "demo/street-1"
NOON_S = int(NOON.timestamp())
DAY_S = 86_400


def series(*lowest: float | None, later_s: int = 0) -> LevelSeries:
    bands = [() if level is None else (level, level + 10.0) for level in lowest]
    rows = band_rows([SecondLevels(50.0, 60.0, 55.0, one) for one in bands])
    tenths = np.full((len(lowest), 3), 500, dtype=np.int16)
    at = NOON + timedelta(seconds=later_s)
    return LevelSeries("demo", "street-1", "boot", at, tenths, "dB", "synchronised", bands=rows)


def test_bands_come_back_across_hours_and_repeats_and_seconds_without_bands_change_nothing(
    archive: EventStore,
) -> None:
    levels, bands = LevelStore(archive.client, archive.rows), BandStore(archive.client, archive.rows)
    levels.add_many([series(30.0, None, 31.5, 32.0), series(40.0, 41.0, later_s=3_599)], NOON)
    levels.add_many([series(None, None, None), series(32.0, later_s=3)], NOON)
    found = bands.series(PLACE, NOON_S - 1, NOON_S + 5)
    assert found.shape == (6, BANDS)
    assert np.isnan(found[[0, 2, 5]]).all()
    assert found[[1, 3, 4], :2].tolist() == [[30.0, 40.0], [31.5, 41.5], [32.0, 42.0]]
    assert np.isnan(found[:, 2:]).all()
    assert bands.series(PLACE, NOON_S + 3_599, NOON_S + 3_601)[:, 0].tolist() == [40.0, 41.0]
    assert bands.series("demo/other", NOON_S, NOON_S + 2).shape == (2, BANDS)
    assert bands.series(PLACE, NOON_S, NOON_S).shape == (0, BANDS)


def test_old_bands_are_removed_and_a_damaged_row_is_left_out(archive: EventStore) -> None:
    levels, bands = LevelStore(archive.client, archive.rows), BandStore(archive.client, archive.rows)
    levels.add_many([series(30.0), series(30.0, later_s=3_600), series(30.0, later_s=DAY_S)], NOON)
    archive.client.set(level_keys.level_bands(PLACE, NOON_S // 3_600 + 24), b"x" * 200_000)
    assert np.isnan(bands.series(PLACE, NOON_S + DAY_S, NOON_S + DAY_S + 1)).all()
    assert archive.rows.left_out == {"bands": 1}
    assert bands.expire(NOON_S + 3_599) == 0
    assert bands.expire(NOON_S + 7_200) == 2
    assert np.isnan(bands.series(PLACE, NOON_S, NOON_S + 7_200)).all()
    assert bands.expire(NOON_S + 2 * DAY_S) == 1
    assert archive.client.keys("*bands*") == []


def test_damaged_names_and_a_damaged_index_of_bands_are_passed_over_and_counted(archive: EventStore) -> None:
    bands = BandStore(archive.client, archive.rows)
    LevelStore(archive.client, archive.rows).add_many([series(30.0)], NOON)
    archive.client.zadd(level_keys.BAND_HOURS, {b"\xff": 0, "demo/street-1:odd": 1})
    assert [bands.expire(NOON_S + DAY_S) for _ in range(2)] == [1, 0]
    assert archive.rows.left_out == {"level index": 2}
    archive.client.delete(level_keys.BAND_HOURS)
    archive.client.sadd(level_keys.BAND_HOURS, "something else")
    assert bands.expire(NOON_S + DAY_S) == 0
    assert archive.rows.left_out == {"level index": 3}


def test_bands_of_a_day_take_less_than_four_megabytes(archive: EventStore) -> None:
    minutes = [series(*[30.0] * 60, later_s=60 * minute) for minute in range(60)]
    LevelStore(archive.client, archive.rows).add_many(minutes, NOON)
    assert 24 * archive.client.memory_usage(level_keys.level_bands(PLACE, NOON_S // 3_600)) < 4 * 10**6

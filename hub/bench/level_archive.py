"""Levels of a year at many sensors, for benchmarks: seconds of one day, and its statistics on all other days."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from hub.store import keys, level_keys
from hub.store.events import EventStore
from hub.store.level_statistics import DAY_S, LevelStatistics
from hub.store.levels import LevelStore
from shared.level_bands import ROW_BYTES
from shared.level_series import MAX_BAND_SECONDS, LevelSeries

_HOURS: Final = 24
_STREET_DB: Final = 58.0


def fill_levels(
    store: EventStore, *, site: str, sensors: int, days: int, progress: Callable[[float], None] = lambda _: None
) -> None:
    """Write levels of sensors `sensor-0` and so on: the seconds of yesterday, and statistics of days until today.

    The first sensor also gets third-octave bands of yesterday.

    Args:
        store: of events, whose client keeps the levels.
        site: of the sensors.
        sensors: number of sensors.
        days: number of days with statistics.
        progress: called with the share done, in [0, 1].

    Raises:
        UnavailableError: the store does not answer.
    """
    levels, statistics = LevelStore(store.client, store.rows), LevelStatistics(store.client, store.rows)
    now_s = int(time.time())
    yesterday = now_s // DAY_S - 1
    rng = np.random.default_rng(0)
    for number in range(sensors):
        name = f"sensor-{number}"
        series = [_hour(site, name, yesterday * DAY_S + 3_600 * hour, rng) for hour in range(_HOURS)]
        levels.add_many(series, _now())
        if number == 0:
            levels.add_many(
                [_with_bands(part, rng) for hour in series for part in hour.split(MAX_BAND_SECONDS)], _now()
            )
        statistics.update(now_s)
        _copy(store, f"{site}/{name}", yesterday, days)
        progress((number + 1) / sensors)


def _hour(site: str, sensor: str, start_s: int, rng: np.random.Generator) -> LevelSeries:
    """Return an hour of a street, louder by day."""
    by_hour_db = 8.0 * np.sin((start_s % DAY_S / DAY_S - 0.25) * 2 * np.pi)
    laeq = _STREET_DB + by_hour_db + rng.normal(0.0, 4.0, 3_600)
    tenths = np.rint(10.0 * (laeq[:, None] + [0.0, 6.0, 9.0])).astype(np.int16)
    return LevelSeries(site, sensor, "bench", datetime.fromtimestamp(start_s, UTC), tenths, "dB", "synchronised")


def _with_bands(series: LevelSeries, rng: np.random.Generator) -> LevelSeries:
    """Return a series with bands of 20 to 60 dB."""
    rows = rng.integers(1, 82, (len(series.tenths), ROW_BYTES), dtype=np.uint8)
    rows[:, 0] = 148
    return replace(series, bands=rows)


def _copy(store: EventStore, place: str, source: int, days: int) -> None:
    """Copy the statistics of a day (since 1970 UTC) to all others."""
    pipe = store.client.pipeline(transaction=False)
    for day in range(source + 2 - days, source + 2):
        if day != source:
            pipe.copy(
                level_keys.level_statistics(place, source), level_keys.level_statistics(place, day), replace=True
            )
        pipe.zadd(level_keys.LEVEL_DAYS, {f"{place}:{day}": day * DAY_S})
    pipe.sadd(keys.SENSORS, place)
    pipe.execute()


def _now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)

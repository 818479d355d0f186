"""Level series: what is encoded comes back within 0.05 dB, and what is wrong is refused with the reason."""

import base64
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidError, UnsupportedError
from shared.events import Calibration
from shared.level_series import (
    LEVELS,
    MAX_SECONDS,
    NO_LEVEL,
    SERIES_CAP_BYTES,
    LevelSeries,
    decode_series,
    encode_series,
    tenths_of,
)
from shared.levels.values import SecondLevels
from shared.mqtt.topics import SensorTopic
from tests.factories import NOON, names

TOPIC = SensorTopic("demo", "street-1", "levels")
decibels = st.floats(-250, 250)
seconds = st.none() | st.builds(SecondLevels, laeq=decibels, lafmax=decibels, lceq=decibels)


def series(count: int = 60, at: datetime = NOON, level: int = 500) -> LevelSeries:
    tenths = np.full((count, 3), level, dtype=np.int16)
    return LevelSeries("demo", "street-1", "boot", at, tenths, "dB", "synchronised")


@given(
    st.builds(
        LevelSeries,
        site=names,
        sensor=names,
        boot=names,
        captured_at=st.integers(0, 7_258_118_399).map(lambda s: datetime.fromtimestamp(s, UTC)),
        tenths=st.just(np.zeros((1, 3), dtype=np.int16)),
        unit=st.sampled_from(["dBFS", "dB"]),
        clock=st.sampled_from(["synchronised", "unsynchronised", "unknown"]),
        backfilled=st.booleans(),
        calibration=st.none() | st.builds(Calibration, id=names, at=st.just(NOON)),
    ),
    st.lists(seconds, min_size=1, max_size=90),
)
def test_a_series_comes_back_within_a_twentieth_of_a_decibel(
    one: LevelSeries, values: list[SecondLevels | None]
) -> None:
    tenths = np.full((len(values), 3), NO_LEVEL, dtype=np.int16)
    known = [number for number, value in enumerate(values) if value is not None]
    tenths[known] = tenths_of([value for value in values if value is not None])
    sent = replace(one, tenths=tenths)
    back = decode_series(
        encode_series(sent), SensorTopic(one.site, one.sensor, "levels") if one.site != "heartbeat" else None
    )
    fields = ("site", "sensor", "boot", "captured_at", "unit", "clock", "backfilled", "calibration")
    assert [getattr(back, name) for name in fields] == [getattr(sent, name) for name in fields]
    assert back.present.tolist() == [value is not None for value in values]
    for row, value in zip(back.tenths, values, strict=True):
        if value is not None:
            assert np.abs(row / 10.0 - [getattr(value, name) for name in LEVELS]).max() <= 0.05 + 1e-9


def test_a_minute_takes_little_room() -> None:
    assert len(encode_series(series())) < 800


def fields(**changes: Any) -> bytes:
    made = json.loads(encode_series(series(2)))
    return json.dumps({name: value for name, value in {**made, **changes}.items() if value is not ...}).encode()


def base(*tenths: int) -> str:
    return base64.b64encode(np.array(tenths, dtype="<i2").tobytes()).decode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b" " * (SERIES_CAP_BYTES + 1), "over the cap of 32768"),
        (b"{", "JSON"),
        (fields(start=...), "start"),
        (fields(start="2026-06-01T12:00:00.5Z"), "whole second"),
        (fields(start="2200-01-01T00:00:00Z"), "1970 to 2199"),
        (fields(seconds=0), "seconds"),
        (fields(seconds=MAX_SECONDS + 1), "seconds"),
        (fields(seconds=3), "3 seconds need 18 bytes, levels has 12"),
        (fields(levels="?" * 16), "not base64"),
        (fields(levels=base(500, 500, 500, 2_501, 500, 500)), "outside"),
        (fields(levels=base(500, 500, 500, NO_LEVEL, 500, 500)), "all levels or none"),
        (fields(level_unit="sone"), "level_unit"),
        (fields(clock=...), "clock"),
        (fields(calibration="c1"), "given together"),
        (fields(sensor="street-2"), "came on the topic of demo/street-1"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        decode_series(payload, TOPIC)


def test_fields_of_later_sensors_are_ignored_and_a_later_version_is_unsupported() -> None:
    assert len(decode_series(fields(later="field"), TOPIC).tenths) == 2
    with pytest.raises(UnsupportedError):
        decode_series(fields(version=2), TOPIC)


def test_a_level_that_is_no_number_has_no_tenths() -> None:
    with pytest.raises(InvalidError, match="finite"):
        tenths_of([SecondLevels(float("nan"), 0.0, 0.0)])


@given(st.integers(1, 200), st.integers(0, 3_600), st.sampled_from([60, 3_600]))
def test_the_parts_of_periods_are_the_whole(count: int, offset_s: int, period_s: int) -> None:
    whole = replace(
        series(count, NOON + timedelta(seconds=offset_s)), tenths=np.arange(3 * count, dtype=np.int16).reshape(-1, 3)
    )
    parts = list(whole.split(period_s))
    assert np.concatenate([part.tenths for part in parts]).tolist() == whole.tenths.tolist()
    assert all(part.start_s // period_s == (part.start_s + len(part.tenths) - 1) // period_s for part in parts)
    assert [b.start_s - a.start_s for a, b in itertools.pairwise(parts)] == [len(p.tenths) for p in parts[:-1]]


def test_a_gap_between_two_joined_series_has_no_levels() -> None:
    joined = series(2).joined(series(1, NOON + timedelta(seconds=5), 300), 60)
    assert joined is not None
    assert joined.tenths[:, 0].tolist() == [500, 500, NO_LEVEL, NO_LEVEL, NO_LEVEL, 300]


@pytest.mark.parametrize(
    "later",
    [
        series(1, NOON + timedelta(seconds=1)),
        series(1, NOON + timedelta(seconds=60)),
        replace(series(1, NOON + timedelta(seconds=2)), unit="dBFS"),
        replace(series(1, NOON + timedelta(seconds=2)), clock="unknown"),
        replace(series(1, NOON + timedelta(seconds=2)), calibration=Calibration("c1", NOON)),
    ],
    ids=["overlap", "next minute", "other unit", "other clock", "other calibration"],
)
def test_series_that_do_not_belong_together_are_not_joined(later: LevelSeries) -> None:
    assert series(2).joined(later, 60) is None

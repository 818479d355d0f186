"""Third-octave bands of seconds come back within a quarter of a decibel; earlier messages stay valid."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidError
from shared.level_bands import BANDS, ROW_BYTES, BandRows, band_levels, band_rows
from shared.level_series import (
    MAX_BAND_SECONDS,
    NO_LEVEL,
    SERIES_CAP_BYTES,
    LevelSeries,
    decode_series,
    encode_series,
)
from shared.levels.values import SecondLevels
from tests.factories import NOON


def second(*bands: float) -> SecondLevels:
    return SecondLevels(50.0, 60.0, 55.0, bands)


def series(rows: BandRows | None, count: int = 1) -> LevelSeries:
    tenths = np.full((count if rows is None else len(rows), 3), 500, dtype=np.int16)
    return LevelSeries("demo", "street-1", "boot", NOON, tenths, "dB", "synchronised", bands=rows)


@given(st.lists(st.lists(st.floats(0, 126), max_size=BANDS), min_size=1, max_size=20), st.floats(-127, 100))
def test_bands_come_back_within_a_quarter_of_a_decibel_and_missing_ones_stay_missing(
    levels: list[list[float]], offset_db: float
) -> None:
    rows = band_rows([second(*(level + offset_db for level in one)) for one in levels])
    back = decode_series(encode_series(series(rows)))
    assert back.bands is not None
    np.testing.assert_array_equal(back.bands, rows)
    found = band_levels(back.bands)
    assert found.shape == (len(levels), BANDS)
    for row, one in zip(found, levels, strict=True):
        assert np.isnan(row[len(one) :]).all()
        assert np.abs(row[: len(one)] - np.array(one) - offset_db).max(initial=0.0) <= 0.25 + 1e-9


def test_levels_beyond_the_codes_take_the_nearest_one() -> None:
    found = band_levels(band_rows([second(-200.0, -100.0, 40.0)]))[0]
    assert found[:3].tolist() == [-127.0, -100.0, 0.0]


@pytest.mark.parametrize("bands", [[float("nan")], [1.0] * (BANDS + 1)])
def test_bands_that_are_none_are_refused(bands: list[float]) -> None:
    with pytest.raises(InvalidError, match="at most 31 finite levels"):
        band_rows([second(*bands)])


def test_the_longest_series_with_bands_fits_a_message_and_a_longer_one_is_refused() -> None:
    full = np.full((MAX_BAND_SECONDS, ROW_BYTES), 255, dtype=np.uint8)
    assert len(encode_series(series(full))) < SERIES_CAP_BYTES
    with pytest.raises(InvalidError, match="at most 600"):
        series(np.full((MAX_BAND_SECONDS + 1, ROW_BYTES), 255, dtype=np.uint8))


def test_a_minute_with_bands_takes_a_few_kilobytes() -> None:
    rows = band_rows([second(*range(40, 40 + BANDS))] * 60)
    assert len(encode_series(series(rows))) < 3_400


def test_a_message_without_bands_is_that_of_earlier_sensors() -> None:
    made = json.loads(encode_series(series(None, 2)))
    assert made.pop("bands", None) is None
    back = decode_series(json.dumps(made).encode())
    assert back.bands is None
    assert len(back.tenths) == 2


def fields(**changes: Any) -> bytes:
    return json.dumps({**json.loads(encode_series(series(band_rows([second(1.0)])))), **changes}).encode()


def base(*values: int) -> str:
    return base64.b64encode(bytes(values)).decode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (fields(bands="?" * 8), "bands is not base64"),
        (fields(bands=base(*[1] * 31)), "1 seconds need 32 bytes, bands has 31"),
        (fields(bands=base(0, *[1] * 31)), "bands without a base"),
        (fields(levels=base(*[0, 128] * 3)), "without levels"),
        (fields(bands="A" * 30_000), "bands"),
    ],
)
def test_bands_that_are_wrong_are_refused_with_the_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        decode_series(payload)


def test_parts_and_joined_series_keep_the_bands_of_their_seconds() -> None:
    rows = band_rows([second(float(number)) for number in range(90)])
    parts = list(series(rows).split(60))
    assert [band_levels(part.bands)[0, 0] for part in parts if part.bands is not None] == [0.0, 60.0]
    later = replace(series(None), captured_at=NOON + timedelta(seconds=33))
    joined = series(rows[:30]).joined(later, 60)
    assert joined is not None
    assert joined.bands is not None
    assert joined.bands[:, 0].tolist() == [*rows[:30, 0].tolist(), 0, 0, 0, 0]
    assert joined.tenths[30:, 0].tolist() == [NO_LEVEL] * 3 + [500]

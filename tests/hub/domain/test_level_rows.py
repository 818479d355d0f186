"""Packed levels and their statistics, compared with a naive computation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.level_rows import (
    Codes,
    codes_of,
    merged,
    packed,
    summarised,
    table_of_seconds,
    table_of_statistics,
    unpacked,
)
from shared.events import LevelUnit
from shared.level_series import NO_LEVEL

SECONDS = 3_600


def hour(tenths: dict[int, tuple[int, int, int]], unit: LevelUnit = "dB") -> Codes:
    rows = np.full((SECONDS, 3), NO_LEVEL, dtype=np.int16)
    for second, levels in tenths.items():
        rows[second] = levels
    return codes_of(rows, unit)


def naive(levels: list[tuple[int, int, int]]) -> list[float]:
    """LAeq, LAFmax, LCeq, L10, L50 and L90, in dB, of seconds in 0.1 dB."""

    def mean(column: int) -> float:
        return 10.0 * math.log10(sum(10.0 ** (one[column] / 100.0) for one in levels) / len(levels))

    laeq = [one[0] / 10.0 for one in levels]
    percentiles = [float(np.quantile(laeq, share)) for share in (0.9, 0.5, 0.1)]
    return [mean(0), max(one[1] for one in levels) / 10.0, mean(2), *percentiles]


tenths = st.integers(-2_500, 2_500)


@given(
    st.dictionaries(st.integers(0, SECONDS - 1), st.tuples(tenths, tenths, tenths), max_size=70),
    st.sampled_from(["dB", "dBFS"]),
)
def test_statistics_are_those_of_a_naive_computation(
    levels: dict[int, tuple[int, int, int]], unit: LevelUnit
) -> None:
    codes = summarised(hour(levels, unit))
    assert codes.shape == (61, 7)
    table = table_of_statistics(codes)
    for row in range(61):
        own = [one for second, one in levels.items() if row in {0, 1 + second // 60}]
        assert table.seconds[row] == len(own)
        if own:
            assert np.abs(table.levels[row] - naive(own)).max() <= 0.05 + 1e-6
        else:
            assert np.isnan(table.levels[row]).all()
    assert table.unit == (unit if levels else "dBFS")


@given(
    st.lists(st.tuples(tenths, tenths, tenths) | st.none(), min_size=1, max_size=20), st.sampled_from(["dB", "dBFS"])
)
def test_packed_levels_come_back(levels: list[tuple[int, int, int] | None], unit: LevelUnit) -> None:
    rows = np.array([one or (NO_LEVEL,) * 3 for one in levels], dtype=np.int16)
    table = table_of_seconds(unpacked(packed(codes_of(rows, unit)), len(levels), 3))
    for row, one in zip(table.levels, levels, strict=True):
        assert np.isnan(row).all() if one is None else row.tolist() == [value / 10.0 for value in one]


def test_a_string_that_is_shorter_has_no_levels_at_its_end() -> None:
    table = table_of_seconds(unpacked(b"\0" * 6 + packed(codes_of(np.array([[1, 2, 3]], np.int16), "dB")), 4, 3))
    assert table.seconds.tolist() == [0, 1, 0, 0]
    assert table.levels[1].tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("raw", [b"\0", b"\0" * 8])
def test_a_string_that_no_levels_have_is_not_read(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"more than 3|multiple of"):
        unpacked(raw, 1, 3)


def test_levels_in_db_and_in_dbfs_are_not_mixed() -> None:
    both = np.maximum(hour({0: (-400, -300, -350)}, "dBFS"), hour({1: (600, 700, 650)}, "dB"))
    seconds = table_of_seconds(both)
    assert (seconds.unit, seconds.left_out) == ("dB", 1)
    assert np.isnan(seconds.levels[0]).all()
    assert seconds.levels[1].tolist() == [60.0, 70.0, 65.0]
    minute = table_of_statistics(summarised(both)[1:2])
    assert (minute.unit, minute.seconds.tolist()) == ("dB", [1])
    assert minute.levels[0].tolist() == [60.0, 70.0, 65.0, 60.0, 60.0, 60.0]


def test_of_two_statistics_of_a_minute_the_one_with_more_seconds_stays() -> None:
    few = summarised(hour(dict.fromkeys(range(30), (500, 500, 500))))
    more = summarised(hour(dict.fromkeys([*range(40), *range(60, 65)], (600, 600, 600))))
    for table in (table_of_statistics(merged(few, more)), table_of_statistics(merged(more, few))):
        assert table.seconds[:4].tolist() == [45, 40, 5, 0]
        assert table.levels[1, 0] == 60.0


def test_of_equally_many_seconds_the_later_ones_stay() -> None:
    old, new = (summarised(hour({0: (level,) * 3})) for level in (500, 600))
    assert table_of_statistics(merged(old, new)).levels[:2, 0].tolist() == [60.0, 60.0]


def test_an_hour_of_two_parts_has_the_levels_of_both_and_no_percentiles() -> None:
    begin = {second: (600, 700 + second % 7, 650) for second in range(1_800)}
    end = dict.fromkeys(range(1_800, 2_400), (700, 800, 750))
    whole = table_of_statistics(summarised(hour(begin | end)))
    parts = table_of_statistics(merged(summarised(hour(begin)), summarised(hour(end))))
    assert parts.seconds.tolist() == whole.seconds.tolist()
    np.testing.assert_allclose(parts.levels[0, :3], whole.levels[0, :3], atol=0.1)
    assert np.isnan(parts.levels[0, 3:]).all()
    np.testing.assert_array_equal(parts.levels[1:], whole.levels[1:])


def test_statistics_in_db_stay_even_if_those_in_dbfs_have_more_seconds() -> None:
    before = summarised(hour(dict.fromkeys(range(60), (-400, -400, -400)), "dBFS"))
    after = summarised(hour(dict.fromkeys(range(10), (600, 600, 600))))
    for codes in (merged(before, after), merged(after, before)):
        table = table_of_statistics(codes)
        assert (table.unit, table.seconds[:2].tolist(), table.left_out) == ("dB", [10, 10], 0)


@given(st.lists(tenths, min_size=11, max_size=70, unique=True))
def test_percentiles_are_exceeded_by_exactly_their_share_of_the_seconds(laeqs: list[int]) -> None:
    """Of n levels, as many exceed L10 as have a rank above 90 % of n - 1; likewise L50 and L90."""
    spread = [10 * level for level in sorted(level // 10 for level in laeqs)]
    own = {second: (level, level, level) for second, level in enumerate(dict.fromkeys(spread))}
    row = table_of_statistics(summarised(hour(own))).levels[0]
    for column, share in ((3, 90), (4, 50), (5, 10)):
        above = sum(level / 10.0 > row[column] for level, _, _ in own.values())
        assert above == len(own) - 1 - share * (len(own) - 1) // 100

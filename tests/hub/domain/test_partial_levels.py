"""Partial levels: which part a clip counts as, and what an hour's parts add up to."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.level_rows import HOUR_S
from hub.domain.partial_levels import MIXED, NO_CLIP, OTHER, ClipLevel, clip_shares, partial_levels
from shared.taxonomy import CATEGORIES

START_S = 1_780_272_000
SAW = CATEGORIES[3]


def presence(**probabilities: float) -> tuple[float, ...]:
    """Probabilities by number of the category (`c3=0.9`), 0.02 of all others."""
    return tuple(probabilities.get(f"c{number}", 0.02) for number in range(len(CATEGORIES)))


def clip(at_s: float, laeq: float, probabilities: tuple[float, ...], duration_s: float = 10.0) -> ClipLevel:
    return ClipLevel(START_S + at_s, duration_s, laeq, "dB", probabilities)


@pytest.mark.parametrize(
    ("probabilities", "shares"),
    [
        (presence(c3=0.9), {SAW: 0.9, OTHER: pytest.approx(0.1)}),
        (presence(c3=0.9, c0=0.45), {SAW: 0.9, OTHER: pytest.approx(0.1)}),
        (presence(c3=0.9, c0=0.46), {MIXED: 1.0}),
        (presence(c3=0.5), {SAW: 0.5, OTHER: 0.5}),
        (presence(c3=0.49), {OTHER: 1.0}),
    ],
)
def test_a_clip_counts_as_of_its_dominant_category_only(
    probabilities: tuple[float, ...], shares: dict[str, float]
) -> None:
    assert clip_shares(probabilities) == shares


clips = st.builds(
    clip,
    st.floats(-20, HOUR_S + 20),
    st.floats(30, 110),
    st.tuples(*[st.floats(0, 1)] * len(CATEGORIES)),
    st.floats(0.1, 60),
)


@settings(max_examples=25)
@given(st.floats(30, 110), st.integers(1, HOUR_S), st.lists(clips, max_size=8))
def test_the_parts_of_an_hour_add_up_to_its_level(laeq: float, valid_s: int, own: list[ClipLevel]) -> None:
    found = partial_levels(START_S, laeq, valid_s, "dB", own)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert all(share > 0.0 for share in found.shares.values())
    together = 10.0 * math.log10(sum(10.0 ** (level / 10.0) for level in found.levels.values()))
    assert together == pytest.approx(laeq, abs=1e-6)


@settings(max_examples=10)
@given(st.floats(40, 70), st.floats(0, 25))
def test_a_partial_level_is_too_high_by_the_background_and_no_more(background: float, above_db: float) -> None:
    saw, rest = 10.0 ** ((background + above_db) / 10.0), 10.0 ** (background / 10.0)
    certain = tuple(float(category == SAW) for category in CATEGORIES)
    during = [clip(10.0 * number, 10.0 * math.log10(saw + rest), certain) for number in range(120)]
    after = [clip(10.0 * number, background, presence()) for number in range(120, 360)]
    found = partial_levels(START_S, 10.0 * math.log10(saw / 3.0 + rest), HOUR_S, "dB", [*during, *after])
    too_high = found.levels[SAW] - 10.0 * math.log10(saw / 3.0)
    assert too_high == pytest.approx(10.0 * math.log10(1.0 + 10.0 ** (-above_db / 10.0)), abs=1e-6)


def test_a_second_of_two_clips_belongs_to_the_later_one() -> None:
    both = [clip(0.0, 60.0, presence(c3=1.0), 10.0), clip(5.0, 60.0, presence(c0=1.0), 10.0)]
    found = partial_levels(START_S, 60.0, 15, "dB", both)
    assert found.shares == {SAW: pytest.approx(1 / 3), CATEGORIES[0]: pytest.approx(2 / 3)}


def test_seconds_without_a_clip_and_clips_in_another_unit_are_no_clip() -> None:
    foreign = ClipLevel(START_S, 10.0, -30.0, "dBFS", presence(c3=1.0))
    assert partial_levels(START_S, 60.0, HOUR_S, "dB", [foreign]).shares == {NO_CLIP: 1.0}
    found = partial_levels(START_S, 60.0, HOUR_S, "dB", [clip(0.0, 60.0, presence(c3=1.0), 900.0)])
    assert found.shares == {SAW: pytest.approx(0.25), NO_CLIP: pytest.approx(0.75)}


def test_an_hour_without_levels_has_no_parts() -> None:
    found = partial_levels(START_S, None, 0, "dB", [clip(0.0, 60.0, presence(c3=1.0))])
    assert (found.laeq, found.shares, found.levels) == (None, {}, {})


def test_a_clip_counts_in_each_hour_that_it_reaches_into() -> None:
    across = clip(HOUR_S - 4.0, 60.0, presence(c3=1.0))
    parts = [
        partial_levels(START_S + number * HOUR_S, 60.0, valid, "dB", [across]) for number, valid in ((0, 4), (1, 6))
    ]
    assert [one.shares for one in parts] == [{SAW: 1.0}] * 2
    assert np.allclose([one.levels[SAW] for one in parts], 60.0)

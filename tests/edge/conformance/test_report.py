"""The page of conformance: it is current, and every figure outside the class 1 limits is explained."""

import re
from pathlib import Path

import numpy as np
import pytest

from edge.conformance.limits import (
    CREST_FACTORS,
    CREST_HZ,
    CREST_PERIOD_S,
    FAST_BURSTS,
    PEAKS,
    SLOW_BURSTS,
    WEIGHTING,
    CrestFactor,
    Tolerance,
    band_limits,
)
from edge.conformance.report import _crest_deviations, page
from shared.levels.weighting import a_weighting_db

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
NUMBER = re.compile(r"[+-]\d+\.\d\d")


@pytest.fixture(scope="module")
def printed() -> str:
    return page()


def test_the_page_in_docs_is_current(printed: str) -> None:
    kept = PAGE.read_text(encoding="utf-8")
    assert NUMBER.sub("n", kept) == NUMBER.sub("n", printed), "earwitness-edge conformance > docs/conformance.md"
    before, after = ([float(text) for text in NUMBER.findall(one)] for one in (kept, printed))
    assert after == pytest.approx(before, abs=0.021)  # the last digit depends on the processor


def test_only_tones_below_the_noise_of_16_bits_are_outside_the_class_1_limits(printed: str) -> None:
    outside = [line for line in printed.splitlines() if "**" in line and line.startswith("|")]
    assert [line.split("|")[1].strip() for line in outside] == ["-60", "-70", "-80"]
    for line in outside:
        assert "**" not in "".join(line.split("|")[4:])


def test_a_figure_outside_the_limits_does_not_hold() -> None:
    assert Tolerance(-1.0, 1.0).holds(1.0)
    assert not Tolerance(-1.0, 1.0).holds(1.01)
    assert Tolerance(float("-inf"), 3.0).holds(-99.0)
    assert len(WEIGHTING) == 34
    assert [burst.duration_s for burst in FAST_BURSTS] == sorted((b.duration_s for b in FAST_BURSTS), reverse=True)


# Source: limits in a certificate of a class 2 meter (Larson Davis LxT2, 2018) by IEC 61672-3:2013, 18 and 19, and
# IEC 60651:2001, 9.4.2.
def test_limits_of_class_2_are_those_of_a_published_certificate() -> None:
    fast = {burst.duration_s: burst.class_2 for burst in FAST_BURSTS}
    assert [fast[length] for length in (0.2, 0.002, 0.00025)] == [(-1.0, 1.0), (-2.5, 1.0), (-5.0, 1.5)]
    slow = {burst.duration_s: burst.class_2 for burst in SLOW_BURSTS}
    assert [slow[length] for length in (0.2, 0.002)] == [(-1.0, 1.0), (-5.0, 1.0)]
    assert [one.type_2 for one in CREST_FACTORS] == [(-1.0, 1.0), (-1.0, 1.0), None]
    peaks = [(hz, above, limits.highest) for _, hz, above, _, limits in PEAKS]
    halves = [(500.0, 2.4, 2.0)] * 2
    assert peaks == [(31.5, 2.5, 3.0), (500.0, 3.5, 2.0), (8_000.0, 3.4, 3.0), *halves]


@pytest.mark.parametrize("one", CREST_FACTORS)
def test_bursts_of_a_crest_factor_have_it_and_the_level_of_their_spectrum(one: CrestFactor) -> None:
    times = np.arange(round(CREST_PERIOD_S * 480_000)) / 480_000
    burst = np.where(times * CREST_HZ < one.cycles, np.sin(2.0 * np.pi * CREST_HZ * times), 0.0)
    assert np.abs(burst).max() / np.sqrt(np.mean(np.square(burst))) == pytest.approx(one.factor, abs=0.02)
    power = np.square(np.abs(np.fft.rfft(burst)))[1:800]
    along_hz = np.arange(1.0, 800.0) / CREST_PERIOD_S
    gains = 10.0 ** ((a_weighting_db(along_hz) - a_weighting_db(np.array([CREST_HZ]))) / 10.0)
    weighted_db = 10.0 * np.log10((power * gains).sum() / power.sum())
    laeq, _ = _crest_deviations(48_000, one.cycles)
    assert laeq == pytest.approx(weighted_db, abs=0.02)


def test_the_limits_of_a_band_are_those_of_the_table() -> None:
    lowest, highest = band_limits(np.array([1.0, 1.1219, 1.1221, 10.0, 0.1]), 1)
    np.testing.assert_allclose(lowest, [-0.4, -0.4, 1.2, 70.0, 70.0], atol=0.05)
    np.testing.assert_allclose(highest[:2], [0.4, 5.3], atol=0.05)
    assert np.isinf(highest[2:]).all()

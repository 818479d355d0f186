"""Third-octave bands: masks of the standard, and the sample rates by which they are computed."""

import numpy as np
import pytest

from shared.levels.bands import EXACT_HZ, NOMINAL_HZ, HalfRate, ThirdOctaves, band_stages
from shared.levels.block_filter import Floats


def level_db(signal: Floats, rate_hz: int) -> Floats:
    sums, counts = ThirdOctaves(rate_hz).process(signal)
    return np.asarray(10.0 * np.log10(np.maximum(sums / counts, 1e-30) / 0.5))


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_tone_is_in_its_band_and_not_two_bands_away(rate_hz: int) -> None:
    bands = ThirdOctaves(rate_hz).bands
    for number in range(0, bands, 3):
        time_s = np.arange(8 * rate_hz) / rate_hz
        levels = level_db(np.sin(2.0 * np.pi * EXACT_HZ[number] * time_s), rate_hz)
        assert levels[number] == pytest.approx(0.0, abs=0.4)
        others = [levels[other] for other in range(bands) if abs(other - number) > 1]
        assert max(others) < -25.0


def test_the_bands_of_white_noise_sum_to_its_power() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, 20 * 48_000)
    summed = 10.0 * np.log10(np.sum(10.0 ** (level_db(noise, 48_000) / 10.0)))
    share = (EXACT_HZ[-1] * 10.0**0.05 - EXACT_HZ[0] * 10.0**-0.05) / 24_000.0
    assert summed == pytest.approx(10.0 * np.log10(0.01 / 0.5 * share), abs=0.05)


def test_the_half_rate_is_the_same_however_the_signal_is_cut() -> None:
    noise = np.random.default_rng(1).standard_normal(1_000)
    whole, cut = HalfRate(), HalfRate()
    pieces = [cut.process(noise[begin:end]) for begin, end in ((0, 7), (7, 8), (8, 8), (8, 500), (500, 1_000))]
    np.testing.assert_allclose(np.concatenate(pieces), whole.process(noise), atol=1e-14)


def test_the_half_band_filter_removes_what_would_be_folded_back() -> None:
    time = np.arange(4_000)
    assert np.max(np.abs(HalfRate().process(np.sin(2.0 * np.pi * 0.315 * time))[50:])) < 1e-4
    passed = HalfRate().process(np.sin(2.0 * np.pi * 0.185 * time))[50:]
    assert np.sqrt(2.0 * np.mean(np.square(passed))) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_each_band_is_filtered_at_one_rate(rate_hz: int) -> None:
    bands = sum(len(filters) for _, filters in band_stages(rate_hz))
    assert bands == ThirdOctaves(rate_hz).bands
    assert bands == sum(centre * 10.0**0.05 <= 0.47 * rate_hz for centre in EXACT_HZ)
    assert len(NOMINAL_HZ) == len(EXACT_HZ) == 31

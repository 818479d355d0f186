"""Third-octave bands: masks of the standard, and the sample rates by which they are computed."""

import numpy as np
import pytest

from shared.levels.bands import EXACT_HZ, HALF_BAND, NOMINAL_HZ, HalfRate, ThirdOctaves, band_stages
from shared.levels.block_filter import Floats, response_db


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
    wider = (np.pi / 12.0) / np.sin(np.pi / 12.0)  # noise bandwidth of a Butterworth filter of order 6
    assert summed == pytest.approx(10.0 * np.log10(0.01 / 0.5 * share * wider), abs=0.02)


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


def analogue_db(frequencies_hz: Floats, centre_hz: float) -> Floats:
    """The gain of the analogue Butterworth band pass of order 6."""
    place = (frequencies_hz / centre_hz - centre_hz / frequencies_hz) / (HALF_BAND - 1.0 / HALF_BAND)
    return np.asarray(-10.0 * np.log10(1.0 + place**12))


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_the_skirts_of_a_band_are_those_of_the_analogue_filter(rate_hz: int) -> None:
    stages = reversed(band_stages(rate_hz))
    bands = [(stage_hz, sections) for stage_hz, filters in stages for sections in filters]
    for centre_hz, (stage_hz, sections) in zip(EXACT_HZ, bands, strict=False):
        frequencies_hz = np.geomspace(centre_hz / 4.0, 0.49 * stage_hz, 1_000)
        wanted = analogue_db(frequencies_hz, centre_hz)
        error = np.abs(response_db(sections, frequencies_hz, stage_hz) - wanted)
        assert error[wanted > -3.1].max() < 0.02
        assert error[wanted > -20.0].max() < 0.3
        if centre_hz * HALF_BAND < 0.45 * stage_hz:
            assert error[wanted > -20.0].max() < 0.03


def test_a_signal_that_ends_counts_to_its_last_sample() -> None:
    """The half-band filters delay low bands; a blow at the end of a recording must not be lost to them."""
    blow = np.zeros(48_000)
    blow[-400:] = np.sin(2.0 * np.pi * 125.0 * np.arange(400) / 48_000)
    cut, whole = ThirdOctaves(48_000), ThirdOctaves(48_000)
    (sums, counts), (longer, _) = cut.process(blow, last=True), whole.process(np.append(blow, np.zeros(24_000)))
    assert 0.0 < sums[8] < longer[8]
    assert counts[8] == 750.0
    lost, _ = ThirdOctaves(48_000).process(blow)
    assert lost[8] < 0.5 * sums[8]

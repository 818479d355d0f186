"""Filters in blocks equal the loop over samples, however the signal is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import sosfilt

from shared.levels.bands import band_sections
from shared.levels.block_filter import BLOCK, BlockFilter, response_db
from shared.levels.weighting import weighting_sections

LENGTH = 1_000


@given(cuts=st.lists(st.integers(0, LENGTH), max_size=6), seed=st.integers(0, 99))
def test_cut_anywhere_the_output_is_that_of_a_loop_over_samples(cuts: list[int], seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(LENGTH)
    edges = [0, 0, *sorted(cuts), LENGTH]
    filters = BlockFilter(weighting_sections(48_000))
    pieces = [filters.process(noise[begin:end]) for begin, end in pairwise(edges)]
    for got, sections in zip(np.concatenate(pieces, axis=1), weighting_sections(48_000), strict=True):
        np.testing.assert_allclose(got, sosfilt(np.array(sections), noise), atol=1e-11)


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_sizes_at_the_edges_of_blocks(size: int) -> None:
    noise = np.random.default_rng(0).standard_normal(size)
    sections = band_sections(20.0, 750.0)
    np.testing.assert_allclose(BlockFilter(sections[None]).process(noise)[0], sosfilt(sections, noise), atol=1e-12)


def test_a_state_that_decays_becomes_zero() -> None:
    filters = BlockFilter(weighting_sections(48_000))
    filters.process(np.ones(BLOCK))
    for _ in range(20):
        silence = filters.process(np.zeros(48_000))
    assert not silence.any()


def test_the_response_is_that_of_the_filter() -> None:
    sections = weighting_sections(48_000)[0]
    impulse = np.zeros(1 << 16)
    impulse[0] = 1.0
    spectrum = np.fft.rfft(BlockFilter(sections[None]).process(impulse)[0])
    frequencies_hz = np.arange(impulse.size // 2 + 1)[100::500] * 48_000.0 / impulse.size
    measured_db = 20.0 * np.log10(np.abs(spectrum[100::500]))
    assert np.max(np.abs(response_db(sections, frequencies_hz, 48_000) - measured_db)) < 1e-3

"""Mean bands of minutes, compared with the mean of the levels of their seconds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hub.domain.band_means import minute_bands
from shared.level_bands import ROW_BYTES, BandRows, band_levels


@settings(max_examples=20)
@given(arrays.arrays(np.uint8, (120, ROW_BYTES), elements=st.integers(0, 255)), st.integers(0, 2**32 - 1))
def test_a_minute_has_the_energetic_mean_of_its_used_seconds(rows: BandRows, seed: int) -> None:
    used = np.random.default_rng(seed).random(120) < 0.8
    used[60:] &= seed % 2 == 0
    found = minute_bands(rows, used)
    levels = band_levels(rows)
    levels[~used] = np.nan
    for minute in range(2):
        own = levels[60 * minute : 60 * minute + 60]
        for band in range(31):
            known = own[~np.isnan(own[:, band]), band]
            if known.size:
                assert abs(found[minute, band] - 10 * np.log10(np.mean(10 ** (known / 10)))) < 1e-4
            else:
                assert np.isnan(found[minute, band])


def test_no_seconds_make_no_minutes() -> None:
    assert minute_bands(np.zeros((0, ROW_BYTES), dtype=np.uint8), np.zeros(0, dtype=np.bool_)).shape == (0, 31)

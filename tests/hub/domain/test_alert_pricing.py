"""The probability that at least a number of offers come."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.alert_pricing import _as_many


@given(
    least=st.one_of(st.integers(1, 50), st.integers(1, 1_000_000)),
    means=st.lists(st.one_of(st.floats(0.0, 100.0), st.floats(0.0, 2e6)), min_size=1, max_size=20),
)
def test_the_probability_is_the_incomplete_gamma_function(least: int, means: list[float]) -> None:
    expected = torch.tensor(means, dtype=torch.float64)
    wanted = torch.special.gammainc(torch.full_like(expected, least), expected).numpy()
    assert _as_many(least, np.array(means)) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize(("least", "mean", "wanted"), [(1, 0.0, 0.0), (1, 1.0, 1 - np.exp(-1.0)), (2, 1e9, 1.0)])
def test_known_probabilities(least: int, mean: float, wanted: float) -> None:
    assert _as_many(least, np.array([mean])) == pytest.approx([wanted], abs=1e-15)

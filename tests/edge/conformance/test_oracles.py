"""The level meter agrees with independent implementations; `oracles` compares recordings."""

import os

import numpy as np
import pytest

from shared.levels.block_filter import Floats
from tests.edge.conformance.oracles import LIMITS_DB, ORACLES, Found, ours, page
from tests.programs import REQUIRE_ALL


def street(rate_hz: int) -> Floats:
    """Two seconds of falling noise with tones beside bands, which show a filter's skirts, and a blow near the end."""
    rng, at_s = np.random.default_rng(4), np.arange(2 * rate_hz) / rate_hz
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, at_s.size))
    along_hz = np.fft.rfftfreq(at_s.size, 1.0 / rate_hz)
    noise = np.fft.irfft(spectrum / np.maximum(along_hz, 20.0) ** 0.8, at_s.size)
    tones = sum(np.sin(2.0 * np.pi * hz * at_s) for hz in (60.0, 141.0, 3_600.0, 9_200.0))
    blow = np.exp(-40.0 * np.abs(at_s - 1.9)) * np.sin(2.0 * np.pi * 125.0 * at_s)
    return np.asarray(0.05 * noise / noise.std() + 0.03 * tones + 0.2 * blow)


@pytest.fixture(scope="module", params=[44_100, 48_000])
def measured(request: pytest.FixtureRequest) -> tuple[Floats, int, Found]:
    samples = street(request.param).astype(np.float32).astype(np.float64)
    return samples, request.param, ours(samples, request.param)


@pytest.mark.parametrize("name", ORACLES)
def test_levels_are_those_of_an_independent_implementation(name: str, measured: tuple[Floats, int, Found]) -> None:
    samples, rate_hz, mine = measured
    try:
        found = ORACLES[name](samples, rate_hz)
    except ImportError as error:
        if os.environ.get(REQUIRE_ALL) == "1":
            raise
        pytest.skip(f"the Python package of {name} cannot be imported: {error}")
    for quantity, values in found.deviations(mine).items():
        assert np.abs(values).max() < LIMITS_DB[quantity], quantity


def test_the_page_names_the_largest_deviation_and_oracles_that_are_missing() -> None:
    one = {"LAeq": np.array([-0.01]), "bands": np.linspace(0.0, 0.03, 31)}
    lines = list(page({"acoustics": [one]}, {"phonometry": "No module named 'pyoctaveband'"}))
    assert "| acoustics | LAeq | 0.010 | 0.010 | 0.05 | 0 |" in lines
    assert "| acoustics | LAFmax | - | - | 0.1 | - |" in lines
    assert "| 20000 | 0.030 |" in lines
    assert any("`phonometry` was left out: No module named" in line for line in lines)

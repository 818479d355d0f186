"""The time weightings against their definitions."""

import numpy as np
import pytest
from scipy.signal import lfilter

from shared.levels.ambient import AmbientLevel
from shared.levels.detectors import FAST_S, IMPULSE_DECAY_S, IMPULSE_S, SLOW_S, TimeWeightings

RATE_HZ = 8_000


def test_the_weightings_equal_loops_over_samples() -> None:
    power = np.square(np.random.default_rng(0).standard_normal(RATE_HZ)) * (np.arange(RATE_HZ) < RATE_HZ // 3)
    times = TimeWeightings(RATE_HZ)
    got = np.concatenate([times.process(power[:1_000]), times.process(power[1_000:])], axis=1)
    for weighted, tau_s in zip(got[:2], (FAST_S, SLOW_S), strict=True):
        pole = np.exp(-1.0 / RATE_HZ / tau_s)
        np.testing.assert_allclose(weighted, lfilter([1.0 - pole], [1.0, -pole], power), atol=1e-12)
    pole, held, expected = np.exp(-1.0 / RATE_HZ / IMPULSE_S), 0.0, []
    for average in lfilter([1.0 - pole], [1.0, -pole], power):
        held = max(average, held * np.exp(-1.0 / RATE_HZ / IMPULSE_DECAY_S))
        expected.append(held)
    np.testing.assert_allclose(got[2], expected, atol=1e-12)


# Source: IEC 61672-1:2013, 5.8.3: decay rates in dB/s, Fast at least 25 (class 1: 34.7 nominal), Slow 3.4 to 5.3.
def test_decay_rates_are_those_of_the_standard() -> None:
    times = TimeWeightings(RATE_HZ)
    times.process(np.ones(2 * RATE_HZ))
    decayed = 10.0 * np.log10(times.process(np.zeros(RATE_HZ // 2)))
    fast, slow, impulse = 2.0 * (decayed[:, 0] - decayed[:, -1])
    assert fast == pytest.approx(34.7, abs=0.3)
    assert slow == pytest.approx(4.34, abs=0.05)
    assert impulse == pytest.approx(2.9, abs=0.05)


def test_the_ambient_level_is_exceeded_nine_tenths_of_the_time_and_forgets() -> None:
    ambient = AmbientLevel()
    assert ambient.level_db() is None
    ambient.add(np.linspace(-100.0, 0.0, 1_001), 1.0)
    assert ambient.level_db() == pytest.approx(-90.0, abs=0.2)
    for _ in range(3_000):
        ambient.add(np.full(100, -30.0), 1.0)
    assert ambient.level_db() == pytest.approx(-30.0, abs=0.1)

"""What `check` states of a microphone's sound."""

import numpy as np
import pytest

from edge.level_check import judge_level
from shared.audio import Waveform
from shared.errors import InvalidError, UnavailableError

RATE_HZ = 8_000
NOISE = np.random.default_rng(0).normal(0.0, 1.0, 2 * RATE_HZ)


def noise(amplitude: float, mean: float = 0.0) -> Waveform:
    return (amplitude * NOISE + mean).astype(np.float32)


@pytest.mark.parametrize(
    ("waveform", "fault"),
    [
        (np.zeros(RATE_HZ, np.float32), "silent: .* unmute"),
        (np.full(RATE_HZ, -0.25, np.float32), "stuck: 100% of the samples have the value -0.2500; reconnect"),
        (noise(1e-5), "deaf: .* raise the input gain"),
        (np.clip(noise(0.5), -1.0, 1.0), "clipping: .* lower the input gain"),
    ],
)
def test_a_faulty_microphone_fails_with_what_to_do(waveform: Waveform, fault: str) -> None:
    with pytest.raises(UnavailableError, match=fault):
        judge_level(waveform, RATE_HZ, None)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidError, match="finite"):
        judge_level(np.full(RATE_HZ, np.nan, np.float32), RATE_HZ, None)


def test_a_working_microphone_states_its_level_and_the_bound_of_its_own_noise() -> None:
    words = judge_level(noise(0.01), RATE_HZ, None)
    assert "LAeq of 10 s is -3" in words
    assert "the self-noise is at most that" in words
    assert ";" not in words.partition("at most that")[2]


def test_a_calibrated_microphone_with_much_noise_of_its_own_is_doubted() -> None:
    assert "compare with the data sheet" in judge_level(noise(0.01), RATE_HZ, 120.0)
    assert "compare with the data sheet" not in judge_level(noise(0.01), RATE_HZ, 60.0)


def test_an_offset_is_named() -> None:
    assert "a mean of +0.100: the input has a fault" in judge_level(noise(0.01, 0.1), RATE_HZ, None)

"""One waveform of several channels, and what is wrong with them."""

import numpy as np
import numpy.typing as npt
import pytest

from shared.downmix import channel_faults, check_samples, loudest
from shared.errors import InvalidError
from shared.levels.meter import measure

RATE_HZ = 8_000
SOUND = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
OTHER = np.random.default_rng(2).normal(0, 0.1, RATE_HZ).astype(np.float32)
NONE = np.zeros_like(SOUND)


def stereo(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.stack([left, right], axis=1).astype(np.float32)


PAIRS = {
    "mono": SOUND[:, None],
    "both": stereo(SOUND, SOUND),
    "dead right": stereo(SOUND, NONE),
    "dead left": stereo(NONE, SOUND),
    "inverted": stereo(SOUND, -SOUND),
    "offset": stereo(np.full_like(SOUND, 0.9), SOUND),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_the_level_is_that_of_what_was_read(pair: npt.NDArray[np.float32]) -> None:
    assert measure(loudest(pair), RATE_HZ).laeq == pytest.approx(measure(SOUND, RATE_HZ).laeq, abs=0.01)


@pytest.mark.parametrize(
    ("samples", "reported"),
    [
        (PAIRS["mono"], []),
        (PAIRS["both"], []),
        (stereo(SOUND, OTHER), []),
        (stereo(SOUND, 0.5 * OTHER), []),
        (PAIRS["dead right"], ["channel 2 is dead"]),
        (PAIRS["dead left"], ["channel 1 is dead"]),
        (PAIRS["inverted"], ["channel 2 is channel 1 inverted"]),
        (NONE[:, None], ["it contains digital silence only"]),
        (stereo(NONE, NONE), ["it contains digital silence only"]),
        (
            np.clip(30 * SOUND[:, None], -4, 4),
            ["samples reach +12 dB to full scale"],
        ),
    ],
)
def test_what_looks_like_a_fault_is_reported(samples: npt.NDArray[np.float32], reported: list[str]) -> None:
    assert [fault.partition(":")[0] for fault in channel_faults(samples)] == reported


def test_clips_keep_to_one_channel_while_two_are_as_loud() -> None:
    for left, right in ((1.0, 1.05), (1.05, 1.0)):
        np.testing.assert_array_equal(loudest(stereo(left * SOUND, right * OTHER)), np.float32(left) * SOUND)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (np.zeros(0), "no samples"),
        (np.array([0, np.nan, 0.1]), "finite"),
        (np.array([0, np.inf]), "finite"),
        (32_767 * SOUND, "times full scale"),
    ],
)
def test_what_cannot_be_sound_is_refused(samples: npt.NDArray[np.float32], why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        check_samples(samples.astype(np.float32))
    check_samples(SOUND)

"""Views: stretches of clips of one source, never of another, and never overlapping within a clip."""

import numpy as np
import pytest
import torch

from hub.training.views import Sounds, Stretches, halves, pooled
from shared.errors import Invalid
from shared.space import SMALL, FeatureSpace


def sounds(sources: list[int], features: np.ndarray | None = None, space: FeatureSpace = SMALL) -> Sounds:
    if features is None:
        features = np.random.default_rng(0).integers(0, 256, (len(sources), *space.shape), dtype=np.uint8)
    return Sounds(space, features, np.array(sources), np.full(len(sources), ""))


def test_halves_are_pooled_over_their_own_frames() -> None:
    given = sounds([0, 1, 2])
    frames = torch.from_numpy(SMALL.dequantise(given.features))
    first, second = halves(given)
    torch.testing.assert_close(first, pooled(frames[:, :5]))
    torch.testing.assert_close(second[:, :128], frames[:, 5:].mean(dim=1))
    torch.testing.assert_close(second[:, 128:], frames[:, 5:].std(dim=1, correction=0))


def test_the_middle_of_an_odd_clip_is_in_neither_half() -> None:
    space = FeatureSpace("odd/1", 5, 3, -1.0, 1.0)
    features = np.zeros((1, 5, 3), np.uint8)
    features[0, 2] = 255
    first, second = halves(sounds([0], features, space))
    torch.testing.assert_close(first, second)


def test_views_of_a_source_are_of_its_clips() -> None:
    features = np.repeat(np.array([10, 10, 90, 200], np.uint8)[:, None], SMALL.frames * SMALL.dimension, axis=1)
    given = sounds([7, 7, 3, 9], features.reshape(4, *SMALL.shape))
    stretches = Stretches(given, np.random.default_rng(0))
    assert stretches.sources == 3
    wanted = torch.from_numpy(SMALL.dequantise(np.array([90, 10, 200], np.uint8)))  # in the order of their numbers
    for views in (*stretches.pairs(np.arange(3)), stretches.whole()):
        torch.testing.assert_close(views[:, 0], wanted)
        assert views[:, SMALL.dimension :].abs().max() < 1e-3


@pytest.mark.parametrize("frames", [2, 3, 10])
def test_two_views_of_one_clip_share_no_frame(frames: int) -> None:
    space = FeatureSpace("told/1", frames, frames, 0.0, 1.0)  # each frame lights a value of its own
    features = (np.eye(frames) * 255).astype(np.uint8)[None].repeat(200, axis=0)
    first, second = Stretches(sounds(list(range(200)), features, space), np.random.default_rng(1)).pairs(
        np.arange(200)
    )
    lit = (first[:, :frames] > 0) & (second[:, :frames] > 0)
    assert not lit.any()
    assert (first[:, :frames] > 0).any(dim=1).all()
    assert (second[:, :frames] > 0).any(dim=1).all()


def test_clips_without_two_frames_or_their_numbers_are_refused() -> None:
    with pytest.raises(Invalid, match="cannot be halved"):
        sounds([0], space=FeatureSpace("single/1", 1, 4, 0.0, 1.0))
    with pytest.raises(Invalid, match="2 clips want 2 sources"):
        Sounds(SMALL, np.zeros((2, *SMALL.shape), np.uint8), np.arange(3), np.array(["", ""]))
    with pytest.raises(Invalid, match="are not of earwitness-small"):
        Sounds(SMALL, np.zeros((2, 3, 3), np.uint8), np.arange(2), np.array(["", ""]))

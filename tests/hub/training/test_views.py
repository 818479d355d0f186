"""Views: stretches of one clip, which never overlap."""

import numpy as np
import pytest
import torch

from hub.training.dataset import Dataset
from hub.training.views import Stretches, halves, pooled
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, FeatureSpace
from shared.taxonomy import COUNT


def clips(features: np.ndarray, space: FeatureSpace = EARWITNESS_SMALL) -> Dataset:
    n = len(features)
    return Dataset(space, features.astype(np.uint8), np.zeros((n, COUNT), np.uint8), np.full(n, ""))


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *EARWITNESS_SMALL.shape))


def test_halves_are_pooled_over_their_own_frames() -> None:
    given = clips(noise(3))
    frames = torch.from_numpy(EARWITNESS_SMALL.dequantise(given.features))
    first, second = halves(given)
    torch.testing.assert_close(first, pooled(frames[:, :5]))
    torch.testing.assert_close(second[:, :128], frames[:, 5:].mean(dim=1))
    torch.testing.assert_close(second[:, 128:], frames[:, 5:].std(dim=1, correction=0))


def test_the_middle_of_an_odd_clip_is_in_neither_half() -> None:
    features = np.zeros((1, 5, 3))
    features[0, 2] = 255
    first, second = halves(clips(features, FeatureSpace("odd/1", 5, 3, -1.0, 1.0)))
    torch.testing.assert_close(first, second)


def test_a_clip_of_one_frame_has_no_halves() -> None:
    with pytest.raises(InvalidError, match="cannot be halved"):
        halves(clips(np.zeros((2, 1, 4)), FeatureSpace("single/1", 1, 4, 0.0, 1.0)))


@pytest.mark.parametrize("frames", [2, 3, 10])
def test_two_views_of_one_clip_share_no_frame(frames: int) -> None:
    space = FeatureSpace("views/1", frames, frames, 0.0, 1.0)  # each frame lights a value of its own
    given = clips((np.eye(frames) * 255)[None].repeat(200, axis=0), space)
    first, second = Stretches(given, np.random.default_rng(1)).pairs(np.arange(200))
    lit = (first[:, :frames] > 0) & (second[:, :frames] > 0)
    assert not lit.any()
    assert (first[:, :frames] > 0).any(dim=1).all()
    assert (second[:, :frames] > 0).any(dim=1).all()


def test_views_are_of_the_clips_that_are_asked() -> None:
    values = np.array([10, 90, 200])
    given = clips(values[:, None, None].repeat(10, axis=1).repeat(128, axis=2))
    asked = np.array([2, 2, 0])
    for views in Stretches(given, np.random.default_rng(0)).pairs(asked):
        wanted = torch.from_numpy(EARWITNESS_SMALL.dequantise(values[asked].astype(np.uint8)))
        torch.testing.assert_close(views[:, 0], wanted)
        assert views[:, 128:].abs().max() < 1e-3

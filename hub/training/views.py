"""Views of clips: stretches of their frames, pooled over time. Two that do not overlap are of the same source."""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.training.dataset import Dataset
from shared.errors import InvalidError

SHORTEST: Final = 0.3
LONGEST: Final = 0.5
"""Length of a stretch, as a share of the clip."""


def halves(data: Dataset) -> tuple[Tensor, Tensor]:
    """Both halves of each clip, pooled: float32 [n, 2 x dimension] each. A middle frame is in neither.

    Raises:
        InvalidError: clips of one frame.
    """
    frames = torch.from_numpy(data.space.dequantise(data.features))
    half = frames.shape[1] // 2
    if not half:
        raise InvalidError(f"a clip of {data.space.id} has one frame: it cannot be halved")
    return pooled(frames[:, :half]), pooled(frames[:, -half:])


def pooled(frames: Tensor) -> Tensor:
    """Mean and standard deviation over time, float32 [n, 2 x dimension], of float32 [n, frames, dimension]."""
    return torch.cat([frames.mean(dim=1), frames.std(dim=1, correction=0)], dim=1)


class Stretches:
    """Draws pairs of views; from running sums, so that a view costs no pass over its frames.

    Args:
        data: clips of at least two frames.
        rng: source of all randomness.
    """

    def __init__(self, data: Dataset, rng: np.random.Generator) -> None:
        frames = torch.from_numpy(data.space.dequantise(data.features))
        start = torch.zeros(len(frames), 1, frames.shape[2], dtype=torch.float64)
        self._sums = torch.cat([start, frames.cumsum(dim=1, dtype=torch.float64)], dim=1)
        self._squares = torch.cat([start, frames.square().cumsum(dim=1, dtype=torch.float64)], dim=1)
        self._frames = frames.shape[1]
        self._rng = rng

    def pairs(self, clips: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Two views of each clip, of frames before and after a cut: float32 [n, 2 x dimension] each."""
        shortest = max(1, round(SHORTEST * self._frames))
        cut = self._rng.integers(min(shortest, self._frames - 1), max(self._frames - shortest, 1) + 1, len(clips))
        before = self._stretch(np.zeros_like(cut), cut, shortest)
        after = self._stretch(cut, np.full_like(cut, self._frames), shortest)
        return self._pooled(clips, *before), self._pooled(clips, *after)

    def _stretch(
        self, begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64], shortest: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return a stretch between begin and end, each int64 [n]."""
        longest = max(1, round(LONGEST * self._frames))
        length = np.minimum(self._rng.integers(shortest, longest + 1, len(begin)), end - begin)
        first = begin + (self._rng.random(len(begin)) * (end - begin - length + 1)).astype(np.int64)
        return first, first + length

    def _pooled(
        self, clips: npt.NDArray[np.int64], begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
    ) -> Tensor:
        length = torch.from_numpy(end - begin)[:, None]
        mean, square = ((sums[clips, end] - sums[clips, begin]) / length for sums in (self._sums, self._squares))
        spread = (square - mean.square()).clamp(min=0.0).sqrt()
        return torch.cat([mean, spread], dim=1).float()

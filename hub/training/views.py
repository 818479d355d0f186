"""Views of a source: stretches of clips, pooled over time, that certainly are of the same source.

1. Clips with one number in `Sounds.sources` are of the same source: a recording as it is, and filtered, louder or
   among other sounds. Most clips are the only one of theirs.
2. Two views of a source are a stretch of one of its clips and a stretch of another; of the same clip they never
   overlap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.errors import Invalid
from shared.space import Features, FeatureSpace

SHORTEST: Final = 0.3
LONGEST: Final = 0.5
"""Length of a stretch, as a share of the clip."""


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """Clips, and which of them are of the same source.

    Attributes:
        space: the feature space.
        features: uint8 [n, frames, dimension].
        sources: int64 [n]; equal numbers are certainly the same source.
        groups: str [n], what must not be divided between learning and measuring (sensor, fold); "" if nothing.

    Raises:
        Invalid: shapes that do not fit together.
    """

    space: FeatureSpace
    features: Features
    sources: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.features.dtype != np.uint8 or self.features.shape[1:] != self.space.shape:
            raise Invalid(f"features {list(self.features.shape)} are not of {self.space.id}")
        if self.space.frames < 2:
            raise Invalid(f"a clip of {self.space.id} has one frame: it cannot be halved")
        if self.sources.shape != (n,) or self.groups.shape != (n,):
            raise Invalid(f"{n} clips want {n} sources and {n} groups")

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Sounds":
        """The clips of an index or mask."""
        return Sounds(self.space, self.features[index], self.sources[index], self.groups[index])


def halves(sounds: Sounds) -> tuple[Tensor, Tensor]:
    """Both halves of each clip, pooled: float32 [n, 2 x dimension] each. A middle frame is in neither."""
    frames = torch.from_numpy(sounds.space.dequantise(sounds.features))
    half = frames.shape[1] // 2
    return pooled(frames[:, :half]), pooled(frames[:, -half:])


def pooled(frames: Tensor) -> Tensor:
    """Mean and standard deviation over time, float32 [n, 2 x dimension], of float32 [n, frames, dimension]."""
    return torch.cat([frames.mean(dim=1), frames.std(dim=1, correction=0)], dim=1)


class Stretches:
    """Draws pairs of views; from running sums, so that a view costs no pass over its frames.

    Args:
        sounds: at least one clip.
        rng: source of all randomness.
    """

    def __init__(self, sounds: Sounds, rng: np.random.Generator) -> None:
        frames = torch.from_numpy(sounds.space.dequantise(sounds.features))
        start = torch.zeros(len(frames), 1, frames.shape[2], dtype=torch.float64)
        self._sums = torch.cat([start, frames.cumsum(dim=1, dtype=torch.float64)], dim=1)
        self._squares = torch.cat([start, frames.square().cumsum(dim=1, dtype=torch.float64)], dim=1)
        self._frames = frames.shape[1]
        _, source = np.unique(sounds.sources, return_inverse=True)
        self._order = np.argsort(source, kind="stable")
        self._counts = np.bincount(source)
        self._starts = np.cumsum(self._counts) - self._counts
        self._rng = rng

    @property
    def sources(self) -> int:
        """How many sources there are."""
        return len(self._counts)

    def whole(self) -> Tensor:
        """The first clip of each source, all of it, pooled: float32 [sources, 2 x dimension]."""
        rows = self._order[self._starts]
        return self._pooled(rows, np.zeros_like(rows), np.full_like(rows, self._frames))

    def pairs(self, sources: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Two views of sources, numbered from 0 in the order of their numbers: float32 [n, 2 x dimension] each."""
        drawn = self._rng.random((2, len(sources)))
        first, second = (
            self._order[self._starts[sources] + (row * self._counts[sources]).astype(np.int64)] for row in drawn
        )
        same = first == second
        shortest, longest = (max(1, round(share * self._frames)) for share in (SHORTEST, LONGEST))
        cut = self._rng.integers(min(shortest, self._frames - 1), max(self._frames - shortest, 1) + 1, len(sources))
        before = self._stretch(np.zeros_like(cut), np.where(same, cut, self._frames), shortest, longest)
        after = self._stretch(np.where(same, cut, 0), np.full_like(cut, self._frames), shortest, longest)
        return self._pooled(first, *before), self._pooled(second, *after)

    def _stretch(
        self, begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64], shortest: int, longest: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """A stretch between begin and end, each int64 [n]."""
        length = np.minimum(self._rng.integers(shortest, longest + 1, len(begin)), end - begin)
        first = begin + (self._rng.random(len(begin)) * (end - begin - length + 1)).astype(np.int64)
        return first, first + length

    def _pooled(
        self, rows: npt.NDArray[np.int64], begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
    ) -> Tensor:
        length = torch.from_numpy(end - begin)[:, None]
        mean, square = ((sums[rows, end] - sums[rows, begin]) / length for sums in (self._sums, self._squares))
        spread = (square - mean.square()).clamp(min=0.0).sqrt()
        return torch.cat([mean, spread], dim=1).float()

"""Loss of training a tagged network, on clips mixed two by two.

Source: Zhang et al. 2018 (mixup).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hub.model.tagger import TaggingEnsemble
from hub.training.dataset import Dataset
from shared.taxonomy import COUNT

FINE_SHARE: Final = 10.0
"""Weight of the mean loss of the finer labels beside that of the categories: most of them are rarely there."""
VERSION_ODDS: Final = 0.5
"""Odds that a version of a clip is drawn instead of the clip itself, if it has some."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch of clips mixed two by two.

    Attributes:
        features: float32 [B, frames, dimension].
        labels: float32 [B, 8 + fine], in [0, 1].
    """

    features: Tensor
    labels: Tensor


class MixupBatchSource:
    """A data set as training wants it: dequantised once, labels side by side.

    Attributes:
        features: float32 [n, frames, dimension].
        versions: float32 [n, 1 + v, frames, dimension]: the clips, and their versions if there are some.
        labels: float32 [n, 8 + fine], in [0, 1].
    """

    def __init__(self, data: Dataset, *, fine: int) -> None:
        self.features = torch.from_numpy(data.space.dequantise(data.features))
        self.versions = self.features[:, None]
        if data.versions is not None:
            others = torch.from_numpy(data.space.dequantise(data.versions))
            self.versions = torch.cat([self.versions, others], dim=1)
        labels = np.concatenate([data.labels, data.fine], axis=1) if fine and data.fine is not None else data.labels
        self.labels = torch.from_numpy(labels.astype(np.float32))

    def mixed(self, clips: npt.NDArray[np.int64], rng: np.random.Generator) -> Mixed:
        """Mix each clip with another of the batch, in shares drawn uniformly; of each one version is drawn."""
        share = torch.from_numpy(rng.random((len(clips), 1), dtype=np.float32))
        rows, order = torch.from_numpy(clips), torch.from_numpy(rng.permutation(len(clips)))
        drawn, labels = self.features[rows], self.labels[rows]
        if (count := self.versions.shape[1]) > 1:
            which = np.where(rng.random(len(clips)) < VERSION_ODDS, rng.integers(1, count, len(clips)), 0)
            drawn = self.versions[rows, torch.from_numpy(which)]
        return Mixed(
            torch.lerp(drawn[order], drawn, share[:, :, None]),
            torch.lerp(labels[order], labels, share),
        )


def tagging_loss(network: TaggingEnsemble, batch: Mixed) -> Tensor:
    """Binary cross-entropy of the categories, and of the finer labels if there are any."""
    tags = network.tagger(batch.features)
    loss = nn.functional.binary_cross_entropy(tags[:, :COUNT], batch.labels[:, :COUNT])
    if network.config.fine:
        loss = loss + FINE_SHARE * nn.functional.binary_cross_entropy(tags[:, COUNT:], batch.labels[:, COUNT:])
    return loss

"""What training a tagged network minimises, on clips mixed two by two.

Source: Zhang et al. 2018 (mixup).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hub.model.tagged import TaggedNetwork
from hub.training.dataset import Dataset
from shared.taxonomy import COUNT

FINE_SHARE: Final = 10.0
"""Weight of the mean loss of the finer labels beside that of the categories: most of them are rarely there."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch of clips mixed two by two.

    Attributes:
        features: float32 [B, frames, dimension].
        labels: float32 [B, 8 + fine], in [0, 1].
    """

    features: Tensor
    labels: Tensor


class Clips:
    """A data set as training wants it: dequantised once, labels side by side."""

    def __init__(self, data: Dataset, *, fine: int) -> None:
        self.features = torch.from_numpy(data.space.dequantise(data.features))
        labels = np.concatenate([data.labels, data.fine], axis=1) if fine and data.fine is not None else data.labels
        self.labels = torch.from_numpy(labels.astype(np.float32))

    def mixed(self, clips: npt.NDArray[np.int64], rng: np.random.Generator) -> Mixed:
        """Mix each clip with another of the batch, in shares drawn uniformly."""
        share = torch.from_numpy(rng.random((len(clips), 1), dtype=np.float32))
        first, second = torch.from_numpy(clips), torch.from_numpy(clips[rng.permutation(len(clips))])
        return Mixed(
            torch.lerp(self.features[second], self.features[first], share[:, :, None]),
            torch.lerp(self.labels[second], self.labels[first], share),
        )


def tagging_loss(network: TaggedNetwork, batch: Mixed) -> Tensor:
    """Binary cross-entropy of the categories, and of the finer labels if there are any."""
    tags = network.tagger(batch.features)
    loss = nn.functional.binary_cross_entropy(tags[:, :COUNT], batch.labels[:, :COUNT])
    if network.config.fine:
        loss = loss + FINE_SHARE * nn.functional.binary_cross_entropy(tags[:, COUNT:], batch.labels[:, COUNT:])
    return loss

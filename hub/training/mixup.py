"""What training a tagged network minimises, on clips mixed two by two.

Source: Zhang et al. 2018 (mixup); the paper, section 3.1 (categorical cross-entropy of the presence matrix).
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hub.model.presence import SITUATIONS
from hub.model.tagged import TaggedNetwork, log_prior
from hub.training.dataset import Dataset
from shared.errors import Invalid
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
    """Binary cross-entropy of the categories, and of the finer labels if there are any: the sum over the members."""
    tags = network.tagger.each(network.tagger.steps(batch.features))
    labels = batch.labels.unsqueeze(1).expand_as(tags)
    loss = nn.functional.binary_cross_entropy(tags[..., :COUNT], labels[..., :COUNT])
    if network.config.fine:
        loss = loss + FINE_SHARE * nn.functional.binary_cross_entropy(tags[..., COUNT:], labels[..., COUNT:])
    return loss * network.config.members


def all_pairs_loss(network: TaggedNetwork, batch: Mixed) -> Tensor:
    """Cross-entropy of the presence matrices of all pairs of a batch; of a clip with itself they say nothing.

    Mixed clips have soft labels: a situation's probability is the product of both clips' labels. The trunk does not
    learn here, but part of what it gives is dropped: it is surer of clips that it knows than of others.
    """
    siamese = network.siamese
    if siamese is None:
        raise Invalid("this network has no pair layers to train")
    dropout = partial(nn.functional.dropout, p=network.config.dropout)
    with torch.no_grad():
        steps = network.tagger.steps(batch.features)
        prior = all_pairs(network.tagger.tags(dropout(steps))[:, :COUNT])
    count = len(steps)
    query, event = siamese.halves(siamese.tower(dropout(steps)))
    expert = siamese.join(query.repeat_interleave(count, 0), event.repeat(count, 1, 1))
    wanted = all_pairs(batch.labels[:, :COUNT].clamp(1e-6, 1.0 - 1e-6)).exp()
    matrices = torch.log_softmax(prior + expert, dim=-1)
    losses = -(wanted * matrices).sum(dim=-1).mean(dim=-1)
    return losses[~torch.eye(count, dtype=torch.bool).flatten()].mean()


def all_pairs(labels: Tensor) -> Tensor:
    """Logarithms of the presence matrices of each clip with each: float32 [B * B, 8, 3] from labels [B, 8]."""
    return log_prior(labels[:, None], labels[None]).reshape(-1, COUNT, SITUATIONS)

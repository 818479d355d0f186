"""Training the tagged network (`hub.model.tagged`), in three stages.

1. `pretrain`: the tagger learns categories and finer labels from everything there is. Clips of the domain, that
   is, like those that will be searched, are drawn more often.
2. `tune`: the tagger goes on with the domain alone, so that what it expects is what it will meet.
3. `pair`: the trunk is kept as it is; the Siamese network learns what tags alone do not say, from all pairs of a
   batch at once. The first pair layer splits over the concatenation, so that B clips give B x B pairs cheaply.

All stages mix clips two by two (mixup): a trunk that knows its clips by heart is sure of their tags, and would
leave nothing for the pairs to learn.

With a validation part, all of it is done twice, as in the paper: without that part, to measure, to weigh the
affinity and to calibrate; then with it.

Source: the paper, section 5.3; Zhang et al. 2018 (mixup).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hub.model.presence import SITUATIONS
from hub.model.tagged import TaggedConfig, TaggedNetwork, log_prior
from hub.training.dataset import Dataset
from shared.errors import Invalid
from shared.taxonomy import COUNT

FINE_SHARE: Final = 10.0
"""Weight of the mean loss of the finer labels beside that of the categories: most of them are rarely there."""
RISE: Final = 0.1
"""Share of a stage's steps in which the learning rate rises; then it falls as a cosine."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How long and how one stage trains.

    Attributes:
        epochs: passes; 0 leaves the stage out.
        batch_clips: clips per step, from 2. In stage `pair` they make the square of it in pairs.
        learning_rate: the highest, of AdamW.
    """

    epochs: int
    batch_clips: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_clips < 2 or not 0.0 < self.learning_rate < 1.0:
            raise Invalid("epochs start at 0, batches at 2 clips, learning rates lie in (0, 1)")


@dataclass(frozen=True, slots=True)
class TaggedPlan:
    """How to train a tagged network.

    Attributes:
        seed: fixes the initial weights, the draws and the dropout; from 0.
        pretrain: stage 1.
        tune: stage 2.
        pair: stage 3.
        others: how often a clip outside the domain is drawn in stage 1, as a share of one inside; in [0, 1].
        decay: weight decay of AdamW.
    """

    seed: int = 0
    pretrain: Stage = Stage(14, 128, 1e-3)
    tune: Stage = Stage(20, 128, 7e-4)
    pair: Stage = Stage(6, 32, 1.5e-3)
    others: float = 0.3
    decay: float = 1e-4

    def stages(self) -> Iterator[tuple[str, Stage]]:
        """Names and stages, in order."""
        yield from (("pretrain", self.pretrain), ("tune", self.tune), ("pair", self.pair))


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

    def __init__(self, data: Dataset) -> None:
        self.features = torch.from_numpy(data.space.dequantise(data.features))
        labels = data.labels if data.fine is None else np.concatenate([data.labels, data.fine], axis=1)
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
    tags = network.tagger.tags(network.tagger.dropout(network.tagger.steps(batch.features)))
    loss = nn.functional.binary_cross_entropy(tags[:, :COUNT], batch.labels[:, :COUNT])
    if network.config.fine:
        loss = loss + FINE_SHARE * nn.functional.binary_cross_entropy(tags[:, COUNT:], batch.labels[:, COUNT:])
    return loss


def all_pairs_loss(network: TaggedNetwork, batch: Mixed) -> Tensor:
    """Cross-entropy of the presence matrices of all pairs of a batch; of a clip with itself they say nothing.

    Mixed clips have soft labels: a situation's probability is the product of both clips' labels.
    """
    siamese = network.siamese
    if siamese is None:
        raise Invalid("this network has no pair layers to train")
    with torch.no_grad():
        steps = network.tagger.steps(batch.features)
        prior = all_pairs(network.tagger.tags(steps)[:, :COUNT])
    count = len(steps)
    query, event = siamese.halves(siamese.tower(steps))
    expert = siamese.join(query.repeat_interleave(count, 0), event.repeat(count, 1, 1))
    wanted = all_pairs(batch.labels[:, :COUNT].clamp(1e-6, 1.0 - 1e-6)).exp()
    matrices = torch.log_softmax(prior + expert, dim=-1)
    losses = -(wanted * matrices).sum(dim=-1).mean(dim=-1)
    return losses[~torch.eye(count, dtype=torch.bool).flatten()].mean()


def all_pairs(labels: Tensor) -> Tensor:
    """Logarithms of the presence matrices of each clip with each: float32 [B * B, 8, 3] from labels [B, 8]."""
    return log_prior(labels[:, None], labels[None]).reshape(-1, COUNT, SITUATIONS)


def learning_rate(stage: Stage, done: float) -> float:
    """The rate after a share of a stage's steps, in [0, 1]: a linear rise, then half a cosine to 0."""
    if done < RISE:
        return stage.learning_rate * (0.04 + 0.96 * done / RISE)
    return stage.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (done - RISE) / (1.0 - RISE)))

"""Training: find the number of epochs on a validation part, then train again on everything.

1. Set 10 % of the clips aside, without dividing a sensor or fold.
2. Train on the rest; after each epoch, the loss on pairs of the part set aside.
3. Train a new network on everything for the number of epochs with the lowest validation loss.

Each epoch draws fresh pairs (`hub.training.pairs`) within pools of clips, so that a batch holds each clip
several times and its tower is computed once.

Source: the paper, section 5.3.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hub.model.checkpoint import Checkpoint
from hub.model.network import NetworkConfig, SiameseNetwork
from hub.model.presence import situations
from hub.training.dataset import Dataset, split_by_group
from hub.training.pairs import Pairs, draw_pairs
from shared.errors import Invalid


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        seed: fixes the initial weights, the split, the pairs and the dropout.
        epochs: most epochs tried.
        batch_pairs: pairs per step. The paper has 128; larger is faster on a CPU.
        learning_rate: of RMSProp.
        n_same: partners in the same situation, per epoch, target and category.
        n_opposite: partners in the opposite situation.
        pool_clips: clips among which an epoch pairs each clip; a larger pool is nearer to the paper.
        pairs_per_clip: most pairs kept per clip and epoch, of those drawn. More than a few a time teach the
            clips by heart before the categories.
        level_shift: each time a clip is used, all its bytes move by up to so many steps (log-mel: half
            a dB each), so that the network does not learn a recording's gain. 0 for VGGish.
        validation: share of the clips that chooses the number of epochs.

    Raises:
        Invalid: a value outside its range.

    Source: the paper, sections 4.2 and 5.3 (RMSProp, 1e-3, batches of 128, 10 % validation).
    """

    seed: int = 0
    epochs: int = 20
    batch_pairs: int = 128
    learning_rate: float = 1e-3
    n_same: int = 1
    n_opposite: int = 1
    pool_clips: int = 256
    pairs_per_clip: int = 4
    level_shift: int = 0
    validation: float = 0.1

    def __post_init__(self) -> None:
        if (
            min(self.epochs, self.batch_pairs - 1, self.pool_clips - 1) < 1
            or min(self.n_same, self.n_opposite, self.pairs_per_clip) < 1
        ):
            raise Invalid("epochs and partners start at 1, batches and pools at 2")
        if not (0.0 < self.learning_rate < 1.0 and 0.0 < self.validation < 1.0 and self.level_shift >= 0):
            raise Invalid("learning rate and validation share lie in (0, 1); level shift starts at 0")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        stage: `validate` while the number of epochs is sought, `final` on everything.
        number: from 1.
        of: epochs of this stage.
        pairs: pairs trained on.
        loss: mean cross-entropy per category, in nats.
        validation_loss: the same on pairs of the part set aside; None in the final stage.
    """

    stage: str
    number: int
    of: int
    pairs: int
    loss: float
    validation_loss: float | None


Watch = Callable[[Epoch], None]
Step = Callable[[str, int, float], None]
"""Called with (stage, epoch, share of the epoch done in [0, 1])."""


def train(data: Dataset, config: NetworkConfig, plan: Plan, *, on_epoch: Watch, on_step: Step) -> Checkpoint:
    """Train a network; the same arguments give the same network on the same machine with one torch thread.

    Args:
        data: everything to learn from.
        config: the network's shape.
        plan: how to train.
        on_epoch: told after each epoch.
        on_step: told after each batch.

    Returns:
        The trained network and, as its record, the plan and the history of losses.

    Raises:
        Invalid: too few clips to split, or a network of another feature space.
    """
    rest, aside = split_by_group(data, plan.validation, np.random.default_rng(plan.seed))
    history: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        history.append(epoch)
        on_epoch(epoch)

    _fit(rest, config, plan, plan.epochs, aside, on_epoch=note, on_step=on_step)
    losses = [epoch.validation_loss for epoch in history if epoch.validation_loss is not None]
    best = int(np.argmin(losses)) + 1
    network = _fit(data, config, plan, best, None, on_epoch=note, on_step=on_step)
    record: dict[str, Any] = {
        "plan": asdict(plan),
        "clips": len(data),
        "positives": data.labels.sum(axis=0).tolist(),
        "epochs_chosen": best,
        "history": [asdict(epoch) for epoch in history],
    }
    return Checkpoint(network=network.eval().requires_grad_(False), space=data.space, record=record)


def _fit(
    data: Dataset,
    config: NetworkConfig,
    plan: Plan,
    epochs: int,
    aside: Dataset | None,
    *,
    on_epoch: Watch,
    on_step: Step,
) -> SiameseNetwork:
    """Train one network from scratch for so many epochs."""
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng([plan.seed, 1])
    network = SiameseNetwork(config)
    optimiser = torch.optim.RMSprop(network.parameters(), lr=plan.learning_rate)
    stage = "final" if aside is None else "validate"
    fixed = None if aside is None else _drawn(aside, plan, np.random.default_rng([plan.seed, 2]))
    for number in range(1, epochs + 1):
        network.train()
        total = pairs = 0.0
        batches = _drawn(data, plan, rng)
        for done, batch in enumerate(batches, 1):
            loss = _loss(network, data, batch, _shifts(data, plan, rng))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach()) * len(batch)
            pairs += len(batch)
            on_step(stage, number, done / len(batches))
        measured = None if aside is None or fixed is None else _validation_loss(network, aside, fixed)
        on_epoch(Epoch(stage, number, epochs, int(pairs), total / max(pairs, 1), measured))
    return network


def _drawn(data: Dataset, plan: Plan, rng: np.random.Generator) -> list[Pairs]:
    """One epoch's batches, pool by pool, each of at least two pairs."""
    return [
        batch
        for pool in _pools(len(data), plan.pool_clips, rng)
        for batch in _batches(
            pool[
                draw_pairs(data.labels[pool], rng, n_same=plan.n_same, n_opposite=plan.n_opposite)[
                    : plan.pairs_per_clip * len(pool)
                ]
            ],
            plan.batch_pairs,
        )
    ]


def _pools(clips: int, size: int, rng: np.random.Generator) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """All clips in random order, divided evenly into pools of at most about `size`."""
    return np.array_split(rng.permutation(clips), -(-clips // size))


def _batches(pairs: Pairs, size: int) -> Iterator[Pairs]:
    for start in range(0, len(pairs), size):
        if len(pairs) - start > 1:
            yield pairs[start : start + size]


def _shifts(data: Dataset, plan: Plan, rng: np.random.Generator) -> Tensor | None:
    """A random level shift per clip of the data set, in the feature space's units: float32 [n, 1, 1]."""
    if plan.level_shift == 0:
        return None
    step = (data.space.high - data.space.low) / 255.0
    drawn = rng.uniform(-plan.level_shift, plan.level_shift, (len(data), 1, 1)) * step
    return torch.from_numpy(drawn.astype(np.float32))


def _loss(network: SiameseNetwork, data: Dataset, pairs: Pairs, shifts: Tensor | None) -> Tensor:
    """Mean cross-entropy of a batch; each clip's tower is computed once.

    Source: the paper, section 3.1 (softmax with categorical cross-entropy).
    """
    clips, inverse = np.unique(pairs, return_inverse=True)
    sides = torch.from_numpy(inverse.reshape(pairs.shape))
    features = torch.from_numpy(data.space.dequantise(data.features[clips]))
    if shifts is not None:
        features = features + shifts[torch.from_numpy(clips)]
    query, event = network.halves(network.tower(features))
    log_matrix = network.join(query[sides[:, 0]], event[sides[:, 1]])
    target = situations(data.labels[pairs[:, 0]], data.labels[pairs[:, 1]])
    return nn.functional.nll_loss(log_matrix.flatten(0, 1), torch.from_numpy(target).flatten())


def _validation_loss(network: SiameseNetwork, data: Dataset, batches: list[Pairs]) -> float:
    network.eval()
    with torch.inference_mode():
        weighted = [float(_loss(network, data, batch, None)) * len(batch) for batch in batches]
    return sum(weighted) / max(sum(map(len, batches)), 1)

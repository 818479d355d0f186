"""Learning an identity's network: from views that certainly share a source, against all other clips.

1. Whitening within pairs of halves gives the first projection (`whitening`), unless another identity is the start. Of
   some hundred clips it is all there is.
2. Of many clips, a step draws some hundred, and two views of each (`views`). Of all second views, each first one has
   to find its own, and the other way round: the cross-entropy of a softmax over cosines.

Source: Hatch and Stolcke 2006 (1.); van den Oord et al. 2018, InfoNCE (2.).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from hub.domain.closest_source import Margins
from hub.model.identity import MOST, IdentityConfig, IdentityNetwork
from hub.training.dataset import Dataset
from hub.training.tagger_schedule import Stage, learning_rate
from hub.training.views import Stretches, halves
from hub.training.whitening import whitening
from shared.errors import InvalidError

MANY: Final = 5_000
"""Clips from which learning is worth its while; of some hundreds it knows no more than whitening."""
STEPS_OF_MANY: Final = 1_500
STEPS_WITH_HIDDEN: Final = 3_000
"""Hidden units need more steps, and dropout; linear projections gain nothing by either."""
DROPOUT: Final = 0.3
WORTH: Final = (1.0, 0.6)
"""Weight and floor if nothing else is known."""


@dataclass(frozen=True, slots=True)
class IdentityPlan:
    """The plan for training an identity.

    Attributes:
        seed: fixes all randomness.
        values: of an identity, in [1, 64].
        shrinkage: share of a sphere in the covariance within pairs, in [0, 1].
        hidden: hidden units beside the projection; 0 for none. Few clips, which take no steps, get none.
        steps: of the optimiser; 0 leaves it at whitening. None: `STEPS_OF_MANY` or `STEPS_WITH_HIDDEN` of at least
            `MANY` clips, else 0.
        clips: in a step.
        rate: highest learning rate of AdamW.
        temperature: of the cosines of views in their softmax.
        parts: into which the clips are divided to measure, from 2.
        weight: how many levels of similarity a perfect identity is worth where clips are ranked by kind and source.
        floor: the cosine up to which it is worth nothing, in [-1, 1).
        margins: from which the event closest by source keeps a place there; None: it keeps none.

    Raises:
        InvalidError: a value outside its range.
    """

    seed: int = 0
    values: int = MOST
    shrinkage: float = 0.5
    hidden: int = 0
    steps: int | None = None
    clips: int = 512
    rate: float = 1e-3
    temperature: float = 0.05
    parts: int = 4
    weight: float = WORTH[0]
    floor: float = WORTH[1]
    margins: Margins | None = None

    def __post_init__(self) -> None:
        if (
            min(self.seed, self.steps or 0, self.hidden) < 0
            or min(self.clips, self.parts) < 2
            or not 1 <= self.values <= MOST
        ):
            raise InvalidError(
                f"seeds, steps and hidden units start at 0, clips and parts at 2; values lie in [1, {MOST}]"
            )
        if not 0.0 <= self.shrinkage <= 1.0 or not 0.0 < self.rate < 1.0 or self.temperature <= 0.0:
            raise InvalidError("shrinkage lies in [0, 1], rates in (0, 1), temperatures above 0")
        if not 0.0 <= self.weight <= 100.0 or not -1.0 <= self.floor < 1.0:
            raise InvalidError("weights lie in [0, 100], floors of cosines in [-1, 1)")

    def steps_of(self, clips: int) -> int:
        """Return the number of optimiser steps for a number of clips."""
        if self.steps is not None or clips < MANY:
            return self.steps or 0
        return STEPS_WITH_HIDDEN if self.hidden else STEPS_OF_MANY


def learn(
    data: Dataset,
    config: IdentityConfig,
    plan: IdentityPlan,
    start: IdentityNetwork | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> IdentityNetwork:
    """One identity network, in eval mode, gradients off; with one torch thread the same again.

    Args:
        data: what to learn from.
        config: its shape.
        plan: how.
        start: where it starts; None: whitening within pairs.
        progress: called with the share done, in [0, 1].
    """
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)  # of hidden units: initial weights and dropout
    network = IdentityNetwork(config, DROPOUT)
    if start is None:
        _whiten(network, data, plan)
    else:
        network.load_state_dict(start.state_dict())
    network.weight.fill_(plan.weight)
    network.floor.fill_(plan.floor)
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-4)
    stretches, stage, steps = Stretches(data, rng), Stage(1, 2, plan.rate), plan.steps_of(len(data))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(stage, step / steps)
        clips = rng.permutation(len(data))[: plan.clips]
        first, second = (network.of_pooled(views) for views in stretches.pairs(clips))
        loss = views_loss(first @ second.t() / plan.temperature)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress((step + 1) / steps)
    progress(1.0)
    return network.requires_grad_(requires_grad=False).eval()


def views_loss(logits: Tensor) -> Tensor:
    """Return the cross-entropy of views that find each other, both ways, in nats; logits float32 [n, n]."""
    wanted = torch.arange(len(logits))
    return nn.functional.cross_entropy(logits, wanted) + nn.functional.cross_entropy(logits.t(), wanted)


def _whiten(network: IdentityNetwork, data: Dataset, plan: IdentityPlan) -> None:
    first, second = halves(data)
    centre, projection = whitening(
        first, second, torch.from_numpy(data.in_domain), network.config.values, plan.shrinkage
    )
    with torch.no_grad():
        network.centre.copy_(centre)
        network.projection.weight.copy_(projection)

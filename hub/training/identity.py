"""Teaching a checkpoint its identity: from clips that certainly share a source, against all others.

1. Whitening within pairs of halves gives the first projection (`whitening`), unless another identity is the start.
2. A step draws two views (`views`) of some hundred sources. Of all second views, each first one has to find its own,
   and the other way round: the cross-entropy of a softmax over cosines. Half of the steps draw a source with those
   that are closest to it so far, of the same kind mostly.
3. Parts of the clips, no group divided, are set aside in turn, until there are queries enough: an identity that
   learnt the others tells for each half of a clip which half is the other. That gives the curves of P(same source),
   and how well it does.

Source: Hatch and Stolcke 2006 (1.); van den Oord et al. 2018 (2., InfoNCE); Kalantidis et al. 2020 (2., negatives).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hub.model.checkpoint import Checkpoint
from hub.model.identity import MOST, STEPS, Identity, IdentityConfig, IdentityNetwork
from hub.training.same_source import curves, measure
from hub.training.stages import Stage, learning_rate
from hub.training.views import Sounds, Stretches, halves
from hub.training.whitening import whitening
from shared.errors import Invalid
from shared.space import SMALL, VGGISH

FEWEST: Final = 20
"""Sources that can be learnt from."""
MANY: Final = 5_000
"""Sources from which learning is worth its while; of some hundreds it knows no more than whitening."""
STEPS_OF_MANY: Final = 1_500
WEIGHT: Final = 1.0
WEIGHTS: Final = {VGGISH.id: 1.0, SMALL.id: 1.0}
"""Weights of the feature spaces that ship; of others `WEIGHT`."""
_RENEWED: Final = 500
"""Steps after which it is looked again which sources are close."""
_NEIGHBOURS: Final = 8
_BLOCK: Final = 1_000
_ASKED: Final = 2_000
"""Queries that are enough to measure with."""
_DATABASE: Final = 5_000

Told = Callable[[str, float], None]
"""Called with (what is going on, share of it done in [0, 1])."""


@dataclass(frozen=True, slots=True)
class IdentityPlan:
    """How to teach an identity.

    Attributes:
        seed: fixes all randomness.
        values: of an identity, in [1, 64].
        shrinkage: share of a sphere in the covariance within pairs, in [0, 1].
        steps: of the optimiser; 0 leaves it at whitening. None: `STEPS_OF_MANY` of at least `MANY` sources, else 0.
        sources: in a step.
        rate: highest learning rate of AdamW.
        temperature: of the cosines in their softmax.
        parts: into which the clips are divided to measure, from 2.
        weight: how many levels of similarity a perfect identity is worth where clips are ranked by kind and source.

    Raises:
        Invalid: a value outside its range.
    """

    seed: int = 0
    values: int = MOST
    shrinkage: float = 0.5
    steps: int | None = None
    sources: int = 512
    rate: float = 1e-3
    temperature: float = 0.05
    parts: int = 4
    weight: float = WEIGHT

    def __post_init__(self) -> None:
        if (
            self.seed < 0
            or (self.steps or 0) < 0
            or self.sources < 2
            or self.parts < 2
            or not 1 <= self.values <= MOST
        ):
            raise Invalid(f"seeds and steps start at 0, sources and parts at 2; values lie in [1, {MOST}]")
        if (
            not 0.0 <= self.shrinkage <= 1.0
            or not 0.0 < self.rate < 1.0
            or self.temperature <= 0.0
            or not 0.0 <= self.weight <= 100.0
        ):
            raise Invalid("shrinkage lies in [0, 1], rates in (0, 1), temperatures above 0, weights in [0, 100]")


def plan_of(checkpoint: Checkpoint) -> IdentityPlan:
    """The plan for a checkpoint: its identity's weight stays, or is that of its feature space."""
    if checkpoint.identity is not None:
        return IdentityPlan(weight=round(float(checkpoint.identity.network.weight), 4))
    return IdentityPlan(weight=WEIGHTS.get(checkpoint.space.id, WEIGHT))


def teach(
    checkpoint: Checkpoint,
    sounds: Sounds,
    plan: IdentityPlan | None = None,
    *,
    start: Identity | None = None,
    told: Told = lambda *_: None,
) -> Checkpoint:
    """The checkpoint with an identity, and in its record how well that does on clips set aside.

    Args:
        checkpoint: of any network; an identity that it has is replaced.
        sounds: clips like those that will be searched, of its feature space.
        plan: how.
        start: an identity whose projection learning starts from; None: whitening within these clips.
        told: progress.

    Raises:
        Invalid: another feature space, too few sources, or a start of other clips.
    """
    plan = plan or IdentityPlan()
    if sounds.space != checkpoint.space:
        raise Invalid(f"clips of {sounds.space.id} cannot teach a checkpoint of {checkpoint.space.id}")
    if len(np.unique(sounds.sources)) < FEWEST:
        raise Invalid(f"{len(sounds)} clips are too few to teach an identity: give at least {FEWEST} sources")
    config = IdentityConfig(*sounds.space.shape, min(plan.values, 2 * sounds.space.dimension))
    if start is not None and start.network.config != config:
        raise Invalid(f"an identity of {start.network.config} is no start for one of {config}")
    begin = None if start is None else start.network
    found: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]] = []
    for number, aside in enumerate(_parts(sounds, plan)):
        if sum(len(own) for _, own in found) >= _ASKED:
            break
        name = f"measuring, part {number + 1} of {plan.parts}"
        network = learn(sounds.take(~aside), config, plan, begin, lambda share, name=name: told(name, share))  # type: ignore[misc]
        found.append(_cosines(network, sounds, aside, plan.seed))
    network = learn(sounds, config, plan, begin, lambda share: told("teaching", share))
    network.weight.fill_(plan.weight)
    cosines, own = np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])
    measured = measure(cosines, own)
    identity = Identity(network, *curves(cosines, own))
    about = {"plan": asdict(plan), "clips": len(sounds), "sources": len(np.unique(sounds.sources))} | measured
    return replace(checkpoint, identity=identity, record={**checkpoint.record, "identity": about})


def learn(
    sounds: Sounds,
    config: IdentityConfig,
    plan: IdentityPlan,
    start: IdentityNetwork | None = None,
    told: Callable[[float], None] = lambda _: None,
) -> IdentityNetwork:
    """One identity network, in eval mode, gradients off, weighing nothing yet; with one torch thread the same again.

    Args:
        sounds: what to learn from.
        config: its shape.
        plan: how.
        start: where it starts; None: whitening within pairs.
        told: share done, in [0, 1].
    """
    rng = np.random.default_rng(plan.seed)
    network = IdentityNetwork(config)
    if start is None:
        centre, projection = whitening(*halves(sounds), config.values, plan.shrinkage)
        network.centre.copy_(centre)
        network.projection.weight.data.copy_(projection)
    else:
        network.load_state_dict(start.state_dict())
    network.weight.zero_()
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-4)
    stretches, stage = Stretches(sounds, rng), Stage(1, 2, plan.rate)
    close: npt.NDArray[np.int64] | None = None
    steps = plan.steps if plan.steps is not None else STEPS_OF_MANY * (stretches.sources >= MANY)
    for step in range(steps):
        if step % _RENEWED == 0:
            close = _neighbours(network, stretches)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(stage, step / steps)
        drawn = _drawn(stretches.sources, plan.sources, close if step % 2 else None, rng)
        first, second = (_unit(network, views) for views in stretches.pairs(drawn))
        loss = _loss(first @ second.t() / plan.temperature)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        told((step + 1) / steps)
    told(1.0)
    return network.requires_grad_(requires_grad=False).eval()


def _parts(sounds: Sounds, plan: IdentityPlan) -> list[npt.NDArray[np.bool_]]:
    """Masks of clips to set aside; neither a group nor a source is divided."""
    alone = np.char.add("source ", sounds.sources.astype(str))
    names = np.where(sounds.groups == "", alone, sounds.groups)
    unique, number = np.unique(names, return_inverse=True)
    if len(unique) < plan.parts:
        raise Invalid(f"{len(unique)} groups of clips cannot be divided into {plan.parts} parts")
    order = np.random.default_rng(plan.seed).permutation(len(unique))
    return [(order % plan.parts)[number] == part for part in range(plan.parts)]


def _cosines(
    network: IdentityNetwork, sounds: Sounds, aside: npt.NDArray[np.bool_], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Of some halves set aside with the other halves of clips, and which of these is theirs."""
    rng = np.random.default_rng(seed)
    one_each = np.unique(sounds.sources, return_index=True)[1]
    asked = rng.permutation(one_each[aside[one_each]])[:_ASKED]
    others = rng.permutation(np.setdiff1d(one_each, asked))
    clips = np.concatenate([asked, others])[:_DATABASE]
    with torch.inference_mode():
        first, second = (_rounded(network, views) for views in halves(sounds.take(clips)))
    return (first[: len(asked)] @ second.t()).numpy(), np.arange(len(asked))


def _rounded(network: IdentityNetwork, views: Tensor) -> Tensor:
    return torch.round(_unit(network, views) * STEPS) / STEPS


def _unit(network: IdentityNetwork, views: Tensor) -> Tensor:
    return nn.functional.normalize(network.projection(views - network.centre), dim=1)


def _loss(logits: Tensor) -> Tensor:
    wanted = torch.arange(len(logits))
    return nn.functional.cross_entropy(logits, wanted) + nn.functional.cross_entropy(logits.t(), wanted)


def _neighbours(network: IdentityNetwork, stretches: Stretches) -> npt.NDArray[np.int64]:
    """The sources closest to each so far, itself first: int64 [sources, 8]."""
    with torch.inference_mode():
        made = _unit(network, stretches.whole())
        count = min(_NEIGHBOURS, len(made))
        blocks = (made[start : start + _BLOCK] for start in range(0, len(made), _BLOCK))
        parts = [(block @ made.t()).topk(count).indices for block in blocks]
    return torch.cat(parts).numpy()


def _drawn(
    sources: int, count: int, close: npt.NDArray[np.int64] | None, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    if close is None:
        return rng.permutation(sources)[:count]
    some = rng.permutation(sources)[: max(1, count // close.shape[1])]
    return np.unique(close[some])

"""Training of a checkpoint's identity, and its calibration.

Parts of the clips, no group divided, are set aside in turn until there are enough queries. An identity trained on the
other clips (`identity_network_training`) searches for the other half of each half of a clip. This gives the curves of
P(same source) and the quality. The final identity is then trained on all clips.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from hub.domain.closest_source import Margins
from hub.model.checkpoint import Checkpoint
from hub.model.identity import Identity, IdentityConfig, IdentityNetwork
from hub.training.dataset import Dataset, with_domain
from hub.training.identity_network_training import IdentityPlan, learn
from hub.training.same_source import curves, measure
from hub.training.views import halves
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, VGGISH

FEWEST: Final = 20
"""Smallest number of clips to train on."""
PLANS: Final = {
    VGGISH.id: IdentityPlan(hidden=512, weight=0.5, floor=0.85, margins=Margins(first=0.28, tenth=0.16)),
    EARWITNESS_SMALL.id: IdentityPlan(weight=0.5, floor=0.68),
}
"""Plans of the feature spaces that ship."""
_ASKED: Final = 2_000
"""Queries that are enough to measure with."""
_DATABASE: Final = 5_000

ProgressFn = Callable[[str, float], None]
"""Called with (current step, share of it done in [0, 1])."""


def plan_of(checkpoint: Checkpoint) -> IdentityPlan:
    """Return the plan for a checkpoint: shape and use of its identity stay, or are those of its feature space."""
    identity = checkpoint.identity
    if identity is None:
        return PLANS.get(checkpoint.space.id, IdentityPlan())
    weight, floor = (round(float(one), 4) for one in (identity.network.weight, identity.network.floor))
    return IdentityPlan(hidden=identity.network.config.hidden, weight=weight, floor=floor, margins=identity.margins)


def teach(
    checkpoint: Checkpoint,
    data: Dataset,
    plan: IdentityPlan | None = None,
    *,
    start: Identity | None = None,
    progress: ProgressFn = lambda *_: None,
) -> Checkpoint:
    """Train an identity and return the checkpoint with it; the record states its quality on held-out clips.

    Args:
        checkpoint: of any network; an identity that it has is replaced.
        data: clips like those that will be searched, of its feature space. Labels of categories are not used.
        plan: how; None: `plan_of` the checkpoint.
        start: an identity whose network learning starts from; None: whitening within these clips.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        InvalidError: another feature space, too few clips or groups, or a start of another shape.
    """
    plan = plan or plan_of(checkpoint)
    if data.space != checkpoint.space:
        raise InvalidError(f"clips of {data.space.id} cannot teach a checkpoint of {checkpoint.space.id}")
    if len(data) < FEWEST:
        raise InvalidError(f"{len(data)} clips are too few to teach an identity: give at least {FEWEST}")
    data = with_domain(data)
    hidden = plan.hidden if plan.steps_of(len(data)) else 0
    config = IdentityConfig(*data.space.shape, min(plan.values, 2 * data.space.dimension), hidden)
    if start is not None and start.network.config != config:
        raise InvalidError(f"an identity of {start.network.config} is no start for one of {config}")
    begin = None if start is None else start.network
    found: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]] = []
    for number, aside in enumerate(_parts(data, plan)):
        if sum(len(own) for _, own in found) >= _ASKED:
            break

        def report(share: float, number: int = number) -> None:
            progress(f"measuring, part {number + 1} of {plan.parts}", share)

        found.append(_cosines(learn(data.take(~aside), config, plan, begin, report), data, aside, plan.seed))
    network = learn(data, config, plan, begin, lambda share: progress("training", share))
    most = min(cosines.shape[1] for cosines, _ in found)
    cosines, own = np.concatenate([one[:, :most] for one, _ in found]), np.concatenate([one for _, one in found])
    about = {"plan": asdict(plan), "clips": len(data)} | measure(cosines, own)
    identity = Identity(network, *curves(cosines, own), plan.margins)
    return replace(checkpoint, identity=identity, record={**checkpoint.record, "identity": about})


def _parts(data: Dataset, plan: IdentityPlan) -> list[npt.NDArray[np.bool_]]:
    """Masks of clips to set aside; no group is divided."""
    alone = np.char.add("clip ", np.arange(len(data)).astype(str))
    unique, number = np.unique(np.where(data.groups == "", alone, data.groups), return_inverse=True)
    if len(unique) < plan.parts:
        raise InvalidError(f"{len(unique)} groups of clips cannot be divided into {plan.parts} parts")
    order = np.random.default_rng(plan.seed).permutation(len(unique))
    return [(order % plan.parts)[number] == part for part in range(plan.parts)]


def _cosines(
    network: IdentityNetwork, data: Dataset, aside: npt.NDArray[np.bool_], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return cosines of halves of clips set aside with the other halves of all, and which of these is theirs.

    If there are clips of sensors, only they are queries: a single sound of 5 s is repeated, so that its halves are
    the same sound.
    """
    sensors = np.char.startswith(data.groups, "sensor-")
    aside = aside & sensors if sensors.any() else aside
    rng = np.random.default_rng(seed)
    asked = rng.permutation(np.flatnonzero(aside))[:_ASKED]
    others = rng.permutation(np.setdiff1d(np.arange(len(data)), asked))
    clips = np.concatenate([asked, others])[:_DATABASE]
    with torch.inference_mode():
        first, second = (network.rounded(network.of_pooled(views)) for views in halves(data.take(clips)))
    return (first[: len(asked)] @ second.t()).numpy(), np.arange(len(asked))

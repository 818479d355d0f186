"""Training a tagged network from data to checkpoint.

1. `validate`: 20 % of the domain's clips are set aside; a network is trained on the rest. On the clips set aside
   the shift of the tags and the weight of the affinity are chosen and the calibration measured.
2. `final`: a new network is trained on everything, with what was chosen.

A tagger alone, "tag-and-compare", goes the same way; its weight is that of the cosine in "tag-plus-cosine".
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from hub.model.calibration import Calibration
from hub.model.checkpoint import Checkpoint
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.training.calibration import PLAIN, RankingChoice, calibrate, choice_of, choose
from hub.training.dataset import Dataset, split_by_group
from hub.training.ensemble import fit_members
from hub.training.tagger_schedule import TaggedEpoch, TaggedPlan
from hub.training.validation import RetrievalValidation

SET_ASIDE: Final = 0.2
_STREAM: Final = 7
"""Separates the random numbers of the split from those of the stages."""


def train_tagged(
    data: Dataset,
    config: TaggedConfig,
    plan: TaggedPlan,
    *,
    like: Checkpoint | None = None,
    start: TaggingEnsemble | None = None,
    known: RankingChoice = PLAIN,
    on_epoch: Callable[[TaggedEpoch], None],
    on_step: Callable[[str, int, float], None],
    state: Path | None = None,
) -> Checkpoint:
    """Train, choose the weight, calibrate; the same arguments give the same checkpoint with one torch thread.

    Args:
        data: everything to learn from.
        config: the network's shape.
        plan: how to train.
        like: a checkpoint of the same shape and plan, of another seed, whose choices and calibration are taken
            instead of being measured. Halves the time.
        start: a network of the same shape whose weights are where learning starts.
        known: shift and weight if too few clips are set aside to choose them.
        on_epoch: called after each epoch.
        on_step: called after each step.
        state: where to keep what is done, so that an interrupted training goes on; as of `fit`, with the run's
            name appended.

    Returns:
        The network, its calibration, and as its record plan, history and what was measured on the way.

    Raises:
        InvalidError: too few clips, or a state of another training.
        UnavailableError: the state cannot be read or written.
    """

    def kept(run: str) -> Path | None:
        return None if state is None else state.with_name(f"{state.name}.{run}")

    record: dict[str, Any] = {
        "plan": asdict(plan),
        "clips": len(data),
        "domain": int(data.in_domain.sum()),
        "positives": data.labels[data.in_domain].sum(axis=0).tolist(),
    }
    history: list[TaggedEpoch] = []
    calibration: Calibration | None
    if like is None:
        rng = np.random.default_rng([plan.seed, _STREAM])
        rest, aside = split_by_group(data, SET_ASIDE, rng)
        queries, database = aside.take(aside.in_domain), rest.take(rest.in_domain)
        sample = RetrievalValidation(database, queries, rng)
        network, history = fit_members(
            rest,
            config,
            plan,
            run="validate",
            on_epoch=on_epoch,
            on_step=on_step,
            measure=sample.quality,
            state=kept("validate"),
            start=start,
        )
        scored, choice, tried = choose(network, queries, database, known)
        record |= {"tried": [asdict(one) | {"figures": figures} for one, figures in tried.items()]}
        calibration = calibrate(scored, choice.weight if config.profile else 0.0)
    else:
        choice = choice_of(like)
        calibration = like.calibration
    record |= asdict(choice)
    network, final = fit_members(
        data, config, plan, run="final", on_epoch=on_epoch, on_step=on_step, state=kept("final"), start=start
    )
    network.shift.fill_(choice.shift)
    if config.profile:
        network.weight.fill_(choice.weight)
    record["history"] = [asdict(epoch) for epoch in (*history, *final)]
    return Checkpoint(network, data.space, record, calibration)

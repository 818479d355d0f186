"""The members of a tagged network: each learns for itself, then they stand side by side."""

from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.tagger import TaggedConfig, TaggingEnsemble, split_members, stack_members
from hub.training.dataset import Dataset
from hub.training.mixup import MixupBatchSource
from hub.training.resume_state import ResumeState, fingerprint, read, write
from hub.training.tagger_schedule import (
    Step,
    TaggedEpoch,
    TaggedPlan,
    TrainingStep,
    seed_of,
    train_stage,
    training_steps,
)
from shared.errors import InvalidError
from shared.taxonomy import COUNT

Indices = npt.NDArray[np.int64]

RENEWAL: Final = 0.4
"""Share of the latest epoch in the running average of weights."""
PROFILE_CLIPS: Final = 4_000
"""Most clips that the profile's directions are computed from."""

Watch = Callable[[TaggedEpoch], None]
Measure = Callable[[TaggingEnsemble], tuple[float, float]]


def fit_members(
    data: Dataset,
    config: TaggedConfig,
    plan: TaggedPlan,
    *,
    run: str = "final",
    on_epoch: Watch,
    on_step: Step,
    measure: Measure | None = None,
    state: Path | None = None,
    start: TaggingEnsemble | None = None,
) -> tuple[TaggingEnsemble, list[TaggedEpoch]]:
    """Train one network; the same arguments give the same network on the same machine with one torch thread.

    Args:
        data: everything to learn from; with as many finer labels as the network knows.
        config: the network's shape.
        plan: how to train.
        run: named in each epoch.
        on_epoch: called after each epoch.
        on_step: called after each step.
        measure: gives mAP_8@10 and mAP_7@10 after each epoch.
        state: file, with the member's number appended, that is replaced after each epoch, before `on_epoch`. If it
            is there already, training goes on from it. It stays, for the caller to remove once the network is safe.
        start: a network of the same shape whose weights are where each member starts; None: chance.

    Returns:
        The network in eval mode, gradients off, its affinity weighing nothing yet; and what each epoch gave.

    Raises:
        InvalidError: data or a start that does not fit the network, no domain, or a state of another training.
        UnavailableError: the state cannot be read or written.
    """
    fine = 0 if data.fine is None else data.fine.shape[1]
    shape = (config.frames, config.dimension)
    if data.in_domain.sum() < 2 or config.fine not in {0, fine} or shape != data.space.shape:
        raise InvalidError(f"{len(data)} clips of {data.space.id} with {fine} finer labels do not fit {config}")
    if start is not None and replace(start.config, dropout=config.dropout) != config:
        raise InvalidError(f"a network of {start.config} is no start for one of {config}")
    starts = [None] * config.members if start is None else split_members(start)
    clips = MixupBatchSource(data, fine=config.fine)
    begun = {} if start is None else {"start": _digest(start)}
    members, history = [], []
    for member in range(1, config.members + 1):
        settings = {"network": asdict(config), "plan": asdict(plan), "domain": data.in_domain.tolist()}
        mark = fingerprint(data, settings | begun | {"run": run, "member": member})
        network, epochs = _fit_member(
            clips,
            replace(config, members=1),
            list(training_steps(plan, data)),
            plan,
            run,
            member,
            on_epoch=on_epoch,
            on_step=on_step,
            measure=measure,
            start=starts[member - 1],
            state=None if state is None else state.with_name(f"{state.name}.{member}"),
            mark=mark,
        )
        members.append(network)
        history += epochs
    if start is not None:
        for trained, first in zip(members, split_members(start), strict=True):
            _draw_back(trained, first, plan.kept)
    network = stack_members(members).eval()
    _set_projection(network, clips, np.flatnonzero(data.in_domain))
    return network.requires_grad_(False), history


def _fit_member(
    clips: MixupBatchSource,
    config: TaggedConfig,
    course: list[TrainingStep],
    plan: TaggedPlan,
    run: str,
    member: int,
    *,
    on_epoch: Watch,
    on_step: Step,
    measure: Measure | None,
    start: TaggingEnsemble | None,
    state: Path | None,
    mark: str,
) -> tuple[TaggingEnsemble, list[TaggedEpoch]]:
    """Train one member; `mark` distinguishes its state from that of another training. See `fit`."""
    torch.manual_seed(seed_of(np.random.default_rng([plan.seed, member])))
    network = TaggingEnsemble(config)
    if start is not None:
        network.load_state_dict(start.state_dict())
    saved = None if state is None else read(state, mark)
    history = [] if saved is None else [TaggedEpoch(**epoch) for epoch in saved.history]
    if saved is not None:
        network.load_state_dict(saved.network)
    for order, lesson in enumerate(course):
        optimiser = torch.optim.AdamW(network.parameters(), lr=lesson.stage.learning_rate, weight_decay=plan.decay)
        average: dict[str, Tensor] = {}
        if saved is not None and history[-1].stage == lesson.name:
            optimiser.load_state_dict(saved.optimiser)
            average = saved.average
        done = sum(epoch.stage == lesson.name for epoch in history)
        for number in range(done + 1, lesson.stage.epochs + 1):
            rng = np.random.default_rng([plan.seed, member, order, number])
            loss = train_stage(network, optimiser, clips, lesson, number, rng, on_step)
            if lesson.averaged:
                average = _averaged(average, network)
            measured = (None, None) if measure is None else measure(_with(network, average))
            history.append(TaggedEpoch(run, member, lesson.name, number, lesson.stage.epochs, loss, *measured))
            if lesson.averaged and number == lesson.stage.epochs:
                network.load_state_dict(average)
            if state is not None:
                past = [asdict(epoch) for epoch in history]
                write(state, mark, ResumeState(network.state_dict(), optimiser.state_dict(), past, average))
            on_epoch(history[-1])
    return network, history


def _digest(network: TaggingEnsemble) -> str:
    """SHA-256 of a tagger's weights."""
    digest = sha256()
    for tensor in network.tagger.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _draw_back(network: TaggingEnsemble, start: TaggingEnsemble, share: float) -> None:
    """Move a network back to its start by a share of the way."""
    first = start.state_dict()
    network.load_state_dict(
        {name: _between(tensor, first[name], share) for name, tensor in network.state_dict().items()}
    )


def _averaged(average: dict[str, Tensor], network: TaggingEnsemble) -> dict[str, Tensor]:
    """Return the running average after another epoch; counters, which have no mean, are the latest."""
    latest = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if not average:
        return latest
    return {name: _between(average[name], tensor, RENEWAL) for name, tensor in latest.items()}


def _between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """From the first by a share of the way to the second; counters, which have no mean, are the latter's."""
    return torch.lerp(first, second, share) if first.is_floating_point() else second


def _with(network: TaggingEnsemble, tensors: dict[str, Tensor]) -> TaggingEnsemble:
    """Return a network in eval mode with other tensors, or itself if there are none."""
    if not tensors:
        return network.eval()
    other = TaggingEnsemble(network.config)
    other.load_state_dict(tensors)
    return other.eval()


def _set_projection(network: TaggingEnsemble, clips: MixupBatchSource, domain: Indices) -> None:
    """Point the profile along the directions in which the domain's fine probabilities differ most."""
    if not network.config.profile:
        return
    network.eval()
    with torch.inference_mode():
        chosen = domain[:: -(-len(domain) // PROFILE_CLIPS)]
        parts = [clips.features[chosen[start : start + 256]] for start in range(0, len(chosen), 256)]
        tags = torch.cat([network.tagger(part) for part in parts])
        roots = torch.nn.functional.normalize(tags[:, COUNT:].sqrt(), dim=1)
        directions = torch.linalg.svd(roots, full_matrices=False).Vh[: network.config.profile]
        network.projection[:, : len(directions)] = directions.T

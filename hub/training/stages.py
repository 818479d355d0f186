"""Training the tagged network (`hub.model.tagged`), in two stages.

1. `pretrain`: the tagger learns categories and finer labels from everything there is. Clips of the domain, that
   is, like those that will be searched, are drawn more often.
2. `tune`: the tagger goes on with the domain alone, so that what it expects is what it will meet. What counts is the
   running average of its weights after each epoch, which knows fewer clips by heart than the last ones.

Each member of the network goes through both for itself: what one learns by chance, from the order and the mixing of
its clips, the mean of several forgets. Both stages mix clips two by two (mixup). Matrices are multiplied in bfloat16
where the processor does so in hardware.

Source: the paper, section 5.3; Zhang et al. 2018 (mixup); Izmailov et al. 2018 (averaging weights).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.precision import best_dtype, capabilities
from hub.model.tagged import TaggedConfig, TaggedNetwork, side_by_side
from hub.training.dataset import Dataset
from hub.training.mixup import Clips, tagging_loss
from hub.training.state import State, fingerprint, read, write
from shared.errors import Invalid
from shared.taxonomy import COUNT

Indices = npt.NDArray[np.int64]

RISE: Final = 0.1
"""Share of a stage's steps in which the learning rate rises; then it falls as a cosine."""
RENEWAL: Final = 0.4
"""Share of the latest epoch in the running average of weights."""
PROFILE_CLIPS: Final = 4_000
"""Most clips that the profile's directions are computed from."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How long and how one stage trains.

    Attributes:
        epochs: passes; 0 leaves the stage out.
        batch_clips: clips per step, from 2.
        learning_rate: the highest, of AdamW.

    Raises:
        Invalid: a value outside its range.
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
        others: how often a clip outside the domain is drawn in stage 1, as a share of one inside; in [0, 1].
        decay: weight decay of AdamW.

    Raises:
        Invalid: a value outside its range.
    """

    seed: int = 0
    pretrain: Stage = Stage(5, 128, 1e-3)
    tune: Stage = Stage(10, 128, 7e-4)
    others: float = 0.3
    decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.seed < 0 or not 0.0 <= self.others <= 1.0 or not 0.0 <= self.decay < 1.0:
            raise Invalid("seeds start at 0; the share of others lies in [0, 1], weight decay in [0, 1)")


@dataclass(frozen=True, slots=True)
class TaggedEpoch:
    """What one epoch gave.

    Attributes:
        run: `validate` while a part is set aside, `final` on everything.
        member: which of the members learnt, from 1.
        stage: `pretrain` or `tune`.
        number: from 1.
        of: epochs of this stage.
        loss: mean loss of the stage, in nats.
        map_8: mAP_8@10 of clips set aside among the others, on samples of both; None in the final run.
        map_7: mAP_7@10, likewise.
    """

    run: str
    member: int
    stage: str
    number: int
    of: int
    loss: float
    map_8: float | None = None
    map_7: float | None = None


Watch = Callable[[TaggedEpoch], None]
Step = Callable[[str, int, float], None]
"""Called with (stage, epoch, share of the epoch done in [0, 1])."""
Measure = Callable[[TaggedNetwork], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A stage; chances float64 [n] say how likely each clip is drawn in it."""

    name: str
    stage: Stage
    chances: npt.NDArray[np.float64]

    @property
    def averaged(self) -> bool:
        """Whether the average over the epochs is what counts."""
        return self.name == "tune"


def fit(
    data: Dataset,
    config: TaggedConfig,
    plan: TaggedPlan,
    *,
    run: str = "final",
    on_epoch: Watch,
    on_step: Step,
    measure: Measure | None = None,
    state: Path | None = None,
) -> tuple[TaggedNetwork, list[TaggedEpoch]]:
    """Train one network; the same arguments give the same network on the same machine with one torch thread.

    Args:
        data: everything to learn from; with as many finer labels as the network knows.
        config: the network's shape.
        plan: how to train.
        run: named in each epoch.
        on_epoch: told after each epoch.
        on_step: told after each step.
        measure: gives mAP_8@10 and mAP_7@10 after each epoch.
        state: file, with the member's number appended, that is replaced after each epoch, before `on_epoch`. If it
            is there already, training goes on from it. It stays, for the caller to remove once the network is safe.

    Returns:
        The network in eval mode, gradients off, its affinity weighing nothing yet; and what each epoch gave.

    Raises:
        Invalid: data that does not fit the network, no domain, or a state of another training.
        Unavailable: the state cannot be read or written.
    """
    fine = 0 if data.fine is None else data.fine.shape[1]
    shape = (config.frames, config.dimension)
    if data.in_domain.sum() < 2 or config.fine not in {0, fine} or shape != data.space.shape:
        raise Invalid(f"{len(data)} clips of {data.space.id} with {fine} finer labels do not fit {config}")
    clips = Clips(data, fine=config.fine)
    members, history = [], []
    for member in range(1, config.members + 1):
        settings = {"network": asdict(config), "plan": asdict(plan), "domain": data.in_domain.tolist()}
        mark = fingerprint(data, settings | {"run": run, "member": member})
        network, epochs = _fit_member(
            clips,
            replace(config, members=1),
            list(_lessons(plan, data)),
            _Member(run, member, plan.seed, plan.decay),
            on_epoch=on_epoch,
            on_step=on_step,
            measure=measure,
            state=None if state is None else _Kept(state.with_name(f"{state.name}.{member}"), mark),
        )
        members.append(network)
        history += epochs
    network = side_by_side(members).eval()
    _set_projection(network, clips, np.flatnonzero(data.in_domain))
    return network.requires_grad_(False), history


@dataclass(frozen=True, slots=True)
class _Member:
    """Who learns, and how: the run and number of `TaggedEpoch`, seed and weight decay of the plan."""

    run: str
    number: int
    seed: int
    decay: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A state file and the mark of the training it is of."""

    path: Path
    mark: str


def _fit_member(
    clips: Clips,
    config: TaggedConfig,
    lessons: list[_Lesson],
    who: _Member,
    *,
    on_epoch: Watch,
    on_step: Step,
    measure: Measure | None,
    state: _Kept | None,
) -> tuple[TaggedNetwork, list[TaggedEpoch]]:
    """Train one member; see `fit`."""
    torch.manual_seed(_seed(np.random.default_rng([who.seed, who.number])))
    network = TaggedNetwork(config)
    saved = None if state is None else read(state.path, state.mark)
    history = [] if saved is None else [TaggedEpoch(**epoch) for epoch in saved.history]
    if saved is not None:
        network.load_state_dict(saved.network)
    for order, lesson in enumerate(lessons):
        optimiser = torch.optim.AdamW(network.parameters(), lr=lesson.stage.learning_rate, weight_decay=who.decay)
        average: dict[str, Tensor] = {}
        if saved is not None and history[-1].stage == lesson.name:
            optimiser.load_state_dict(saved.optimiser)
            average = saved.average
        done = sum(epoch.stage == lesson.name for epoch in history)
        for number in range(done + 1, lesson.stage.epochs + 1):
            rng = np.random.default_rng([who.seed, who.number, order, number])
            loss = _epoch(network, optimiser, clips, lesson, number, rng, on_step)
            if lesson.averaged:
                average = _averaged(average, network)
            measured = (None, None) if measure is None else measure(_with(network, average))
            history.append(
                TaggedEpoch(who.run, who.number, lesson.name, number, lesson.stage.epochs, loss, *measured)
            )
            if lesson.averaged and number == lesson.stage.epochs:
                network.load_state_dict(average)
            if state is not None:
                past = [asdict(epoch) for epoch in history]
                write(state.path, state.mark, State(network.state_dict(), optimiser.state_dict(), past, average))
            on_epoch(history[-1])
    return network, history


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def _averaged(average: dict[str, Tensor], network: TaggedNetwork) -> dict[str, Tensor]:
    """The running average after another epoch; counters, which have no mean, are the latest."""
    latest = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if not average:
        return latest
    return {
        name: torch.lerp(average[name], tensor, RENEWAL) if tensor.is_floating_point() else tensor
        for name, tensor in latest.items()
    }


def _with(network: TaggedNetwork, tensors: dict[str, Tensor]) -> TaggedNetwork:
    """A network in eval mode with other tensors, or itself if there are none."""
    if not tensors:
        return network.eval()
    other = TaggedNetwork(network.config)
    other.load_state_dict(tensors)
    return other.eval()


def _lessons(plan: TaggedPlan, data: Dataset) -> Iterator[_Lesson]:
    domain = np.where(data.in_domain, 1.0, 0.0)
    everything = np.where(data.in_domain, 1.0, plan.others)
    yield _Lesson("pretrain", plan.pretrain, everything / everything.sum())
    yield _Lesson("tune", plan.tune, domain / domain.sum())


def _epoch(
    network: TaggedNetwork,
    optimiser: torch.optim.Optimizer,
    clips: Clips,
    lesson: _Lesson,
    number: int,
    rng: np.random.Generator,
    on_step: Step,
) -> float:
    """One epoch of a stage; returns its mean loss."""
    torch.manual_seed(_seed(rng))
    network.train()
    batches = _batches(lesson.chances, lesson.stage, rng)
    total = 0.0
    for step, batch in enumerate(batches):
        share = step / len(batches)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(lesson.stage, (number - 1 + share) / lesson.stage.epochs)
        # Entered anew each step: within, the rounded weights are kept and would not follow the optimiser.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=best_dtype(capabilities()) is torch.bfloat16):
            loss = tagging_loss(network, clips.mixed(batch, rng))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += float(loss.detach())
        on_step(lesson.name, number, (step + 1) / len(batches))
    return total / len(batches)


def learning_rate(stage: Stage, done: float) -> float:
    """The rate after a share of a stage's steps, in [0, 1]: a linear rise, then half a cosine to 0."""
    if done < RISE:
        return stage.learning_rate * (0.04 + 0.96 * done / RISE)
    return stage.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (done - RISE) / (1.0 - RISE)))


def _batches(chances: npt.NDArray[np.float64], stage: Stage, rng: np.random.Generator) -> list[Indices]:
    """One epoch: as many draws as there are clips to draw; equal chances draw each clip once."""
    drawable = np.flatnonzero(chances)
    equal = bool((chances[drawable] == chances[drawable[0]]).all())
    drawn = rng.permutation(drawable) if equal else rng.choice(len(chances), len(drawable), p=chances)
    size = min(stage.batch_clips, len(drawn))
    return [drawn[start : start + size] for start in range(0, len(drawn) - size + 1, size)]


def _set_projection(network: TaggedNetwork, clips: Clips, domain: Indices) -> None:
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

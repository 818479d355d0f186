"""Training the tagged network (`hub.model.tagger`), in two stages.

1. `pretrain`: the tagger learns categories and finer labels from everything there is. Clips of the domain, that
   is, like those that will be searched, are drawn more often.
2. `tune`: the tagger goes on with the domain alone, so that what it expects is what it will meet. What counts is the
   running average of its weights after each epoch, which knows fewer clips by heart than the last ones.

Each member of the network goes through both for itself: what one learns by chance, from the order and the mixing of
its clips, the mean of several forgets. Both stages mix clips two by two (mixup). Matrices are multiplied in bfloat16
where the processor does so in hardware.

Source: the paper, section 5.3; Zhang et al. 2018 (mixup); Izmailov et al. 2018 (averaging weights);
Wortsman et al. 2022, Robust fine-tuning of zero-shot models (keeping a share of the start).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from hub.model.tagger import TaggingEnsemble
from hub.runtime.precision import best_dtype, cpu_capabilities
from hub.training.dataset import Dataset
from hub.training.mixup import MixupBatchSource, tagging_loss
from shared.errors import InvalidError

Indices = npt.NDArray[np.int64]

RISE: Final = 0.1
"""Share of a stage's steps in which the learning rate rises; then it falls as a cosine."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The length and the schedule of one stage of training.

    Attributes:
        epochs: passes; 0 leaves the stage out.
        batch_clips: clips per step, from 2.
        learning_rate: the highest, of AdamW.

    Raises:
        InvalidError: a value outside its range.
    """

    epochs: int
    batch_clips: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_clips < 2 or not 0.0 < self.learning_rate < 1.0:
            raise InvalidError("epochs start at 0, batches at 2 clips, learning rates lie in (0, 1)")


@dataclass(frozen=True, slots=True)
class TaggedPlan:
    """The plan for training a tagged network.

    Attributes:
        seed: fixes the initial weights, the draws and the dropout; from 0.
        pretrain: stage 1.
        tune: stage 2.
        others: how often a clip outside the domain is drawn in stage 1, as a share of one inside; in [0, 1].
        beside: the same in stage 2; what a network knows of them already is not forgotten over the domain.
        decay: weight decay of AdamW.
        kept: share of its start's weights in a network that starts from another, in [0, 1): what it knew and the new
            data does not show is forgotten less.

    Raises:
        InvalidError: a value outside its range.
    """

    seed: int = 0
    pretrain: Stage = Stage(5, 128, 1e-3)
    tune: Stage = Stage(10, 128, 7e-4)
    others: float = 0.3
    decay: float = 1e-4
    kept: float = 0.0
    beside: float = 0.0

    def __post_init__(self) -> None:
        if (
            self.seed < 0
            or not all(0.0 <= share <= 1.0 for share in (self.others, self.beside))
            or not 0.0 <= self.decay < 1.0
        ):
            raise InvalidError("seeds start at 0; the share of others lies in [0, 1], weight decay in [0, 1)")
        if not 0.0 <= self.kept < 1.0:
            raise InvalidError("the share of the start's weights that is kept lies in [0, 1)")


@dataclass(frozen=True, slots=True)
class TaggedEpoch:
    """The result of one epoch.

    Attributes:
        run: `validate` while a part is set aside, `final` on everything.
        member: number of the trained member, from 1.
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


Step = Callable[[str, int, float], None]
"""Called with (stage, epoch, share of the epoch done in [0, 1])."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A stage; chances float64 [n] are the probabilities of drawing each clip."""

    name: str
    stage: Stage
    chances: npt.NDArray[np.float64]

    @property
    def averaged(self) -> bool:
        """Return whether the average over the epochs is what counts."""
        return self.name == "tune"


def training_steps(plan: TaggedPlan, data: Dataset) -> Iterator[TrainingStep]:
    """Return the stages of a plan, in order."""
    for name, stage, others in (("pretrain", plan.pretrain, plan.others), ("tune", plan.tune, plan.beside)):
        chances = np.where(data.in_domain, 1.0, others)
        yield TrainingStep(name, stage, chances / chances.sum())


def train_stage(
    network: TaggingEnsemble,
    optimiser: torch.optim.Optimizer,
    clips: MixupBatchSource,
    lesson: TrainingStep,
    number: int,
    rng: np.random.Generator,
    on_step: Step,
) -> float:
    """One epoch of a stage.

    Args:
        network: what learns.
        optimiser: of its parameters.
        clips: what to learn.
        lesson: the stage.
        number: of the epoch, from 1.
        rng: source of all randomness of this epoch.
        on_step: called after each step.

    Returns:
        The mean loss, in nats.
    """
    torch.manual_seed(seed_of(rng))
    network.train()
    batches = _batches(lesson.chances, lesson.stage, rng)
    total = 0.0
    for step, batch in enumerate(batches):
        share = step / len(batches)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(lesson.stage, (number - 1 + share) / lesson.stage.epochs)
        # Entered again each step: within, the rounded weights are kept and would not follow the optimiser.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=best_dtype(cpu_capabilities()) is torch.bfloat16):
            loss = tagging_loss(network, clips.mixed(batch, rng))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += float(loss.detach())
        on_step(lesson.name, number, (step + 1) / len(batches))
    return total / len(batches)


def learning_rate(stage: Stage, done: float) -> float:
    """Return the rate after a share of a stage's steps, in [0, 1]: a linear rise, then half a cosine to 0."""
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


def seed_of(rng: np.random.Generator) -> int:
    """Return a seed for torch, drawn from numpy's randomness."""
    return int(rng.integers(2**63))

"""Training: find the number of epochs on a validation part, then train again on everything.

1. Set 10 % of the clips aside, without dividing a sensor or fold.
2. Train on the rest; after each epoch, the loss on pairs of the part set aside, and how well its clips retrieve.
3. Train a new network on everything for the number of epochs with the lowest validation loss.

Each epoch begins with a seed of its own, so that a training that was interrupted goes on as if it had not been.

Source: the paper, section 5.3.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hub.model.checkpoint import Checkpoint
from hub.model.siamese import NetworkConfig, SiameseNetwork
from hub.training.dataset import Dataset, split_by_group
from hub.training.losses import pair_loss
from hub.training.pair_sampling import PARTNERS, Pairs, batched, draw_pairs, draw_pooled
from hub.training.resume_state import ResumeState, fingerprint, read, write
from hub.training.validation import RetrievalValidation
from shared.errors import InvalidError


@dataclass(frozen=True, slots=True)
class FreshPairs:
    """Pairs drawn again for each epoch, within pools of clips.

    Attributes:
        pool_clips: clips among which an epoch pairs each clip. Fewer compute fewer towers a batch; more are
            nearer to drawing among all.
        pairs_per_clip: most pairs kept per clip and epoch, of those drawn. More than a few a time teach the
            clips by heart before the categories.

    Raises:
        InvalidError: a value outside its range.
    """

    pool_clips: int = 256
    pairs_per_clip: int = 4

    def __post_init__(self) -> None:
        if self.pool_clips < 2 or self.pairs_per_clip < 1:
            raise InvalidError("pools start at 2 clips, pairs per clip at 1")


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The plan of a training.

    Attributes:
        seed: fixes the initial weights, the split, the pairs and the dropout; from 0.
        epochs: most epochs tried.
        batch_pairs: pairs per step. The paper has 128; larger is faster on a CPU.
        learning_rate: of RMSProp.
        partners: each target's partners in the same situation, and as many in the opposite one, per category.
        fresh: how pairs are drawn again for each epoch; None draws them once among all clips, as the paper.
        level_shift: each time a clip is used, all its bytes move by at most this many steps (log-mel: half
            a dB each), so that the network does not learn a recording's gain. 0 for VGGish.
        validation: share of the clips that chooses the number of epochs; 0 trains `epochs` on everything.

    Raises:
        InvalidError: a value outside its range.

    Source: the paper, sections 4.2 and 5.3 (RMSProp, 1e-3, batches of 128, 10 % validation).
    """

    seed: int = 0
    epochs: int = 20
    batch_pairs: int = 128
    learning_rate: float = 1e-3
    partners: int = 1
    fresh: FreshPairs | None = FreshPairs()
    level_shift: int = 0
    validation: float = 0.1

    def __post_init__(self) -> None:
        if self.seed < 0 or min(self.epochs, self.partners, self.batch_pairs - 1) < 1:
            raise InvalidError("seeds start at 0, epochs and partners at 1, batches at 2")
        if not (0.0 < self.learning_rate < 1.0 and 0.0 <= self.validation < 1.0 and self.level_shift >= 0):
            raise InvalidError(
                "the learning rate lies in (0, 1), the validation share in [0, 1); level shift starts at 0"
            )


PAPER_PLAN: Final = TrainingPlan(partners=PARTNERS, fresh=None)
"""The paper's own: 30 + 30 partners drawn once, batches of 128. Source: the paper, sections 4.2 and 5.3."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The result of one epoch.

    Attributes:
        stage: `validate` while the number of epochs is sought, `final` on everything.
        number: from 1.
        of: epochs of this stage.
        pairs: pairs trained on.
        loss: mean cross-entropy per category, in nats.
        validation_loss: the same on pairs of the part set aside; None in the final stage, as the next two.
        map_8: mAP_8@10 of clips set aside among the others, on samples of both; comparable within a training.
        map_7: mAP_7@10, likewise.
    """

    stage: str
    number: int
    of: int
    pairs: int
    loss: float
    validation_loss: float | None
    map_8: float | None
    map_7: float | None


Watch = Callable[[Epoch], None]
Step = Callable[[str, int, float], None]
"""Called with (stage, epoch, share of the epoch done in [0, 1])."""


def train(
    data: Dataset,
    config: NetworkConfig,
    plan: TrainingPlan,
    *,
    on_epoch: Watch,
    on_step: Step,
    state: Path | None = None,
) -> Checkpoint:
    """Train a network; the same arguments give the same network on the same machine with one torch thread.

    Args:
        data: everything to learn from.
        config: the network's shape.
        plan: how to train.
        on_epoch: called after each epoch.
        on_step: called after each batch.
        state: file that is replaced after each epoch, before `on_epoch`. If it is there already, training goes
            on from it. It stays, for the caller to remove once the network is safe.

    Returns:
        The trained network and, as its record, the plan and the history of losses.

    Raises:
        InvalidError: too few clips to split, a network of another feature space, or a state of another training.
        UnavailableError: the state cannot be read or written.
    """
    parts = {"final": data}
    if plan.validation:
        rest, aside = split_by_group(data, plan.validation, np.random.default_rng(plan.seed))
        validation = Validation(rest, aside, plan)
        parts = {"validate": rest, "final": data}
    run = fingerprint(data, {"network": asdict(config), "plan": asdict(plan)})
    network, optimiser = _untrained(config, plan)
    history: list[Epoch] = []
    if state is not None and (saved := read(state, run)) is not None:
        network.load_state_dict(saved.network)
        optimiser.load_state_dict(saved.optimiser)
        history = [Epoch(**epoch) for epoch in saved.history]
    for stage, part in parts.items():
        epochs = plan.epochs if stage == "validate" else _best(history, plan)
        done = sum(epoch.stage == stage for epoch in history)
        if not done:
            network, optimiser = _untrained(config, plan)
        fixed = [] if plan.fresh else _drawn(part, plan, _generator(plan, stage, 0))
        for number in range(done + 1, epochs + 1):
            rng = _generator(plan, stage, number)
            torch.manual_seed(int(rng.integers(2**63)))
            drawn = _drawn(part, plan, rng) if plan.fresh else [rng.permutation(pairs) for pairs in fixed]
            batches = [batch for pairs in drawn for batch in batched(pairs, plan.batch_pairs)]
            shifts, on_share = partial(_shifts, part, plan, rng), partial(on_step, stage, number)
            loss = train_epoch(network, optimiser, part, batches, shifts=shifts, on_share=on_share)
            measured = validation.measure(network) if stage == "validate" else (None, None, None)
            history.append(Epoch(stage, number, epochs, sum(map(len, batches)), loss, *measured))
            if state is not None:
                past = [asdict(epoch) for epoch in history]
                write(state, run, ResumeState(network.state_dict(), optimiser.state_dict(), past))
            on_epoch(history[-1])
    record: dict[str, Any] = {
        "plan": asdict(plan),
        "clips": len(data),
        "positives": data.labels.sum(axis=0).tolist(),
        "epochs_chosen": _best(history, plan),
        "history": [asdict(epoch) for epoch in history],
    }
    return Checkpoint(network=network.eval().requires_grad_(False), space=data.space, record=record)


def _untrained(config: NetworkConfig, plan: TrainingPlan) -> tuple[SiameseNetwork, torch.optim.Optimizer]:
    torch.manual_seed(plan.seed)
    network = SiameseNetwork(config)
    return network, torch.optim.RMSprop(network.parameters(), lr=plan.learning_rate)


def _best(history: list[Epoch], plan: TrainingPlan) -> int:
    """Return the number of the epoch with the lowest validation loss; without validation, of the last."""
    losses = [epoch.validation_loss for epoch in history if epoch.validation_loss is not None]
    return 1 + int(np.argmin(losses)) if losses else plan.epochs


def _generator(plan: TrainingPlan, stage: str, number: int) -> np.random.Generator:
    """Return the randomness of one epoch, from 1; 0 is what precedes the first."""
    return np.random.default_rng([plan.seed, 1 if stage == "validate" else 2, number])


def _drawn(data: Dataset, plan: TrainingPlan, rng: np.random.Generator) -> list[Pairs]:
    """Pairs in a random order, by pool; without pools in one piece."""
    if plan.fresh is None:
        return [draw_pairs(data.labels, rng, plan.partners)]
    return draw_pooled(data.labels, rng, partners=plan.partners, **asdict(plan.fresh))


def train_epoch(
    network: SiameseNetwork,
    optimiser: torch.optim.Optimizer,
    data: Dataset,
    batches: list[Pairs],
    *,
    shifts: Callable[[], Tensor | None] = lambda: None,
    on_share: Callable[[float], None] = lambda _share: None,
) -> float:
    """One epoch.

    Sub-models share no parameters and RMSProp treats each parameter by itself, so that minimising the sum of
    their losses trains each of them as if it were alone.

    Args:
        network: what learns.
        optimiser: of its parameters.
        data: the clips.
        batches: pairs of each step.
        shifts: gives each step's `shifts` of `pair_loss`.
        on_share: called after each step with the share of steps done.

    Returns:
        The mean loss of the pairs, as of `pair_loss`.
    """
    network.train()
    losses = []
    for done, batch in enumerate(batches, 1):
        loss = pair_loss(network, data, batch, shifts())
        optimiser.zero_grad()
        (loss * network.config.models).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
        on_share(done / len(batches))
    return _mean(losses, batches)


def _mean(losses: list[float], batches: list[Pairs]) -> float:
    return float(np.average(losses, weights=[len(batch) for batch in batches])) if batches else 0.0


def _shifts(data: Dataset, plan: TrainingPlan, rng: np.random.Generator) -> Tensor | None:
    """Return a random level shift per clip of the data set, in the feature space's units: float32 [n, 1, 1]."""
    if plan.level_shift == 0:
        return None
    step = (data.space.high - data.space.low) / 255.0
    drawn = rng.uniform(-plan.level_shift, plan.level_shift, (len(data), 1, 1)) * step
    return torch.from_numpy(drawn.astype(np.float32))


class Validation:
    """The part set aside: pairs for the loss, and queries for retrieval, the same after each epoch."""

    def __init__(self, rest: Dataset, aside: Dataset, plan: TrainingPlan) -> None:
        rng = np.random.default_rng([plan.seed, 0])
        self._aside = aside
        drawn = _drawn(aside, plan, rng)
        self._batches = [batch for pairs in drawn for batch in batched(pairs, plan.batch_pairs)]
        if not self._batches:
            raise InvalidError(f"the {len(aside)} clips set aside make no pairs to validate with")
        self._sample = RetrievalValidation(rest, aside, rng)

    def measure(self, network: SiameseNetwork) -> tuple[float, float, float]:
        """Mean loss, mAP_8@10 and mAP_7@10."""
        network.eval()
        with torch.inference_mode():
            losses = [float(pair_loss(network, self._aside, batch)) for batch in self._batches]
        return _mean(losses, self._batches), *self._sample.quality(network)

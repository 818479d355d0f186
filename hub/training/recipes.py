"""Steps of the `train` command, without the command line: data, network, plan, quality.

A recipe fixes, per feature space, the network's shape and how it is trained; the command adds data and seed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hub.domain.presence_matrix import BOTH
from hub.model.checkpoint import Checkpoint, baseline_checkpoint, load
from hub.model.siamese import NetworkConfig
from hub.model.tagger import TaggedConfig, TaggingEnsemble
from hub.search.scoring.scorer import Scorer
from hub.training import network_names
from hub.training.auxiliary_data import quiet
from hub.training.calibration import PLAIN, RankingChoice, calibrate, score_all
from hub.training.dataset import Dataset, joined, with_domain, without
from hub.training.datasets import DatasetReader
from hub.training.datasets.synthetic import synthesise
from hub.training.datasets.verdicts import load_feedback
from hub.training.paper.variants import variant
from hub.training.ranking_metrics import auc
from hub.training.soft_labels import with_finer
from hub.training.tagger_schedule import Stage, TaggedEpoch, TaggedPlan
from hub.training.train_siamese import Epoch, TrainingPlan, train
from hub.training.train_tagger import train_tagged
from shared.errors import InvalidError
from shared.feature_space import EARWITNESS_SMALL, LOGMEL, VGGISH, FeatureSpace
from shared.taxonomy import CATEGORIES

TAGGED: Final = network_names.TAGGED
TAGS_ONLY: Final = network_names.TAGS_ONLY
DEFAULT_METHOD: Final = {LOGMEL.id: "paper"}
"""Network that `train` trains if none is named; on other feature spaces the tagged one."""
PROFILE: Final = 120
"""Values of a profile: what a tower's last row of 128 has left beside the eight tags."""

MEMBERS: Final = 3
"""Taggers side by side. Their mean ranks better than each, and costs a clip's tower, not a pair."""

PLANS: Final = {
    LOGMEL.id: TrainingPlan(epochs=60, batch_pairs=1024, level_shift=20),
}
PLAN: Final = TrainingPlan(epochs=28, batch_pairs=1024)
"""Plan of the paper's networks on feature spaces that `PLANS` does not name."""
TAGGED_PLAN: Final = TaggedPlan(pretrain=Stage(10, 64, 1e-3), tune=Stage(40, 32, 1e-3), others=0.1, decay=1e-2)
"""For the hundreds of recordings that a network of sensors has labels of."""
STARTED_PLAN: Final = replace(
    TAGGED_PLAN, pretrain=Stage(0, 64, 1e-3), tune=Stage(60, 32, 1e-3), kept=0.15, beside=1.0
)
"""For a network that starts from another's weights: it knows sounds already, and has to learn where it is."""
VERSIONS_PLAN: Final = replace(STARTED_PLAN, tune=Stage(120, 32, 1e-3))
"""The same for recordings with versions, which are seen themselves half of the time."""
STARTED_CHOICE: Final = RankingChoice(0.5, 0.25)
"""Its shift and weight where too few recordings are set aside to choose them."""
TAGGED_TRUNK: Final = (256,)
TAGGED_DROPOUT: Final = 0.3
VGGISH_PLAN: Final = TaggedPlan()
"""Also of the tagger alone: on clips set aside it was better for it than 45 epochs of the domain alone."""
DROPOUT: Final = {LOGMEL.id: 0.25}
USUAL_DROPOUT: Final = 0.5

FEEDBACK_TIMES: Final = 5
"""Repetitions of each clip with a verdict of people: it is of the very place the network will serve."""

HELD_OUT: Final = ("sensor-2", "sensor-23", "sensor-35", "fold-5")
"""Sensors and fold that never train a shipped checkpoint, so that its card can state its quality on them."""

FEWEST_HELD: Final = 20
"""Clips held out that a calibration can be measured on."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of training data.

    Attributes:
        folders: data sets, each of a kind that `hub.training.datasets` knows.
        scenes: number of synthetic scenes.
        feedback: file of verdicts.
    """

    folders: tuple[Path, ...] = ()
    scenes: int = 0
    feedback: Path | None = None


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """The network to train, and its data.

    Attributes:
        method: one of `METHODS`.
        seed: fixes all randomness.
        epochs: most epochs (of each stage); None: the recipe's.
        batch_pairs: pairs per step of the paper's networks; None: the recipe's.
        validation: False trains the paper's networks for exactly `epochs`, on everything.
        start: where the tagged network starts; None: from chance.
        like: take shift, weight and calibration of a tagged network from this checkpoint, of another seed.
        state: where an interrupted training keeps what is done.

    Raises:
        InvalidError: no such method.
    """

    method: str
    seed: int = 0
    epochs: int | None = None
    batch_pairs: int | None = None
    validation: bool = True
    like: Checkpoint | None = None
    start: Checkpoint | None = None
    state: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in network_names.METHODS:
            raise InvalidError(f"unknown network {self.method!r}; one of {', '.join(network_names.METHODS)}")


def load_data(
    sources: Sources, reader: DatasetReader, held_out: Iterable[str], seed: int, *, started: bool = False
) -> tuple[Dataset, Dataset]:
    """Read all data of a feature space.

    Args:
        sources: where from.
        reader: reads the folders.
        held_out: groups to hold out; those of which there is no clip are ignored.
        seed: of the synthetic scenes.
        started: add what a network that starts from another learns beside recordings, if its space has that.

    Returns:
        What to learn, and the clips held out (none: an empty data set).

    Raises:
        InvalidError: no data, embeddings of another space, or data that is damaged.
        UnavailableError: a file, or VGGish's weights, cannot be opened.
    """
    parts = [reader.training_set(folder) for folder in sources.folders]
    if started:
        parts += quiet(reader)
    if sources.scenes:
        parts.append(synthesise(sources.scenes, seed, reader.feature_cache().extractor, reader.tick))
    if sources.feedback is not None:
        parts.append(load_feedback(sources.feedback, reader.space, FEEDBACK_TIMES))
    data = joined(parts)
    return without(data, set(held_out) & set(data.groups.tolist()))


def run_training(
    data: Dataset,
    aside: Dataset,
    order: TrainingSpec,
    *,
    on_epoch: Callable[[Epoch | TaggedEpoch], None],
    on_step: Callable[[str, int, float], None],
) -> Checkpoint:
    """Train the network that was ordered.

    Args:
        data: what to learn.
        aside: clips held out; the paper's networks are calibrated on them if they are enough.
        order: what to train.
        on_epoch: called after each epoch.
        on_step: called after each step.

    Raises:
        InvalidError: too few clips, or a value outside its range.
        UnavailableError: the state cannot be read or written.
    """
    space = data.space
    if order.method in {TAGGED, TAGS_ONLY}:
        start = _start(order, space)
        if start is not None:
            data = with_finer(data, start)
        known = 0 if data.fine is None or order.method == TAGS_ONLY else data.fine.shape[1]
        config = TaggedConfig(
            space.frames,
            space.dimension,
            fine=known,
            profile=min(PROFILE, known),
            members=1 if order.method == TAGS_ONLY else MEMBERS,
            context=order.method != TAGS_ONLY,
        )
        tagged_plan = VGGISH_PLAN
        if space.id != VGGISH.id:
            config = replace(config, trunk=TAGGED_TRUNK, dropout=TAGGED_DROPOUT)
            tagged_plan = TAGGED_PLAN
            if order.start is not None:
                tagged_plan = STARTED_PLAN if data.versions is None else VERSIONS_PLAN
            data = with_domain(data)
        tagged_plan = _shortened(replace(tagged_plan, seed=order.seed), order.epochs)
        return train_tagged(
            data,
            config,
            tagged_plan,
            like=order.like,
            start=start,
            known=PLAIN if order.start is None or config.profile == 0 else STARTED_CHOICE,
            state=order.state,
            on_epoch=on_epoch,
            on_step=on_step,
        )
    plan = PLANS.get(space.id, PLAN)
    plan = replace(
        plan,
        seed=order.seed,
        epochs=order.epochs or plan.epochs,
        batch_pairs=order.batch_pairs or plan.batch_pairs,
        validation=plan.validation if order.validation else 0.0,
    )
    dropout = DROPOUT.get(space.id, USUAL_DROPOUT)
    network: NetworkConfig = replace(variant(order.method, space.id).network, dropout=dropout)
    in_domain = data.take(data.in_domain)
    trained = train(in_domain, network, plan, state=order.state, on_epoch=on_epoch, on_step=on_step)
    if len(aside) < FEWEST_HELD:
        return trained
    return replace(trained, calibration=calibrate(score_all(trained, aside, in_domain), 0.0))


def default_initialisation(space_id: str, method: str) -> Checkpoint | None:
    """Return the checkpoint from which training starts by default: one trained on sounds, not on a street."""
    return (
        load(baseline_checkpoint(space_id, "start")) if (space_id, method) == (EARWITNESS_SMALL.id, TAGGED) else None
    )


def _start(order: TrainingSpec, space: FeatureSpace) -> TaggingEnsemble | None:
    if order.start is None:
        return None
    if order.start.space != space or not isinstance(order.start.network, TaggingEnsemble):
        raise InvalidError(f"training on {space.id} cannot start from a checkpoint of {order.start.space.id}")
    return order.start.network


def _shortened(plan: TaggedPlan, epochs: int | None) -> TaggedPlan:
    def less(stage: Stage) -> Stage:
        return stage if epochs is None else replace(stage, epochs=min(stage.epochs, epochs))

    return replace(plan, pretrain=less(plan.pretrain), tune=less(plan.tune))


def presence_quality(checkpoint: Checkpoint, data: Dataset) -> dict[str, float]:
    """Compute how well a checkpoint tags the categories of a clip: AUC per category.

    Categories that all clips or none contain are left out; `pairs` is the AUC of P(both) over all
    categories of random pairs of different clips, against what they truly share.
    """
    if len(data) < 2:
        return {}
    scorer = Scorer(checkpoint)
    towers = scorer.embed(data.features)
    present = scorer.presence(towers)
    quality = {
        name: auc(present[:, c], data.labels[:, c] == 1)
        for c, name in enumerate(CATEGORIES)
        if 0 < int(data.labels[:, c].sum()) < len(data)
    }
    queries = range(0, len(data), max(1, len(data) // 40))
    shared = [np.delete(data.labels & data.labels[q], q, axis=0) for q in queries]
    both = [np.delete(scorer.score(towers[q], towers)[:, :, BOTH], q, axis=0) for q in queries]
    quality["pairs"] = auc(np.concatenate(both).ravel(), np.concatenate(shared).ravel() == 1)
    return {name: round(value, 3) for name, value in quality.items()}


def record_metadata(checkpoint: Checkpoint, sources: Sources, aside: Dataset) -> dict[str, Any]:
    """Return the data entries of a checkpoint's record: sources, and quality per held-out group."""
    groups = sorted(set(aside.groups.tolist()))
    quality = {group: presence_quality(checkpoint, aside.take(aside.groups == group)) for group in groups}
    return {
        "data": {
            "folders": [folder.name for folder in sources.folders],
            "scenes": sources.scenes,
            **({} if sources.feedback is None else {"feedback": sources.feedback.name}),
        },
        "held_out": groups,
        "held_out_auc": quality,
    }


def format_epoch(epoch: Epoch | TaggedEpoch) -> str:
    """One epoch in a line."""
    run = f"{epoch.run} member {epoch.member} " if isinstance(epoch, TaggedEpoch) else ""
    text = f"{run}{epoch.stage} {epoch.number}/{epoch.of}: loss {epoch.loss:.4f}"
    if isinstance(epoch, Epoch) and epoch.validation_loss is not None:
        text += f", validation {epoch.validation_loss:.4f}"
    if epoch.map_8 is not None and epoch.map_7 is not None:
        text += f", mAP_8@10 {epoch.map_8:.3f}, mAP_7@10 {epoch.map_7:.3f}"
    return text

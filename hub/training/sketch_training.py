"""Training of a Siamese checkpoint's sketch: vectors whose inner product imitates the pair score.

1. Some clips are set aside. The others, half as they are and half recombined, are queries and events.
2. In blocks of their own clips, the checkpoint scores all queries against all events once. They are the target.
3. A step takes some queries and some events. Only the top of a ranking matters to a search: the loss is the
   cross-entropy of two softmaxes over events, one of the ranks at a low temperature, one of the inner products.
4. Recombinations of the clips set aside show how many candidates the sketch needs.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from hub.model.checkpoint import Checkpoint
from hub.model.sketch import SketchConfig, SketchNetwork
from hub.search.backend import IndexEntry, Query
from hub.search.candidates import DEPTH
from hub.search.memory.index import MemoryIndex
from hub.search.scoring.scorer import Scorer
from hub.training.tagger_schedule import Stage, learning_rate
from shared.errors import InvalidError
from shared.feature_space import Features
from shared.synthetic_features import splice_clips
from shared.taxonomy import COUNT

CANDIDATES: Final = (100, 300, 1_000, 3_000)
_STEEP: Final = 20.0
"""Factor of the inner products in their softmax. Only their order matters; a steep start trains faster."""
_ASKED: Final = 200
_ARCHIVE: Final = 30_000
_Block = tuple[Tensor, Tensor, Tensor]
"""Towers of queries [q, S, W] and of events [n, S, W], and their ranks [q, n]; float16."""


@dataclass(frozen=True, slots=True)
class SketchPlan:
    """Hyperparameters of a sketch.

    Attributes:
        seed: fixes all randomness.
        values: values of a sketch.
        each: width of the layer that each step passes.
        hidden: width of the layer that sees all steps.
        blocks: sets of queries and events; many different clips matter more than many pairs.
        queries: clips of a block scored as queries.
        events: clips of a block they are scored against.
        steps: of the optimiser.
        step_queries: queries in a step.
        step_events: events in a step.
        rate: highest learning rate of AdamW.
        temperature: of the softmax of ranks, in categories of 8.
        aside: share of the clips set aside to measure with.

    Raises:
        InvalidError: a value outside its range.
    """

    seed: int = 0
    values: int = 64
    each: int = 64
    hidden: int = 512
    blocks: int = 24
    queries: int = 800
    events: int = 2_500
    steps: int = 5_000
    step_queries: int = 400
    step_events: int = 1_500
    rate: float = 1e-3
    temperature: float = 0.02
    aside: float = 0.1

    def __post_init__(self) -> None:
        counts = (self.blocks, self.queries, self.events, self.steps, self.step_queries, self.step_events)
        if self.seed < 0 or min(counts) < 1 or not 0.0 < self.rate < 1.0 or self.temperature <= 0.0:
            raise InvalidError("seeds start at 0, counts at 1; rates lie in (0, 1), temperatures above 0")
        if not 0.0 < self.aside < 1.0:
            raise InvalidError("the share set aside lies in (0, 1)")


ProgressFn = Callable[[str, float], None]
"""Called with (current step, share of it done in [0, 1])."""


def train_sketch(
    checkpoint: Checkpoint, features: Features, plan: SketchPlan | None = None, progress: ProgressFn = lambda *_: None
) -> Checkpoint:
    """Return the checkpoint with a sketch, and in its record how many candidates it needs.

    Args:
        checkpoint: of a Siamese network; a sketch that it has is replaced.
        features: uint8 [n, frames, dimension] of clips like those that will be searched.
        plan: how.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        InvalidError: fewer than 20 clips.
    """
    plan = plan or SketchPlan()
    if len(features) < 2 * DEPTH:
        raise InvalidError(f"{len(features)} clips are too few to teach a sketch: give at least {2 * DEPTH}")
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    order = rng.permutation(len(features))
    held = max(DEPTH, round(plan.aside * len(features)))
    aside, known = features[order[:held]], features[order[held:]]
    bare = replace(checkpoint, identity=None)  # a sketch imitates the rank by kind
    scorer = Scorer(bare)
    blocks = []
    for number in range(plan.blocks):
        blocks.append(_block(scorer, known, plan, rng))
        progress("scoring", (number + 1) / plan.blocks)
    network = _train(plan, checkpoint, blocks, progress)
    trained = replace(checkpoint, sketch=network.requires_grad_(False).eval())
    measured = _measured(Scorer(replace(trained, identity=None)), aside, rng, progress)
    record = {**checkpoint.record, "sketch": {"plan": asdict(plan), "clips": len(features), "recall": measured}}
    return replace(trained, record=record)


def _clips(features: Features, count: int, rng: np.random.Generator) -> Features:
    """Half real clips, as far as there are, and recombined ones."""
    real = features[rng.permutation(len(features))[: count // 2]]
    return np.concatenate([real, splice_clips(features, count - len(real), rng)])


def _block(scorer: Scorer, known: Features, plan: SketchPlan, rng: np.random.Generator) -> _Block:
    queries = scorer.embed(_clips(known, plan.queries, rng))
    events = scorer.embed(_clips(known, plan.events, rng))
    half = scorer.precompute(events)
    wanted = np.stack([scorer.ranks(query, half) for query in queries])
    return (torch.from_numpy(queries).half(), torch.from_numpy(events).half(), torch.from_numpy(wanted).half())


def _train(plan: SketchPlan, checkpoint: Checkpoint, blocks: list[_Block], progress: ProgressFn) -> SketchNetwork:
    shape = checkpoint.network.config
    network = SketchNetwork(SketchConfig(shape.steps, shape.width, plan.each, plan.hidden, plan.values))
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-3)
    stage = Stage(1, 2, plan.rate)
    network.train()
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(stage, step / plan.steps)
        queries, events, wanted = blocks[step % len(blocks)]
        some = torch.randperm(len(queries))[: plan.step_queries]
        many = torch.randperm(len(events))[: plan.step_events]
        made = network.of_queries(queries[some].float()) @ network.of_events(events[many].float()).t()
        target = (wanted[some][:, many].float() / plan.temperature).softmax(dim=1)
        loss = nn.functional.cross_entropy(_STEEP * made, target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress("training", (step + 1) / plan.steps)
    return network.eval()


def _measured(scorer: Scorer, aside: Features, rng: np.random.Generator, progress: ProgressFn) -> dict[str, float]:
    """Recall of the exact ten best among the first candidates of the sketch, by number of candidates."""
    index = MemoryIndex(scorer)
    features = splice_clips(aside, min(_ARCHIVE, 100 * len(aside)), rng)
    index.add([IndexEntry(str(n), "", n, 0.0, (0.0,) * COUNT) for n in range(len(features))], scorer.embed(features))
    queries = [Query(towers, DEPTH) for towers in scorer.embed(aside[:_ASKED])]
    progress("measuring", 0.0)
    positions = [found for found, _ in index.view().measured(scorer, queries)]
    progress("measuring", 1.0)
    return {str(n): round(float(np.mean([(p < n).mean() for p in positions])), 4) for n in CANDIDATES}

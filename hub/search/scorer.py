"""Exact pair scoring, fast: towers once per event, batch normalisation folded, events in blocks.

An event is kept as its tower output; of a network without towers, as its standardised features. Scoring a query
against n events costs one small matrix product per event for its half of the first pair layer, then the rest of
the pair network (1.4 MFLOP an event for the paper's, eight times that for the multi-model). A tagged network has no
pair layers: of an event it keeps tags and profile, and a pair costs next to nothing.
numpy in and out; torch is inside.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hub.model.checkpoint import Checkpoint
from hub.model.network import Blocks, Layer, SiameseNetwork, StepNorm, blockwise
from hub.model.presence import BOTH, SITUATIONS, level_of_similarity
from hub.model.tagged import TaggedNetwork, implied
from shared.errors import Invalid
from shared.space import Features, FeatureSpace
from shared.taxonomy import COUNT

Towers = npt.NDArray[np.float32] | npt.NDArray[np.float16]
"""Tower outputs, float32 or float16 [n, steps, width]; float16 halves an index's memory."""
Probabilities = npt.NDArray[np.float32]

BLOCK: Final = 256
"""Events scored at once: keeps the working set (10 MB for ten steps) near the processor's caches."""


class Scorer:
    """Scores queries against events with one checkpoint.

    Args:
        checkpoint: what to score with.
        block: most events held in work at once, from 1.

    Raises:
        Invalid: a block below 1.
    """

    def __init__(self, checkpoint: Checkpoint, block: int = BLOCK) -> None:
        if block < 1:
            raise Invalid(f"block {block} must be at least 1")
        self._block = block
        self._space = checkpoint.space
        self._network = checkpoint.network.eval()
        self._tagged = self._network if isinstance(self._network, TaggedNetwork) else None
        self._pairs = _implied if isinstance(self._network, TaggedNetwork) else _Pairs(self._network)

    @property
    def space(self) -> FeatureSpace:
        """The feature space whose features `embed` takes."""
        return self._space

    @property
    def tower_shape(self) -> tuple[int, int]:
        """Shape of one event's tower output: (steps, width)."""
        config = self._network.config
        return (config.steps, config.width)

    def embed(self, features: Features) -> npt.NDArray[np.float32]:
        """Compute what the index keeps of each event.

        Args:
            features: uint8 [n, frames, dimension] of this feature space; n may be 0.

        Returns:
            float32 [n, steps, width].

        Raises:
            Invalid: another shape or dtype.
        """
        if features.dtype != np.uint8 or features.shape[1:] != self._space.shape:
            raise Invalid(
                f"{self._space.id} wants uint8 [n, {self._space.frames}, {self._space.dimension}],"
                f" got {features.dtype} {list(features.shape)}"
            )
        towers = np.empty((len(features), *self.tower_shape), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(features), self._block):
                part = self._space.dequantise(features[start : start + self._block])
                towers[start : start + self._block] = self._network.tower(torch.from_numpy(part)).numpy()
        return towers

    def score(self, query: Towers, events: Towers) -> Probabilities:
        """Presence matrices of one query paired with each event, exactly as the network gives them.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, 8, 3]; every row sums to 1.

        Raises:
            Invalid: another shape.
        """
        self._check(query[None], "query")
        self._check(events, "events")
        return self._in_blocks(query, events)

    def rank(self, query: Towers, events: Towers, matrices: Probabilities) -> npt.NDArray[np.float32]:
        """What events are ranked by: the level of similarity, and of a tagged network its affinity too.

        Args:
            query: float [steps, width] from `embed`.
            events: float [n, steps, width] from `embed`.
            matrices: float32 [n, 8, 3], their `score`.

        Returns:
            float32 [n], the higher the more similar.
        """
        levels = level_of_similarity(matrices)
        if self._tagged is None:
            return levels
        affinity = self.affinities(query[None], events)[0]
        return np.asarray(levels + np.float32(self._tagged.weight) * affinity, dtype=np.float32)

    def affinities(self, queries: Towers, events: Towers) -> npt.NDArray[np.float32]:
        """Affinity of each query and event, as of `TaggedNetwork.affinity`; 0 of other networks.

        Args:
            queries: float [q, steps, width] from `embed`.
            events: float [n, steps, width] from `embed`.

        Returns:
            float32 [q, n], in [0, 1].
        """
        if self._tagged is None:
            return np.zeros((len(queries), len(events)), dtype=np.float32)
        own, theirs = (towers[:, 0, COUNT:].astype(np.float32) for towers in (queries, events))
        return np.asarray(np.square(np.clip(own @ theirs.T, 0.0, 1.0)), dtype=np.float32)

    def presence(self, towers: Towers) -> npt.NDArray[np.float32]:
        """Probability that each event contains each category.

        A tagged network tags each clip (its shift, which serves comparing, is taken back); of another network it is
        P(both) of the event paired with itself.

        Args:
            towers: float [n, steps, width] from `embed`; n may be 0.

        Returns:
            float32 [n, 8], in [0, 1].

        Raises:
            Invalid: another shape.
        """
        self._check(towers, "events")
        if self._tagged is not None:
            shifted = torch.from_numpy(towers[:, 0, :COUNT].astype(np.float32))
            return torch.sigmoid(torch.logit(shifted) - self._tagged.shift).numpy()
        return self._in_blocks(None, towers)[:, :, BOTH]

    def _check(self, towers: Towers, what: str) -> None:
        if towers.ndim != 3 or towers.shape[1:] != self.tower_shape:
            raise Invalid(f"{what} want towers of {list(self.tower_shape)} each, got {list(towers.shape)}")

    def _in_blocks(self, query: Towers | None, events: Towers) -> Probabilities:
        """Score blocks against one query, or each event against itself."""
        out = np.empty((len(events), COUNT, SITUATIONS), dtype=np.float32)
        with torch.inference_mode():
            one = None if query is None else torch.from_numpy(query.astype(np.float32)[None])
            for start in range(0, len(events), self._block):
                block = torch.from_numpy(events[start : start + self._block].astype(np.float32, copy=False))
                out[start : start + self._block] = self._pairs(one, block).numpy()
        return out


def _implied(query: Tensor | None, events: Tensor) -> Tensor:
    """Presence matrices float32 [B, 8, 3] from the tags of a query [1, 1, W], or None for each event with itself."""
    tags = events[:, 0, :COUNT]
    return implied(tags if query is None else query[:, 0, :COUNT], tags)


class _Pairs:
    """The pair part of a Siamese network in eval mode, its batch normalisations folded in."""

    def __init__(self, network: SiameseNetwork) -> None:
        self._network = network
        with torch.inference_mode():
            self._query = _folded(network.joint.query, network.joint.norm)
            self._event = _folded(network.joint.event, network.joint.norm, shifted=False)
            self._layers = [
                _folded(cast("Blocks", layer[0]), cast("StepNorm", layer[1]))
                for layer in cast("Iterable[Layer]", network.pairs)
            ]

    def __call__(self, query: Tensor | None, events: Tensor) -> Tensor:
        """Presence matrices float32 [B, 8, 3] of a query [1, S, W], or None for each event with itself."""
        hidden = self._event(events)
        hidden += self._query(events if query is None else query)
        hidden.relu_()
        for layer in self._layers:
            hidden = layer(hidden).relu_()
        situation: Tensor = self._network.situation(hidden).reshape(*hidden.shape[:2], COUNT, SITUATIONS)
        f = situation.transpose(2, 3).contiguous().softmax(dim=2)  # over the last axis it takes ten times as long
        if self._network.attention is None:
            matrix = f.mean(dim=1)
        else:
            matrix = (self._network.attention(hidden).softmax(dim=1).unsqueeze(2) * f).sum(dim=1)
        # Rounding may carry a certain row past 1, which is no probability.
        return matrix.transpose(1, 2).clamp(max=1.0)


def _folded(linear: Blocks, norm: StepNorm, *, shifted: bool = True) -> Callable[[Tensor], Tensor]:
    """A linear layer with the batch normalisation after it multiplied in, as it is in eval mode.

    The first pair layer is two linear layers before one normalisation; only one of them takes its shift.
    """
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = linear.weight * scale[:, None]
    bias = linear.bias * scale + norm.bias - mean * scale if shifted else None
    return partial(blockwise, weight=weight, bias=bias, blocks=linear.blocks)

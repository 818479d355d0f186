"""Rankers of one query against many events: the quick pair network, a tagged network's products, or all exactly."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hub.model.tagger import TaggingEnsemble
from hub.search.scoring.int8 import ExactPairScorer
from shared.taxonomy import COUNT


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """The part of `Scorer.ranks` for n events that does not depend on the query.

    Attributes:
        kind: as the ranker wants it.
        identity: float32 [n, values].
    """

    kind: Any
    identity: Tensor


class Ranker(Protocol):
    """Ranks one query against many events."""

    tolerance: float
    """Ranks are at most so far from exact ones."""

    def precompute(self, towers: Tensor) -> Any:  # noqa: ANN401 - whatever this ranker wants of events
        """Compute the part for events, float32 [n, S, W], that does not depend on the query."""
        ...

    def ranks(self, query: Tensor, events: Any) -> Tensor:  # noqa: ANN401
        """Ranks float32 [n] of a query float32 [S, W] and the events of `half`."""
        ...


class TagRanker:
    """Level plus affinity of a tagged network: two products of matrices."""

    tolerance = 1e-4

    def __init__(self, network: TaggingEnsemble) -> None:
        self._weight = float(network.weight)

    def precompute(self, towers: Tensor) -> Tensor:
        """See `Ranker`; also of [q, n, S, W]."""
        return towers[..., 0, :]

    def ranks(self, query: Tensor, events: Tensor) -> Tensor:
        """See `Ranker`; also [q, n] of queries [q, S, W], each with n events of its own."""
        signs, profile = 2.0 * query[..., 0, :COUNT] - 1.0, query[..., 0, COUNT:]
        levels = (events[..., :COUNT] @ signs[..., None])[..., 0]
        levels += COUNT / 2 - signs.sum(dim=-1, keepdim=True) / 2
        affinities = (events[..., COUNT:] @ profile[..., None])[..., 0].clamp_(0.0, 1.0).square_()
        return levels.add_(affinities, alpha=self._weight)


class ExactRanker:
    """Level of similarity by the exact pair network, where nothing quicker serves."""

    tolerance = 1e-4

    def __init__(self, pairs: ExactPairScorer, block: int) -> None:
        self._pairs = pairs
        self._block = block

    def precompute(self, towers: Tensor) -> Tensor:
        """See `Ranker`."""
        return towers

    def ranks(self, query: Tensor, events: Tensor) -> Tensor:
        """See `Ranker`."""
        parts = [
            self._pairs(query[None], part)[:, :, :2].sum(dim=(1, 2)) for part in torch.split(events, self._block)
        ]
        return torch.cat(parts)

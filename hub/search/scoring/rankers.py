"""Rank one query against many events: by the fast pair network, a tagged network's products, or exactly."""

from typing import Any, Protocol

import torch
from torch import Tensor

from hub.model.tagger import TaggingEnsemble
from hub.search.scoring.int8 import ExactPairScorer
from shared.taxonomy import COUNT


class Ranker(Protocol):
    """Ranks one query against many events."""

    tolerance: float
    """Largest error of ranks."""

    def precompute(self, towers: Tensor) -> Any:  # noqa: ANN401 - the ranker's own type
        """Compute what ranks need of events, float32 [n, S, W], before the query is known."""
        ...

    def ranks(self, query: Tensor, events: Any) -> Tensor:  # noqa: ANN401
        """Return ranks float32 [n] of a query float32 [S, W] and events from `precompute`."""
        ...


class TagRanker:
    """Ranks by level plus affinity of a tagged network: two matrix products."""

    tolerance = 1e-4

    def __init__(self, network: TaggingEnsemble) -> None:
        self._weight = float(network.weight)

    def precompute(self, towers: Tensor) -> Tensor:
        """See `Ranker`; also for [q, n, S, W]."""
        return towers[..., 0, :]

    def ranks(self, query: Tensor, events: Tensor) -> Tensor:
        """See `Ranker`; also [q, n] for queries [q, S, W], each with its n events."""
        signs, profile = 2.0 * query[..., 0, :COUNT] - 1.0, query[..., 0, COUNT:]
        levels = (events[..., :COUNT] @ signs[..., None])[..., 0]
        levels += COUNT / 2 - signs.sum(dim=-1, keepdim=True) / 2
        affinities = (events[..., COUNT:] @ profile[..., None])[..., 0].clamp_(0.0, 1.0).square_()
        return levels.add_(affinities, alpha=self._weight)


class ExactRanker:
    """Ranks by the level of similarity of the exact pair network, where no faster ranker is supported."""

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
